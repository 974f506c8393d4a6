"""The papers' statements, one test each, named after them.

Tolerances follow from the quadrature: the midpoint rule on the golden CNN with 50 nodes is
complete to 2e-3 nats (`test_completeness` measures it); statements that hold exactly for any
rule are demanded to float32 rounding.
"""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import Attack, LpBall, TransportPenalty, maximize
from rar_tf.attribution import (
    cross_entropy,
    integrated_gradients,
    label_loss,
    layer_integrated_gradients,
    path_integrated_gradients,
)
from rar_tf.objective import (
    Batch,
    Objective,
    adv_far,
    distributional,
    far,
    ig_norm,
    input_gradient,
    loss_output,
    madry,
    sizes,
    terms,
)
from rar_tf.training import RobustModel
from tests.support import oracles

NODES, TOLERANCE = 50, 2e-3


@functools.cache
def cnn():
    classifier, x, y, x_adv = oracles.golden_setting()
    return classifier, Batch(tf.constant(x), tf.constant(y)), tf.constant(x_adv)


def smooth_classifier():
    """Dense tanh network: no kinks, neither of ReLUs nor of max pooling."""
    image = keras.Input((28, 28, 1))
    h = keras.layers.Flatten()(image)
    for i, (units, activation) in enumerate(((32, "tanh"), (10, None))):
        initializer = keras.initializers.RandomNormal(stddev=0.2, seed=i)
        h = keras.layers.Dense(units, activation=activation, kernel_initializer=initializer)(h)
    return keras.Model(image, h)


def losses(classifier, x, y):
    return cross_entropy(classifier(x, training=False), y).numpy()


@pytest.mark.parametrize("layer", ["image", "conv1", "pool2", "dense1", "logits"])
def test_completeness_at_every_layer(layer):
    """[RAR Lemma 1]: sum_i IG_{h_i} = l(x_adv) - l(x), for any layer h."""
    classifier, batch, x_adv = cnn()
    ig = layer_integrated_gradients(
        classifier, layer, x_adv, batch.label, baseline=batch.image, steps=NODES
    )
    change = losses(classifier, x_adv, batch.label) - losses(classifier, *batch[:2])
    np.testing.assert_allclose(sizes.total(ig), change, atol=TOLERANCE)
    assert np.abs(change).max() > 20 * TOLERANCE


def test_completeness_on_a_curved_path():
    """[RAR eq. 1]: the sum depends on the end points alone; the attribution does not."""
    classifier, batch, x_adv = cnn()
    bump = tf.constant(np.random.default_rng(0).uniform(-0.2, 0.2, x_adv.shape), tf.float32)

    def curve(t):
        return batch.image + t * (x_adv - batch.image) + tf.sin(np.pi * t) * bump

    change = losses(classifier, x_adv, batch.label) - losses(classifier, *batch[:2])
    errors = {}
    for steps in (20, 320):
        ig = path_integrated_gradients(label_loss(classifier), curve, batch.label, steps=steps)
        errors[steps] = np.abs(sizes.total(ig) - change).max()
    # The detour is longer than the line, and crosses more kinks of the ReLUs.
    assert errors[320] < min(5e-3, errors[20] / 4)


def test_layer_attribution_at_the_input_is_plain_integrated_gradients():
    """[RAR Lemma 1] with h = x."""
    classifier, batch, x_adv = cnn()
    for rule in ("left", "right", "midpoint", "trapezoid", "gauss_legendre"):
        options = {"baseline": batch.image, "steps": 7, "rule": rule}
        plain = integrated_gradients(label_loss(classifier), x_adv, batch.label, **options)
        layer = layer_integrated_gradients(classifier, "image", x_adv, batch.label, **options)
        np.testing.assert_allclose(layer, plain, atol=2e-6)


def test_layer_attribution_converges_to_the_summation_of_equation_3():
    """Increments of h against [RAR eq. 3]'s derivative of h along the path."""
    classifier, batch, x_adv = cnn()
    lower = keras.Model(classifier.inputs[0], classifier.get_layer("dense1").output)
    upper = classifier.get_layer("logits")
    steps, total = 200, 0.0
    for k in range(steps):
        t = tf.constant(k / steps, tf.float32)
        with tf.autodiff.ForwardAccumulator(t, tf.constant(1.0)) as forward:
            h = lower(batch.image + t * (x_adv - batch.image))
        with tf.GradientTape() as tape:
            tape.watch(h)
            loss = cross_entropy(upper(h), batch.label)
        total += tape.gradient(loss, h) * forward.jvp(h) / steps
    ours = layer_integrated_gradients(
        classifier, "dense1", x_adv, batch.label, baseline=batch.image, steps=steps
    )
    np.testing.assert_allclose(ours, total, atol=2e-2 * float(tf.reduce_max(tf.abs(total))))


@pytest.mark.parametrize("layer", ["image", "pool1", "dense1"])
def test_proposition_1_sum_recovers_madry(layer):
    """lambda = 1 and s = sum give max l(x_adv), for any layer."""
    classifier, batch, x_adv = cnn()
    term = terms.layer_loss_attribution(sizes.total, layer, steps=NODES, rule="midpoint")
    value = Objective("clean", term, 1.0)(classifier, batch, x_adv).total
    expected = madry()(classifier, batch, x_adv).total
    np.testing.assert_allclose(value, expected, atol=TOLERANCE)


def test_proposition_1_both_adversaries_climb_the_same_way():
    """The scores differ by the constant l(x): same gradients, same x_adv.

    On a smooth network: the derivative of a quadrature of slopes misses what moves at the
    kinks of ReLUs and max pooling. Values agree there, gradients do not (cosine 0.87 here).
    """
    _, batch, x_adv = cnn()
    classifier = smooth_classifier()
    term = terms.loss_attribution(sizes.total, steps=NODES, rule="midpoint")
    gradients = []
    for objective in (Objective("clean", term, 1.0), madry()):
        with tf.GradientTape() as tape:
            tape.watch(x_adv)
            value = objective.score(classifier, batch)(x_adv)
        gradients.append(tape.gradient(value, x_adv).numpy().ravel())
    cosine = np.dot(*gradients) / np.prod([np.linalg.norm(g) for g in gradients])
    assert cosine > 0.9999


@pytest.mark.parametrize("q", [1, 2, 3])
def test_proposition_2_first_term_recovers_input_gradient_regularization(q):
    """s = ||.||_1^q, lambda = lambda' / eps^q, the left rule's first term: over the lp ball
    dual to q the maximum is lambda' ||grad||_q^q."""
    classifier, batch, _ = cnn()
    epsilon, weight = 0.1, 0.3
    gradient = tf.reshape(
        terms.input_gradient_size(lambda g: g)(classifier, batch, None), [8, -1]
    ).numpy()
    if q == 1:  # dual norm: inf
        delta = epsilon * np.sign(gradient)
    else:  # dual norm p = q / (q - 1)
        delta = np.sign(gradient) * np.abs(gradient) ** (q - 1)
        p = q / (q - 1)
        delta *= epsilon / (np.abs(delta) ** p).sum(1, keepdims=True) ** (1 / p)
    corner = batch.image + delta.reshape(batch.image.shape)
    first_term = terms.loss_attribution(lambda a: sizes.l1(a) ** q, steps=1, rule="left")
    recovered = Objective("clean", first_term, weight / epsilon**q)(classifier, batch, corner)
    expected = input_gradient(weight, q=q)(classifier, batch, corner)
    np.testing.assert_allclose(recovered.total, expected.total, rtol=1e-4)


def test_proposition_2_on_the_linf_ball_with_a_sum_of_powers():
    """On an l_inf ball s(a) = sum |a_i|^q gives the same."""
    classifier, batch, _ = cnn()
    epsilon, q = 0.1, 2
    gradient = terms.input_gradient_size(lambda g: g)(classifier, batch, None)
    corner = batch.image + epsilon * tf.sign(gradient)
    first_term = terms.loss_attribution(sizes.lq_power(q), steps=1, rule="left")
    np.testing.assert_allclose(
        first_term(classifier, batch, corner) / epsilon**q,
        terms.input_gradient_size(sizes.lq_power(q))(classifier, batch, corner),
        rtol=1e-4,
    )


def test_proposition_3_attribution_of_the_loss_output():
    """|l(x_adv) - l(x)| is |sum IG|; the objective is at least Madry's, equal where l grows."""
    classifier, batch, x_adv = cnn()
    ours = loss_output()(classifier, batch, x_adv)
    summed = terms.loss_attribution(sizes.abs_total, steps=NODES, rule="midpoint")
    np.testing.assert_allclose(ours.term, summed(classifier, batch, x_adv), atol=TOLERANCE)
    adversarial = madry()(classifier, batch, x_adv).total.numpy()
    assert (ours.total.numpy() >= adversarial - 1e-6).all()
    grew = adversarial >= ours.loss.numpy()
    assert grew.any() and not grew.all()
    np.testing.assert_allclose(ours.total.numpy()[grew], adversarial[grew], rtol=1e-5)
    assert (ours.total.numpy()[~grew] > adversarial[~grew]).all()


def test_proposition_4_sum_recovers_wasserstein_robustness():
    """lambda = 1 and s = sum: l(z) + d_IG(z, z') - gamma c = l(z') - gamma c  [SND18]."""
    _, batch, _ = cnn()
    classifier = smooth_classifier()
    penalty = TransportPenalty(gamma=0.1)
    wrm = distributional(size=sizes.total, ig_steps=NODES, attack_ig_steps=NODES)
    options = {"steps": 3, "step_size": 0.1, "seed": None}
    ours = maximize(wrm.score(classifier, batch), batch.image, penalty, **options)
    theirs = maximize(madry().score(classifier, batch), batch.image, penalty, **options)
    assert float(tf.reduce_max(tf.abs(theirs - batch.image))) > 0.05
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    np.testing.assert_allclose(
        wrm(classifier, batch, ours).total - penalty.penalty(ours, batch.image),
        losses(classifier, ours, batch.label) - penalty.penalty(ours, batch.image),
        atol=TOLERANCE,
    )


def test_theorem_1_on_a_case_solved_by_hand():
    """Two points of mass 1/2, d_IG(z, z') = <w, z' - z>, c squared: sup_Q E[d - gamma c]
    over couplings equals the mean of sup_{z'} {d - gamma c} = ||w||^2 / (4 gamma), attained
    at z + w / (2 gamma)."""
    w = np.array([0.6, -0.8, 0.2], "float32")
    z = np.array([[0.5, 0.5, 0.5], [0.3, 0.6, 0.4]], "float32")
    gamma = 2.0
    penalty = TransportPenalty(gamma, bounds=None)
    moved = maximize(
        lambda p: tf.linalg.matvec(p - z, w), z, penalty, steps=60, step_size=0.1, seed=None
    ).numpy()
    np.testing.assert_allclose(moved, z + w / (2 * gamma), atol=1e-4)
    value = (moved - z) @ w - gamma * ((moved - z) ** 2).sum(1)
    np.testing.assert_allclose(value.mean(), (w @ w) / (4 * gamma), rtol=1e-4)
    # No coupling does better: each point's own supremum, by a grid of displacements.
    grid = np.stack(np.meshgrid(*[np.linspace(-0.4, 0.4, 33)] * 3), -1).reshape(-1, 3)
    assert (grid @ w - gamma * (grid**2).sum(1)).max() <= (w @ w) / (4 * gamma) + 1e-6


def linear(seed=3):
    """A linear two-class model on six pixels, whose class scores are opposite."""
    random = np.random.default_rng(seed)
    half = random.normal(size=6).astype("float32")
    image = keras.Input((6,))
    dense = keras.layers.Dense(2, use_bias=False)
    classifier = keras.Model(image, dense(image))
    dense.kernel.assign(np.stack([-half, half], 1))
    x = random.random((5, 6)).astype("float32")
    return classifier, x, np.array([0, 1, 1, 0, 1], "int32")


def soft_margin_maximizer(classifier, x, y, epsilon):
    kernel = classifier.get_weights()[0]
    w = kernel[:, 1] - kernel[:, 0]
    return w, (x - epsilon * np.sign(w) * (2 * y - 1)[:, None]).astype("float32")


def test_theorem_3_ig_norm_madry_and_soft_margin_coincide():
    """One layer, l_inf ball, no pixel bounds: all three values are g(-y<w,x> + eps ||w||_1),
    and no corner of the ball exceeds them."""
    classifier, x, y = linear()
    batch, epsilon = Batch(tf.constant(x), tf.constant(y)), 0.2
    w, x_adv = soft_margin_maximizer(classifier, x, y, epsilon)
    expected = oracles.theorem_3_value(w, x, y, epsilon)
    for objective, tolerance in ((madry(), 1e-5), (ig_norm(ig_steps=NODES), 2e-4)):
        value = objective(classifier, batch, tf.constant(x_adv)).total
        np.testing.assert_allclose(value, expected, atol=tolerance)
        for signs in itertools.product([-1, 1], repeat=6):
            corner = tf.constant(x + epsilon * np.array(signs, "float32"))
            assert (
                objective(classifier, batch, corner).total.numpy() <= expected + tolerance
            ).all()


def test_theorem_3_right_rule_overestimates_and_left_underestimates():
    """g is convex: its slope, and with it the quadrature's error, grows along the path."""
    classifier, x, y = linear()
    batch = Batch(tf.constant(x), tf.constant(y))
    w, x_adv = soft_margin_maximizer(classifier, x, y, 0.2)
    expected = oracles.theorem_3_value(w, x, y, 0.2)
    left, right = (
        ig_norm(ig_steps=5, ig_rule=rule)(classifier, batch, tf.constant(x_adv)).total.numpy()
        for rule in ("left", "right")
    )
    assert (left < expected).all() and (expected < right).all()


def test_theorem_3_training_reaches_the_same_weights():
    """From one start, by exact adversaries: IG-NORM, Madry and soft margin descend together."""
    epsilon, rate, steps = 0.1, 0.2, 25

    class Exact(LpBall):
        """The corner that the theorem names, as the start of an attack without steps."""

        def start(self, x, seed, first_row=0):
            kernel = classifier.trainable_variables[0]
            w = kernel[:, 1] - kernel[:, 0]
            side = tf.cast(2 * tf.constant(y) - 1, tf.float32)[:, None]
            return x - epsilon * tf.reshape(tf.sign(w) * side, tf.shape(x))

    ends = []
    for objective in (ig_norm(ig_steps=NODES), madry()):
        classifier, x, y = linear()
        ball = Exact("inf", epsilon, bounds=None)
        image = keras.Input((1, 6, 1))
        of_images = keras.Model(image, classifier(keras.layers.Flatten()(image)))
        model = RobustModel(of_images, objective, Attack(ball, steps=0, step_size=1.0))
        model.compile(keras.optimizers.SGD(rate))
        data = tf.data.Dataset.from_tensors((x.reshape(5, 1, 6, 1), y)).repeat(steps)
        model.fit(data, shuffle=False, verbose=0)
        ends.append(classifier.get_weights()[0])
    kernel = linear()[0].get_weights()[0].astype("float64")
    for _ in range(steps):
        w, side = kernel[:, 1] - kernel[:, 0], 2 * y - 1
        slope = 1 / (1 + np.exp(side * (x @ w) - epsilon * np.abs(w).sum()))
        by_w = (slope[:, None] * (-side[:, None] * x + epsilon * np.sign(w))).mean(0)
        kernel -= rate * np.stack([-by_w, by_w], 1)
    np.testing.assert_allclose(ends[1], kernel, atol=1e-5)
    np.testing.assert_allclose(ends[0], kernel, atol=1e-3)
    assert np.abs(ends[0] - linear()[0].get_weights()[0]).max() > 0.1


def test_far_with_weight_zero_is_madry():
    """[FAR eq. 7]."""
    classifier, batch, x_adv = cnn()
    recovered = adv_far(0.0, ig_steps=2, attack_ig_steps=2, softplus_beta=None)
    np.testing.assert_array_equal(
        recovered(classifier, batch, x_adv).total, madry()(classifier, batch, x_adv).total
    )
    for objective in (recovered, madry()):
        np.testing.assert_allclose(
            objective.score(classifier, batch)(x_adv), losses(classifier, x_adv, batch.label)
        )


def test_far_with_the_image_as_baseline_and_l1_is_ig_norm():
    """[FAR eq. 8]: S(x~) = IG from x to x~ of the loss, S(x) = IG(x, x) = 0, d_s = l1."""
    classifier, batch, x_adv = cnn()

    def from_the_image(classifier, points, classes):
        return integrated_gradients(
            label_loss(classifier), points, batch.label, baseline=batch.image, steps=7
        )

    recovered = far(0.7, attribution=from_the_image, dissimilarity="l1", softplus_beta=None)
    expected = ig_norm(0.7, ig_steps=7)
    np.testing.assert_allclose(
        recovered(classifier, batch, x_adv).total,
        expected(classifier, batch, x_adv).total,
        rtol=1e-5,
    )
