"""Accuracies against the closed form of a linear model."""

import keras
import numpy as np

from rar_tf.attack import LpBall
from rar_tf.evaluation import EvaluationSet, Pgd, correct, withstands


def linear_setting():
    """Two classes, logits (0, <w, x> - w/2): the margin says which images a ball flips."""
    random = np.random.default_rng(0)
    w = random.standard_normal((3, 3, 1)).astype("float32")
    model = keras.Sequential(
        [keras.Input((3, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    offset = float(w.sum() / 2)
    model.set_weights([np.stack([0 * w.ravel(), w.ravel()], 1), np.array([0, -offset], "float32")])
    x = random.uniform(0.2, 0.8, (300, 3, 3, 1)).astype("float32")
    margin = x.reshape(300, -1) @ w.ravel() - offset
    y = (margin > 0).astype("int32")
    y[:20] = 1 - y[:20]
    return model, x, y, np.abs(margin), w


def test_natural_accuracy():
    model, x, y, _, _ = linear_setting()
    np.testing.assert_array_equal(correct(model, EvaluationSet((x, y))), np.arange(300) >= 20)


def test_pgd_flips_exactly_what_the_margin_allows():
    model, x, y, margin, w = linear_setting()
    epsilon = 0.1  # pixel bounds stay out of reach
    expected = (margin > epsilon * np.abs(w).sum()) & (np.arange(300) >= 20)
    assert 0.1 < expected.mean() < 0.8
    for pgd in (Pgd(20, 0.02), Pgd(20, 0.02, restarts=3)):
        hits = withstands(model, EvaluationSet((x, y)), LpBall("inf", epsilon), pgd, batch_size=64)
        np.testing.assert_array_equal(hits, expected)
    two = withstands(model, EvaluationSet((x, y)), LpBall(2, 0.2), Pgd(20, 0.05))
    expected = (margin > 0.2 * np.linalg.norm(w)) & (np.arange(300) >= 20)
    np.testing.assert_array_equal(two, expected)


def test_batches_do_not_change_the_starts():
    model, x, y, _, _ = linear_setting()
    hits = [
        withstands(model, EvaluationSet((x, y)), LpBall("inf", 0.1), Pgd(1, 0.02), batch_size=size)
        for size in (7, 300)
    ]
    np.testing.assert_array_equal(*hits)
