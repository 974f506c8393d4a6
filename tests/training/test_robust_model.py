"""RobustModel: one SGD step against numpy, two devices against one, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import Attack, LpBall
from rar_tf.objective import OBJECTIVES, Batch, ig_norm, ig_sum_norm, madry, natural
from rar_tf.training import RobustModel
from rar_tf.training.averaging import averaged_weights
from tests.support.parity import SIGN_STEPS, relu_classifier, tiny_objective, two_devices

RANDOM = np.random.default_rng(11)
X = RANDOM.random((8, 4, 4, 1)).astype("float32")
Y = RANDOM.integers(0, 3, 8).astype("int32")
LEARNING_RATE, EPSILON = 0.1, 0.2


def linear_classifier(seed=0, classes=3):
    image = keras.Input((4, 4, 1))
    initializer = keras.initializers.RandomNormal(seed=seed)
    logits = keras.layers.Dense(classes, kernel_initializer=initializer)(
        keras.layers.Flatten()(image)
    )
    return keras.Model(image, logits)


def robust(classifier, objective, *, steps=4, step_size=0.1, ball=None):
    attack = Attack(ball or LpBall("inf", EPSILON), steps=steps, step_size=step_size)
    model = RobustModel(classifier, objective, attack, seed=5)
    model.compile(keras.optimizers.SGD(LEARNING_RATE))
    return model


def fit(model, steps=1, x=X, y=Y):
    data = tf.data.Dataset.from_tensors((x, y)).repeat(steps)
    return model.fit(data, epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0).history


def softmax_gradient(w, b, x, y):
    z = x.reshape(len(x), -1) @ w + b
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return p - np.eye(w.shape[1])[y]


def test_one_natural_step_against_numpy():
    model = robust(linear_classifier(), natural())
    w, b = model.classifier.get_weights()
    error = softmax_gradient(w, b, X, Y) / len(X)
    fit(model)
    expected = w - LEARNING_RATE * X.reshape(8, -1).T @ error
    np.testing.assert_allclose(model.classifier.get_weights()[0], expected, atol=1e-6)
    np.testing.assert_allclose(
        model.classifier.get_weights()[1], b - LEARNING_RATE * error.sum(0), atol=1e-6
    )


def test_one_madry_step_against_numpy():
    """Two classes: the maximizer is the corner x + eps * sign(w_other - w_y), known exactly."""
    y = Y % 2
    model = robust(
        linear_classifier(classes=2), madry(), steps=10, ball=LpBall("inf", EPSILON, None)
    )
    w, b = model.classifier.get_weights()
    direction = np.sign(w[:, 1 - y] - w[:, y]).T.reshape(X.shape)
    corner = X + EPSILON * direction
    error = softmax_gradient(w, b, corner, y) / len(X)
    fit(model, y=y)
    np.testing.assert_allclose(
        model.classifier.get_weights()[0],
        w - LEARNING_RATE * corner.reshape(8, -1).T @ error,
        atol=1e-6,
    )


@pytest.mark.parametrize("objective", [ig_norm(0.7, ig_steps=2), ig_sum_norm(0.7, ig_steps=2)])
def test_one_ig_step_against_finite_differences_in_numpy(objective):
    model = robust(linear_classifier(), objective)
    w, b = (a.astype("float64") for a in model.classifier.get_weights())
    seen = []
    find = model.find_adversary
    model.find_adversary = lambda batch: seen.append(find(batch)) or seen[-1]
    model.run_eagerly = True
    fit(model)
    x, x_adv = X.reshape(8, -1).astype("float64"), seen[-1].numpy().reshape(8, -1)

    def loss(w, points):
        z = points @ w + b
        return np.log(np.exp(z).sum(1)) - z[np.arange(8), Y]

    def value(w):
        ig = 0
        for t in (0.25, 0.75):
            points = x + t * (x_adv - x)
            ig = ig + (x_adv - x) * (softmax_gradient(w, b, points, Y) @ w.T) / 2
        base = loss(w, x if objective.base == "clean" else x_adv)
        return (base + 0.7 * np.abs(ig).sum(1)).mean()

    gradient = np.zeros_like(w)
    for index in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[index] = 1e-6
        gradient[index] = (value(w + step) - value(w - step)) / 2e-6
    np.testing.assert_allclose(
        model.classifier.get_weights()[0], w - LEARNING_RATE * gradient, atol=1e-5
    )


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_changes_every_weight_and_stays_finite(name):
    model = robust(relu_classifier(), tiny_objective(name))
    before = model.classifier.get_weights()
    history = fit(model, 2)
    assert all(np.isfinite(values).all() for values in history.values())
    for old, new in zip(before, model.classifier.get_weights(), strict=True):
        assert np.isfinite(new).all() and (old != new).any()


@pytest.mark.parametrize("name", ["natural", "ig_norm", "adv_aat"])
def test_fit_on_two_devices_equals_one(name):
    """Random starts included: they are keyed by the row in the global batch."""
    norm = "inf" if name in SIGN_STEPS else 2

    def train(strategy):
        with strategy.scope():
            model = robust(relu_classifier(), tiny_objective(name), ball=LpBall(norm, EPSILON))
        fit(model, 3)
        return model.classifier.get_weights()

    one = train(tf.distribute.get_strategy())
    two = train(two_devices().strategy)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_starts_differ_between_steps_and_seeds_but_not_between_runs():
    def adversary(seed, iterations):
        model = RobustModel(
            relu_classifier(), ig_norm(), Attack(LpBall(), steps=0, step_size=0.1), seed=seed
        )
        model.compile("sgd")
        model.optimizer.iterations.assign(iterations)
        return model.find_adversary(Batch(tf.constant(X), tf.constant(Y))).numpy()

    np.testing.assert_array_equal(adversary(0, 3), adversary(0, 3))
    assert (adversary(0, 3) != adversary(0, 4)).any() and (adversary(0, 3) != adversary(1, 3)).any()


def test_attacks_do_not_move_batch_statistics():
    image = keras.Input((4, 4, 1))
    h = keras.layers.BatchNormalization()(keras.layers.Flatten()(image))
    classifier = keras.Model(image, keras.layers.Dense(3)(h))
    model = robust(classifier, ig_norm(ig_steps=2))
    fit(model)
    mean = classifier.layers[2].moving_mean.numpy()
    # One update by the clean batch alone: momentum 0.9, from zero.
    np.testing.assert_allclose(mean, 0.1 * X.reshape(8, -1).mean(0), rtol=1e-4)


def test_regularization_losses_count_once_on_any_number_of_devices():
    def train(strategy):
        with strategy.scope():
            image = keras.Input((4, 4, 1))
            dense = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1))
            dense.build((None, 16))
            dense.kernel.assign(np.ones((16, 3)))
            model = robust(keras.Model(image, dense(keras.layers.Flatten()(image))), natural())
        fit(model)
        return model.classifier.get_weights()[0]

    one = train(tf.distribute.get_strategy())
    error = softmax_gradient(np.ones((16, 3)), 0, X, Y) / len(X)
    expected = 1 - LEARNING_RATE * (X.reshape(8, -1).T @ error + 0.2)
    np.testing.assert_allclose(one, expected, atol=1e-6)
    two = train(two_devices().strategy)
    np.testing.assert_allclose(two, one, atol=1e-6)


def test_fit_and_evaluate_with_plain_keras_idioms():
    model = robust(relu_classifier(), natural())
    first = model.evaluate(X, Y, verbose=0, return_dict=True)
    model.fit(X, Y[:, None], epochs=60, batch_size=8, verbose=0)
    last = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert last["loss"] < first["loss"]
    np.testing.assert_allclose(model.predict(X, verbose=0), model.classifier(X), atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="needs an attack. Received: attack=None"):
        RobustModel(linear_classifier(), madry())
    with pytest.raises(ValueError, match="random_start=True. Received: random_start=False"):
        RobustModel(linear_classifier(), ig_norm(), Attack(LpBall(), 3, 0.1, random_start=False))
    model = robust(linear_classifier(), natural())
    with pytest.raises(ValueError, match=r"class numbers of shape \[B\], not one-hot.*\(8, 3\)"):
        fit(model, y=np.eye(3)[Y])


def test_averaged_weights_are_the_exponential_average():
    model = RobustModel(linear_classifier(), natural())
    model.compile(keras.optimizers.SGD(LEARNING_RATE, use_ema=True, ema_momentum=0.75))
    model.optimizer.build(model.trainable_variables)
    average = None
    for _ in range(3):
        model.train_step((tf.constant(X), tf.constant(Y)))
        last = model.trainable_variables[0].numpy()
        average = last if average is None else 0.75 * average + 0.25 * last
    with averaged_weights(model):
        np.testing.assert_allclose(model.trainable_variables[0], average, atol=1e-6)
    np.testing.assert_array_equal(model.trainable_variables[0], last)


@pytest.mark.parametrize("name", ["madry", "layer_ig_norm", "distributional", "adv_aat", "align"])
def test_bfloat16_step_comes_near_the_float32_one(name):
    weights = []
    for precision in ("float32", "mixed_bfloat16"):
        classifier = relu_classifier()
        before = np.concatenate([np.ravel(v) for v in classifier.get_weights()])
        attack = Attack(LpBall(2, EPSILON), steps=3, step_size=0.1)
        model = RobustModel(classifier, tiny_objective(name), attack, precision=precision)
        model.compile(keras.optimizers.SGD(LEARNING_RATE))
        model.train_step((tf.constant(X), tf.constant(Y)))
        weights.append(np.concatenate([np.ravel(v) for v in classifier.get_weights()]) - before)
    a, b = weights
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.98
    assert not np.array_equal(a, b)


@pytest.mark.parametrize("value", [0.85, np.nan, np.inf, -0.5])
def test_fractional_labels_are_refused_and_whole_floats_taken(value):
    y = Y.astype("float32")
    model, other = (robust(linear_classifier(), madry()) for _ in range(2))
    fit(model, y=y)
    fit(other, y=Y)
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    y[3] = value
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"labels must be"):
        fit(model, y=y)
    model.run_eagerly = True
    with pytest.raises(ValueError, match=rf"labels must be class numbers, whole .*{value:g}"):
        model.train_step((tf.constant(X), tf.constant(y)))
