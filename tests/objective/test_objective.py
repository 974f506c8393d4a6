"""Objectives: their parts, what their adversary ascends, degenerate weights, errors."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import Attack, LpBall
from rar_tf.attribution import cross_entropy
from rar_tf.objective import (
    Batch,
    Objective,
    distributional,
    ig_norm,
    ig_sum_norm,
    madry,
    natural,
    sizes,
    terms,
)
from tests.support import oracles


@pytest.fixture(scope="module")
def setting():
    classifier, x, y, start = oracles.golden_setting()
    return classifier, Batch(tf.constant(x), tf.constant(y)), tf.constant(start)


def losses(classifier, batch, x):
    return cross_entropy(classifier(x), batch.label).numpy()


def test_parts_add_up(setting):
    classifier, batch, x_adv = setting
    clean = ig_norm(0.7, ig_steps=4)(classifier, batch, x_adv)
    adversarial = ig_sum_norm(0.7, ig_steps=4)(classifier, batch, x_adv)
    np.testing.assert_allclose(clean.loss, losses(classifier, batch, batch.image), rtol=1e-6)
    np.testing.assert_allclose(adversarial.loss, losses(classifier, batch, x_adv), rtol=1e-6)
    np.testing.assert_allclose(clean.term, adversarial.term, rtol=1e-6)
    for parts in (clean, adversarial):
        np.testing.assert_allclose(parts.total, parts.loss + 0.7 * parts.term, rtol=1e-6)


def test_weight_zero_is_natural_or_madry(setting):
    classifier, batch, x_adv = setting
    for with_term, without in ((ig_norm(0.0), natural()), (ig_sum_norm(0.0), madry())):
        np.testing.assert_array_equal(
            with_term(classifier, batch, x_adv).total, without(classifier, batch, x_adv).total
        )


def test_total_with_weight_one_is_madry(setting):
    """[RAR Prop. 1]: by completeness l(x) + sum IG(x, x_adv) = l(x_adv)."""
    classifier, batch, x_adv = setting
    term = terms.loss_attribution(sizes.total, steps=50, rule="midpoint")
    summed = Objective("clean", term, 1.0)(classifier, batch, x_adv).total
    np.testing.assert_allclose(summed, madry()(classifier, batch, x_adv).total, atol=2e-3)


@pytest.mark.parametrize("constructor", [ig_norm, ig_sum_norm])
def test_completeness_takes_the_sum_as_it_is(setting, constructor):
    """||IG||_1 = l(x_adv) - l(x) + 2 sum max(-IG, 0), with any nodes."""
    classifier, batch, x_adv = setting
    few = constructor(0.7, ig_steps=3, completeness=True)(classifier, batch, x_adv)
    change = losses(classifier, batch, x_adv) - losses(classifier, batch, batch.image)
    against = terms.loss_attribution(
        lambda a: tf.reduce_sum(tf.maximum(-a, 0), [1, 2, 3]), steps=3, rule="midpoint"
    )
    expected = change + 2 * against(classifier, batch, x_adv)
    np.testing.assert_allclose(few.term, expected, rtol=1e-5)
    base = batch.image if constructor is ig_norm else x_adv
    np.testing.assert_allclose(few.loss, losses(classifier, batch, base), rtol=1e-6)
    np.testing.assert_allclose(few.total, few.loss + 0.7 * few.term, rtol=1e-6)
    limit, plain = (
        constructor(0.7, ig_steps=1000, completeness=given)(classifier, batch, x_adv).term
        for given in (True, False)
    )
    np.testing.assert_allclose(limit, plain, rtol=1e-3)


def test_completeness_with_weight_one_is_the_adversarial_loss_and_what_pulls_against_it(setting):
    classifier, batch, x_adv = setting
    total = ig_norm(ig_steps=1, completeness=True)(classifier, batch, x_adv).total
    against = terms.loss_attribution(sizes.against, steps=1, rule="midpoint")
    expected = losses(classifier, batch, x_adv) + against(classifier, batch, x_adv)
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    slopes = []
    for objective in (
        ig_norm(ig_steps=2, completeness=True),
        ig_norm(0.999999, ig_steps=2, completeness=True),
    ):
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(objective(classifier, batch, x_adv).total)
        slopes.append(tape.gradient(value, classifier.trainable_variables))
    for cancelled, computed in zip(*slopes, strict=True):
        np.testing.assert_allclose(cancelled, computed, rtol=1e-3, atol=1e-4)


def test_completeness_needs_the_norm():
    message = "completeness=True corrects the 1-norm alone. Received: size=abs_total"
    for constructor in (ig_norm, ig_sum_norm, distributional):
        with pytest.raises(ValueError, match=message):
            constructor(size=sizes.abs_total, completeness=True)


def test_size_of_ones_own(setting):
    """Twice the norm is twice the term, and as flat at x."""
    classifier, batch, x_adv = setting

    def doubled(attribution):
        return 2 * tf.reduce_sum(tf.abs(attribution), [1, 2, 3])

    for constructor in (ig_norm, ig_sum_norm, distributional):
        ours = constructor(0.7, size=doubled, ig_steps=4, attack_ig_steps=2)
        plain = constructor(0.7, ig_steps=4, attack_ig_steps=2)
        assert ours.needs_random_start == plain.needs_random_start
        np.testing.assert_allclose(
            ours(classifier, batch, x_adv).term, 2 * plain(classifier, batch, x_adv).term, rtol=1e-5
        )
    assert not ig_norm(size=sizes.total).needs_random_start


def test_a_term_must_give_one_value_an_image(setting):
    classifier, batch, x_adv = setting
    objective = Objective(term=lambda model, batch, x_adv: tf.reduce_sum(x_adv), weight=1.0)
    message = r"a term must have one value per image, \[B\]\. Received: shape=\(\)"
    with pytest.raises(ValueError, match=message):
        objective(classifier, batch, x_adv)
    with pytest.raises(ValueError, match=message):
        objective.score(classifier, batch)(x_adv)


def test_the_adversary_ascends_the_surrogate_and_not_the_term(setting):
    classifier, batch, x_adv = setting
    for objective, base in (
        (ig_norm(0.7, ig_steps=9, attack_ig_steps=2), 0.0),
        (ig_sum_norm(0.7, ig_steps=9, attack_ig_steps=2), 1.0),
    ):
        surrogate = terms.loss_attribution(sizes.l1, steps=2, rule="midpoint")
        weight = 1.0 if base == 0 else 0.7
        expected = base * losses(classifier, batch, x_adv) + weight * surrogate(
            classifier, batch, x_adv
        )
        np.testing.assert_allclose(objective.score(classifier, batch)(x_adv), expected, rtol=1e-5)
    for objective in (ig_norm(0.7, attack_ig_steps=0), ig_sum_norm(0.7, attack_ig_steps=0)):
        assert not objective.needs_random_start
        np.testing.assert_array_equal(
            objective.score(classifier, batch)(x_adv), madry().score(classifier, batch)(x_adv)
        )


def linear():
    """(classifier, batch, w): two classes, with w the difference of their weights."""
    random = np.random.default_rng(3)
    weights = random.normal(size=(6, 2)).astype("float32")
    x, y = random.random((5, 6)).astype("float32"), np.array([0, 1, 1, 0, 1])
    batch = Batch(tf.constant(x), tf.constant(y))
    return lambda points, training=False: points @ weights, batch, weights[:, 1] - weights[:, 0]


@pytest.mark.parametrize("objective", [ig_norm(ig_steps=20), ig_sum_norm(1.0, ig_steps=20)])
def test_theorem_3_on_a_linear_model(objective):
    """[RAR Thm. 3]: l(x) + max ||IG||_1 = g(-y<w, x> + eps ||w||_1), for IG-NORM.

    At the maximizer all entries of IG share one sign, so ||IG||_1 is the loss change and
    the tolerance is that of the midpoint rule; IG-SUM-NORM then adds beta times the change
    to the adversarial loss. The maximum is over all corners of the ball: ascent of
    ||IG||_1 alone keeps the signs of its start.
    """
    classifier, batch, w = linear()
    x, y = batch.image.numpy(), batch.label.numpy()
    corners = 0.2 * np.array(list(itertools.product([-1, 1], repeat=6)), "float32")
    values = [objective(classifier, batch, tf.constant(x + corner)).total for corner in corners]
    robust = oracles.theorem_3_value(w, x, y, 0.2)
    clean = oracles.theorem_3_value(w, x, y, 0.0)
    expected = robust if objective.base == "clean" else robust + (robust - clean)
    np.testing.assert_allclose(np.max(values, 0), expected, atol=1e-3)


def test_attacks_reach_the_maximum_of_theorem_3_from_the_right_signs():
    """A start in the orthant of the steepest loss leads each adversary to the maximum."""
    classifier, batch, w = linear()
    x, y = batch.image.numpy(), batch.label.numpy()
    orthant = (-0.01 * np.sign(w) * (2 * y - 1)[:, None]).astype("float32")

    class RightSigns(LpBall):
        def start(self, x, seed, first_row=0):
            return x + orthant

    attack = Attack(RightSigns("inf", 0.2, bounds=None), steps=10, step_size=0.05)
    for objective in (madry(), ig_norm(ig_steps=20)):
        x_adv = attack(objective.score(classifier, batch), batch.image, seed=[0, 0])
        np.testing.assert_allclose(
            objective(classifier, batch, x_adv).total,
            oracles.theorem_3_value(w, x, y, 0.2),
            atol=1e-3,
        )


def test_ascent_of_the_loss_reaches_the_maximum_of_theorem_3_from_any_start():
    """Where ascent of the norm keeps the signs of its start."""
    classifier, batch, w = linear()
    x, y = batch.image.numpy(), batch.label.numpy()
    attack = Attack(LpBall("inf", 0.2, bounds=None), steps=10, step_size=0.05)
    maximum = oracles.theorem_3_value(w, x, y, 0.2)
    for seed in range(5):
        values = []
        for nodes in (0, 10):
            objective = ig_norm(ig_steps=20, attack_ig_steps=nodes)
            x_adv = attack(objective.score(classifier, batch), batch.image, seed=[seed, 0])
            values.append(objective(classifier, batch, x_adv).total)
        np.testing.assert_allclose(values[0], maximum, atol=1e-3)
        assert (values[1] < maximum - 0.01).numpy().mean() > 0.5


def test_only_ig_norm_is_flat_at_x(setting):
    """||IG(x, x_adv)||_1 has no slope at x_adv = x; with the loss beside it there is one."""
    classifier, batch, _ = setting
    for objective in (ig_norm(), ig_sum_norm(), madry()):
        with tf.GradientTape() as tape:
            tape.watch(batch.image)
            value = objective.score(classifier, Batch(tf.stop_gradient(batch.image), batch.label))(
                tf.identity(batch.image)
            )
        slope = float(tf.reduce_max(tf.abs(tape.gradient(value, batch.image))))
        assert (slope == 0) == objective.needs_random_start


def test_errors():
    with pytest.raises(ValueError, match='base must be "clean" or "adversarial".*base=\'dirty\''):
        Objective("dirty")
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"weight must be finite and >= 0.*weight={weight}"):
            ig_norm(weight)
    with pytest.raises(ValueError, match="weight must be 0 without a term.*weight=1.0"):
        Objective("clean", None, 1.0)
    with pytest.raises(ValueError, match="an attack on the clean base needs a term.*term=None"):
        Objective("clean")
