"""Terms of FAR against closed forms and numpy; target maps; what the attack computes once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import Attack, LpBall
from rar_tf.attribution import (
    integrated_gradients,
    label_logit,
    label_loss,
    layer_integrated_gradients,
)
from rar_tf.objective import Batch, aat, adv_aat, align, far, igr, layer_ig_norm, terms
from rar_tf.training import RobustModel

RANDOM = np.random.default_rng(5)
X = RANDOM.random((4, 3, 3, 1)).astype("float32")
X_ADV = np.clip(X + RANDOM.uniform(-0.2, 0.2, X.shape), 0, 1).astype("float32")
Y = np.array([0, 1, 2, 1], "int32")
BATCH = Batch(tf.constant(X), tf.constant(Y))


def linear():
    """logits = x @ w: every gradient is a column of w, and IG from black is x * w_class."""
    image = keras.Input((3, 3, 1))
    dense = keras.layers.Dense(3, use_bias=False)
    model = keras.Model(image, dense(keras.layers.Flatten()(image)))
    kernel = np.random.default_rng(1).normal(size=(9, 3))
    dense.kernel.assign(kernel - kernel.mean(0))  # no class is everywhere the first
    return model, dense.kernel.numpy()


def relu_network():
    image = keras.Input((3, 3, 1))
    h = keras.layers.Flatten()(image)
    for i, (units, activation) in enumerate(((16, "relu"), (3, None))):
        initializer = keras.initializers.RandomNormal(stddev=0.7, seed=i)
        h = keras.layers.Dense(units, activation=activation, kernel_initializer=initializer)(h)
    return keras.Model(image, h)


def flat(maps):
    return np.reshape(maps, (len(maps), -1))


def numpy_pearson(a, b):
    return np.array([np.corrcoef(*pair)[0, 1] for pair in zip(flat(a), flat(b), strict=True)])


def test_pearson_loss_is_zero_for_equal_half_for_unrelated_and_one_for_opposite_maps():
    a = tf.constant([[1.0, 2.0, 3.0], [1.0, -1.0, 0.0], [1.0, 2.0, 4.0]])
    b = tf.constant([[2.0, 4.0, 6.0], [1.0, 1.0, -2.0], [-1.0, -2.0, -4.0]])
    np.testing.assert_allclose(terms.pearson_loss(a, b), [0, 0.5, 1], atol=1e-6)


def test_aat_term_on_a_linear_model():
    """[FAR eq. 10]: IG of class c from black is x * w_c, c the class predicted at x."""
    model, w = linear()
    predicted = np.argmax(flat(X) @ w, 1)
    maps, maps_adv = flat(X) * w[:, predicted].T, flat(X_ADV) * w[:, predicted].T
    expected = 1 - (numpy_pearson(maps, maps_adv) + 1) / 2
    for objective in (aat(ig_steps=3), adv_aat(1.0, ig_steps=3)):
        np.testing.assert_allclose(objective(model, BATCH, X_ADV).term, expected, atol=1e-5)
    cosine = (maps * maps_adv).sum(1) / np.linalg.norm(maps, axis=1)
    cosine /= np.linalg.norm(maps_adv, axis=1)
    np.testing.assert_allclose(igr(ig_steps=2)(model, BATCH, X_ADV).term, 1 - cosine, atol=1e-5)


def test_both_maps_explain_the_class_predicted_at_x():
    """Also where the attacked image is predicted otherwise, and where the label is another."""
    model, w = linear()
    x_adv = X[::-1].copy()  # other images: other predictions
    predicted = np.argmax(flat(X) @ w, 1)
    assert (predicted != np.argmax(flat(x_adv) @ w, 1)).any() and (predicted != Y).any()
    maps, maps_adv = flat(X) * w[:, predicted].T, flat(x_adv) * w[:, predicted].T
    term = far(dissimilarity="l1", ig_steps=1)(model, BATCH, x_adv).term
    np.testing.assert_allclose(term, np.abs(maps - maps_adv).sum(1), rtol=1e-5)


def test_align_term_on_a_linear_model():
    """[FAR A.1.3]: gradients are columns of w; ybar is the best other class at x_adv."""
    model, w = linear()
    logits = flat(X_ADV) @ w
    others = np.where(np.eye(3)[Y] == 1, -np.inf, logits)
    best_other = np.argmax(others, 1)

    def cosine(classes):
        g = w[:, classes].T
        return (g * flat(X)).sum(1) / np.linalg.norm(g, axis=1) / np.linalg.norm(flat(X), axis=1)

    expected = np.log1p(np.exp(-(cosine(Y) - cosine(best_other))))
    np.testing.assert_allclose(terms.misalignment(model, BATCH, X_ADV), expected, rtol=1e-5)
    for base, point in (("clean", X), ("adversarial", X_ADV)):
        parts = align(0.5, base=base)(model, BATCH, tf.constant(X_ADV))
        loss = keras.losses.sparse_categorical_crossentropy(Y, flat(point) @ w, from_logits=True)
        np.testing.assert_allclose(parts.total, loss + 0.5 * expected, rtol=1e-5)


def test_target_maps_take_the_place_of_the_map_at_x():
    model = relu_network()
    target = RANDOM.normal(size=X.shape).astype("float32")
    objective = far(ig_steps=4, attack_ig_steps=4)
    batch = BATCH._replace(target_map=tf.constant(target))
    predicted = tf.argmax(model(X), -1, tf.int32)
    map_adv = integrated_gradients(
        label_logit(model), tf.constant(X_ADV), predicted, baseline=0.0, steps=4
    )
    expected = 1 - (numpy_pearson(map_adv, target) + 1) / 2
    np.testing.assert_allclose(objective(model, batch, X_ADV).term, expected, atol=1e-5)
    np.testing.assert_allclose(objective.score(model, batch)(X_ADV), expected, atol=1e-5)


def test_target_maps_come_through_fit():
    """({"image": x, "target_map": t}, y) batches; opposite targets train other weights."""

    def train(target):
        model = RobustModel(
            relu_network(), far(5.0, ig_steps=2, attack_ig_steps=2), Attack(LpBall(), 1, 0.05)
        )
        model.compile(keras.optimizers.SGD(0.1))
        data = tf.data.Dataset.from_tensors(({"image": X, "target_map": target}, Y)).repeat(3)
        model.fit(data, shuffle=False, verbose=0)
        return model.classifier.get_weights()[0]

    one, two = train(np.abs(X)), train(-np.abs(X))
    assert np.isfinite(one).all() and np.abs(one - two).max() > 1e-3


def test_what_the_attack_prepares_changes_no_score():
    """The score with S(x) computed once is the term itself."""
    model = relu_network()
    for objective in (aat(ig_steps=3, attack_ig_steps=3), igr(ig_steps=3, attack_ig_steps=3)):
        term = objective.term(model, BATCH, tf.constant(X_ADV))
        search = objective.attack_term(
            model, objective.before_attack(model, BATCH), tf.constant(X_ADV)
        )
        np.testing.assert_allclose(search, term, atol=1e-6)


def test_softplus_second_derivatives_serve_the_attack_and_leave_the_gradient_step_alone():
    """[FAR sec. 4]: with plain ReLU the attack's gradient of a gradient map is zero."""

    def found(beta):
        objective = far(
            attribution="input_gradient", dissimilarity="l1", softplus_beta=beta, base="adversarial"
        )
        model = RobustModel(relu_network(), objective, Attack(LpBall(), 3, 0.03), seed=1)
        model.compile("sgd")
        score = objective.score(model._networks()[1], BATCH)
        x_adv = tf.constant(X_ADV)
        with tf.GradientTape() as tape:
            tape.watch(x_adv)
            loss = keras.losses.sparse_categorical_crossentropy(
                Y, model.classifier(x_adv), from_logits=True
            )
            value = score(x_adv) - loss
        gradient = tape.gradient(value, x_adv)
        return float(tf.reduce_max(tf.abs(gradient))), objective(model.classifier, BATCH, x_adv)

    (plain, plain_parts), (smooth, smooth_parts) = found(None), found(1.0)
    assert plain < 1e-6 < 1e-3 < smooth
    np.testing.assert_allclose(plain_parts.total, smooth_parts.total, rtol=1e-6)


def test_aat_keeps_the_label_and_adv_aat_need_not():
    """[FAR Algorithm 1 and 2]: the label condition, per image."""
    model = relu_network()
    kept = {}
    for name, objective in (("aat", aat(ig_steps=2)), ("adv_aat", adv_aat(ig_steps=2))):
        robust = RobustModel(model, objective, Attack(LpBall("inf", 0.5), 6, 0.2), seed=0)
        robust.compile("sgd")
        x_adv = robust.find_adversary(BATCH)
        kept[name] = np.argmax(model(x_adv), 1) == np.argmax(model(X), 1)
        assert float(tf.reduce_max(tf.abs(x_adv - X))) > 0.1
    assert kept["aat"].all() and not kept["adv_aat"].all()


def test_smooth_grad_and_input_gradient_as_training_maps():
    """On a linear model both are the column of w: no image changes it, the term is zero."""
    model, _ = linear()
    for name in ("input_gradient", "smooth_grad"):
        term = far(attribution=name, ig_steps=3)(model, BATCH, tf.constant(X_ADV)).term
        np.testing.assert_allclose(term, 0, atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="dissimilarity must be .*Received: .*'kendall'"):
        far(dissimilarity="kendall")
    with pytest.raises(ValueError, match="attribution must be .*Received: .*'lime'"):
        far(attribution="lime")
    with pytest.raises(ValueError, match=r"layer must be one of .*dense.*layer='nowhere'"):
        layer_ig_norm(layer="nowhere")(relu_network(), BATCH, tf.constant(X_ADV))
    image = keras.Input((3, 3, 1))
    flatten = keras.layers.Flatten(name="flatten")(image)
    left = keras.layers.Dense(3, name="left")(flatten)
    both = keras.Model(image, keras.layers.Add()([left, keras.layers.Dense(3)(flatten)]))
    with pytest.raises(ValueError, match="must depend on the image through layer='left' alone"):
        layer_ig_norm(layer="left")(both, BATCH, tf.constant(X_ADV))


def test_completeness_at_a_layer():
    """||IG_h||_1 of few nodes, corrected: l(x_adv) - l(x) and twice what pulls against it."""
    model = relu_network()
    layer = model.layers[2].name
    found = layer_integrated_gradients(model, layer, X_ADV, Y, baseline=X, steps=2).numpy()
    change = label_loss(model)(X_ADV, Y) - label_loss(model)(X, Y)
    expected = change + 2 * np.maximum(-found, 0).sum(1)
    objective = layer_ig_norm(layer=layer, ig_steps=2, completeness=True)
    np.testing.assert_allclose(objective(model, BATCH, X_ADV).term, expected, rtol=1e-5)
