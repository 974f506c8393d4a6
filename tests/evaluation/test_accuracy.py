"""Accuracies against the closed form of linear models, some of which hide their gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf import evaluation
from rar_tf.attack import Ifia, LpBall, Square
from rar_tf.attribution import Explainer
from rar_tf.evaluation import EvaluationSet, Pgd, correct, protocol, withstands
from rar_tf.evaluation.prediction_attacks import (
    likely_class,
    margin,
    strong_attack,
    targeted_margin,
)
from rar_tf.reporting import summary

PGD = Pgd(20, 0.02)
INF, TWO = LpBall("inf", 0.1), LpBall(2, 0.2)
ops = keras.ops


def linear_setting(scale=1.0, before=None, after=None):
    """Two classes, logits `scale` (0, <w, x> - w/2): the margin says which images a ball flips.

    Args:
      scale: factor of the logits.
      before: function of the images that the linear model gets.
      after: (images, logits) -> logits.
    """
    random = np.random.default_rng(0)
    w = random.standard_normal((3, 3, 1)).astype("float32")
    images = keras.Input((3, 3, 1))
    dense = keras.layers.Dense(2)
    logits = dense(keras.layers.Flatten()(images if before is None else before(images)))
    logits = logits if after is None else after(images, logits)
    offset = float(w.sum() / 2)
    weights = np.stack([0 * w.ravel(), w.ravel()], 1), np.array([0, -offset], "float32")
    dense.set_weights([scale * part for part in weights])
    x = random.uniform(0.2, 0.8, (300, 3, 3, 1)).astype("float32")
    margins = x.reshape(300, -1) @ w.ravel() - offset
    y = (margins > 0).astype("int32")
    y[:20] = 1 - y[:20]
    return keras.Model(images, logits), x, y, np.abs(margins), w


def robust(margins, w, threat):
    """Exact robust predictions of the linear model; the first 20 labels are wrong."""
    length = np.abs(w).sum() if threat.norm == "inf" else np.linalg.norm(w)
    return (margins > threat.epsilon * length) & (np.arange(300) >= 20)


def test_natural_accuracy():
    model, x, y, _, _ = linear_setting()
    result = correct(model, EvaluationSet((x, y)))
    np.testing.assert_array_equal(result.hits, np.arange(300) >= 20)
    assert not result.unattacked.any() and not result.non_finite.any()


def test_pgd_flips_exactly_what_the_margin_allows():
    model, x, y, margins, w = linear_setting()
    expected = robust(margins, w, INF)  # pixel bounds stay out of reach
    assert 0.1 < expected.mean() < 0.8
    for pgd in (PGD, Pgd(20, 0.02, restarts=3)):
        result = withstands(model, EvaluationSet((x, y)), INF, pgd, batch_size=64)
        np.testing.assert_array_equal(result.hits, expected)
        np.testing.assert_array_equal(result.attacked, np.arange(300) >= 20)
        assert not result.unattacked.any()
    two = withstands(model, EvaluationSet((x, y)), TWO, Pgd(20, 0.05))
    np.testing.assert_array_equal(two.hits, robust(margins, w, TWO))


@pytest.mark.parametrize("threat", [INF, TWO], ids=["inf", "2"])
@pytest.mark.parametrize("scale", [1e4, 1e-4])
def test_the_scale_of_the_logits_does_not_change_the_strong_figure(threat, scale):
    model, x, y, margins, w = linear_setting(scale)
    expected = robust(margins, w, threat)
    images = EvaluationSet((x, y))
    result = withstands(model, images, threat, strong_attack(threat)[:-1])
    np.testing.assert_array_equal(result.hits, expected)
    cross_entropy = withstands(model, images, threat, Pgd(20, threat.epsilon / 4))
    if scale > 1:
        # The softmax is 0 or 1 in float32: nearly all images stand, but none of them unnoticed.
        assert cross_entropy.hits.mean() > 0.8 and expected.mean() < 0.6
        left = cross_entropy.hits & ~cross_entropy.unattacked
        assert not (left & ~expected).any()
    else:
        np.testing.assert_array_equal(cross_entropy.hits, expected)
        assert not cross_entropy.unattacked.any()


def test_the_gradient_free_part_finds_the_accuracy_behind_rounded_pixels():
    """`round(255 x) / 255` is monotone: the worst corner of the ball is the linear model's."""

    def rounded(x):
        return ops.round(255 * x) / 255

    model, x, y, _, w = linear_setting(before=rounded)
    sign = np.where(y == 1, 1, -1)[:, None, None, None]
    corner = np.round(255 * (x - 0.1 * sign * np.sign(w))) / 255
    left = sign.ravel() * (np.sum(corner * w, (1, 2, 3)) - w.sum() / 2)
    images = EvaluationSet((x, y))
    weak = withstands(model, images, INF, PGD)  # no more than its random start
    assert weak.hits.mean() > np.mean(left > 0) + 0.1 and not weak.attacked.any()
    np.testing.assert_array_equal(weak.unattacked, weak.hits)
    strong = withstands(model, images, INF, (PGD, Square(400)))
    np.testing.assert_array_equal(strong.hits, left > 0)
    assert not strong.unattacked.any()
    two = withstands(model, images, TWO, Square(1000)).hits
    exact = robust(*linear_setting()[3:], TWO)
    assert exact.mean() - 0.02 < two.mean() < exact.mean() + 0.1


def test_logits_that_are_not_finite_are_wrong_and_counted():
    """Logits are NaN where the first pixel is above one half; argmax of NaN is class 0."""

    def broken(images, logits):
        return ops.where(images[:, 0, 0] > 0.5, float("nan"), logits)

    model, x, y, margins, w = linear_setting(after=broken)
    is_nan = x[:, 0, 0, 0] > 0.5
    assert (is_nan & (y == 0)).sum() > 50
    clean = correct(model, EvaluationSet((x, y)))
    np.testing.assert_array_equal(clean.non_finite, is_nan)
    np.testing.assert_array_equal(clean.hits, ~is_nan & (np.arange(300) >= 20))
    # An attack that ends at such a point has succeeded; Square looks for it, on purpose.
    near = (x[:, 0, 0, 0] > 0.4) & (np.arange(300) >= 20)
    attacked = withstands(model, EvaluationSet((x, y)), INF, Square(100))
    assert not attacked.hits[near].any()
    np.testing.assert_array_equal(attacked.hits, robust(margins, w, INF) & ~near & ~is_nan)
    assert attacked.non_finite[is_nan].all() and attacked.non_finite[near & ~is_nan].any()
    assert not attacked.non_finite[~near & ~is_nan].any()


def test_a_gradient_that_is_not_finite_is_no_attack():
    """The attacked image must not become NaN with its gradient."""

    @tf.custom_gradient
    def before(images):
        return tf.identity(images), lambda upstream: upstream * float("nan")

    layer = keras.layers.Lambda(before, output_shape=(3, 3, 1))
    model, x, y, margins, w = linear_setting(before=layer)
    result = withstands(model, EvaluationSet((x, y)), INF, PGD)
    assert result.hits.mean() > robust(margins, w, INF).mean() + 0.1
    np.testing.assert_array_equal(result.unattacked, result.hits)
    assert not result.non_finite.any() and not result.attacked.any()
    result = withstands(model, EvaluationSet((x, y)), INF, (PGD, Square(400)))
    np.testing.assert_array_equal(result.hits, robust(margins, w, INF))


@pytest.mark.parametrize("attack", [Pgd(1, 0.02), Square(60)])
def test_batches_do_not_change_the_random_numbers_and_seeds_do(attack):
    model, x, y, _, _ = linear_setting()
    images, wide = EvaluationSet((x, y)), LpBall(2, 0.3)
    hits = [
        withstands(model, images, wide, attack, batch_size=size, seed=seed).hits
        for size, seed in ((7, 0), (300, 0), (300, 1))
    ]
    np.testing.assert_array_equal(hits[0], hits[1])
    assert (hits[1] != hits[2]).any()


def test_losses():
    logits = np.array([[1.0, 5.0, 3.0, -2.0], [7.0, 0.0, 2.0, 4.0]], "float32")
    y = np.array([1, 3])
    np.testing.assert_array_equal(margin(logits, y), [-2, 3])
    np.testing.assert_array_equal(likely_class(logits, y, 0), [2, 0])
    np.testing.assert_array_equal(likely_class(logits, y, 2), [3, 1])
    np.testing.assert_array_equal(likely_class(logits, y, 3), [2, 0])
    np.testing.assert_array_equal(targeted_margin(logits, y, np.array([2, 1])), [-2, -4])
    with pytest.raises(ValueError, match="loss must be one of .*Received: loss='hinge'"):
        Pgd(1, 0.1, loss="hinge")
    with pytest.raises(ValueError, match="decay must be one of .*Received: decay='cosine'"):
        Pgd(1, 0.1, decay="cosine")


def test_targets_reach_classes_that_the_cross_entropy_passes_by():
    """Three classes: from the start the loss climbs to a flat rival, and past a steep one.

    f = (0, 10 x_0 - 9.5, x_1 - 1) around x_0 = 0.9, x_1 = 0.5 in a ball of 0.1: class 1 wins at
    x_0 = 1; class 2 never does, though its logit is the larger one at x.
    """
    images = keras.Input((1, 2, 1))
    dense = keras.layers.Dense(3)
    model = keras.Model(images, dense(keras.layers.Flatten()(images)))
    dense.set_weights([np.array([[0, 10, 0], [0, 0, 1.0]]), np.array([0, -9.5, -0.62])])
    x = np.array([0.9, 0.5], "float32").reshape(1, 1, 2, 1)
    images = EvaluationSet((x, np.array([0])))
    assert likely_class(model(x), np.array([0]), 0) == 2
    first = withstands(model, images, INF, Pgd(20, 0.02, loss="targeted_margin"))
    second = withstands(model, images, INF, Pgd(20, 0.02, 2, loss="targeted_margin"))
    assert first.hits.all() and not second.hits.any()


def quick_report(model, x, y):
    """An evaluation with tiny searches."""
    full = protocol("rar", "custom", (3, 3, 1), epsilon=0.1, k=3, explainer=Explainer(steps=2))
    attack = (Ifia(full.threat, k=3, steps=1, explainer=full.explainer),)
    return evaluation.evaluate(model, (x, y), protocol=full, attack=attack, num_examples=30)


def test_the_report_counts_what_the_attack_could_not_reach():
    model, x, y, _, _ = linear_setting(before=lambda x: ops.round(255 * x) / 255)
    # The share of the images that were wrong before, or that noise flips, is no figure.
    report = quick_report(model, x, y)
    accuracy = report.pgd_accuracy
    assert accuracy.value is None and accuracy.unattacked > 200
    assert accuracy.num_examples == 300 - accuracy.unattacked
    words = f"({accuracy.num_examples} images; {accuracy.unattacked} without loss gradient"
    assert f"PGD accuracy: - {words} not attacked)" in summary(report)
    assert 0 < report.strong_pgd_accuracy.value < 1 / 3
    assert not report.strong_pgd_accuracy.unattacked
    # A figure of the images with a gradient.
    scaled, *_ = linear_setting(scale=1e4)
    accuracy = quick_report(scaled, x, y).pgd_accuracy
    assert 0 < accuracy.unattacked < 280 and accuracy.num_examples == 300 - accuracy.unattacked
    assert accuracy.value < 0.1


def test_the_report_counts_logits_that_are_not_finite():
    def broken(images, logits):
        return ops.where(images[:, 0, 0] > 0.7, float("nan"), logits)

    model, x, y, _, _ = linear_setting(after=broken)
    x[:8, 0, 0] = 0.5  # the first images decide whether the model is refused
    is_right = (np.argmax(model(x), -1) == y) & (x[:, 0, 0, 0] <= 0.7)
    report = quick_report(model, x, y)
    count = np.sum(x[:, 0, 0, 0] > 0.7)
    assert count > 30 and report.natural_accuracy.non_finite == count
    assert report.natural_accuracy.value == pytest.approx(is_right.mean())
    assert f"; {count} with logits that are not finite)" in summary(report)
    assert report.counts["misclassified"] == 30 - is_right[:30].sum()
