"""Square Attack against scores whose maximum is known, and its windows against the paper's."""

import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import LpBall, Square
from rar_tf.attack.square import _bump

SEED = [3, 0]


def images(shape, low=0.0, high=1.0):
    return np.random.default_rng(0).uniform(low, high, shape).astype("float32")


def attack(score, x, threat, queries, seed=SEED, first_row=0):
    """The search in a graph, labels 0."""
    y = np.zeros(len(x), "int32")
    search = tf.function(
        lambda x: Square(queries)(score, x, y, threat, seed=seed, first_row=first_row),
        autograph=False,
    )
    return search(tf.constant(x))


def linear_score(shape, offset=1e3):
    """(score, w): `<w, x> - offset`, at no point positive."""
    w = np.random.default_rng(1).standard_normal(shape[1:]).astype("float32")
    return lambda x, y: tf.reduce_sum(x * w, [1, 2, 3]) - offset, w


@pytest.mark.parametrize("threat", [LpBall("inf", 0.1), LpBall(2, 0.8), LpBall("inf", 0.1, None)])
@pytest.mark.parametrize("shape", [(5, 9, 6, 3), (3, 28, 28, 1), (4, 1, 1, 2), (4, 2, 5, 1)])
def test_stays_in_the_ball_and_the_pixel_bounds(threat, shape):
    x = images(shape)
    x[0] = 0
    x[1] = 1
    score, _ = linear_score(shape)
    start, end = (attack(score, x, threat, queries) for queries in (1, 80))
    difference = (end - x).numpy().reshape(len(x), -1)
    norm = np.inf if threat.norm == "inf" else 2
    assert np.linalg.norm(difference, norm, axis=1).max() <= threat.epsilon * (1 + 1e-5)
    if threat.bounds:
        assert end.numpy().min() >= 0 and end.numpy().max() <= 1
    assert (score(end, None).numpy() >= score(start, None).numpy()).all()
    assert np.abs(difference[2:]).max(1).min() > 0


def test_finds_the_corner_that_maximizes_a_linear_score():
    x = images((20, 4, 3, 2), 0.2, 0.8)
    score, w = linear_score(x.shape)
    end = attack(score, x, LpBall("inf", 0.1), 1500)
    np.testing.assert_allclose(end - x, np.broadcast_to(0.1 * np.sign(w), x.shape), atol=1e-6)


def test_comes_near_the_maximum_of_a_linear_score_in_the_l2_ball():
    x = images((20, 8, 8, 1), 0.4, 0.6)
    score, w = linear_score(x.shape)
    end = attack(score, x, LpBall(2, 0.3), 3000)
    np.testing.assert_allclose(np.linalg.norm((end - x).numpy().reshape(20, -1), axis=1), 0.3, 1e-4)
    gain = np.sum((end - x) * w, (1, 2, 3)) / (0.3 * np.linalg.norm(w))
    assert gain.min() > 0.7 and gain.max() <= 1 + 1e-5


@pytest.mark.parametrize("threat", [LpBall("inf", 0.1), LpBall(2, 0.8)])
def test_rows_do_not_depend_on_the_batch_and_differ_by_seed(threat):
    x = images((9, 8, 8, 1))
    score, _ = linear_score(x.shape)
    whole = attack(score, x, threat, 20)
    parts = [attack(score, x[rows], threat, 20, SEED, rows.start) for rows in np.s_[0:2, 2:9]]
    np.testing.assert_allclose(whole, tf.concat(parts, 0), atol=1e-6)
    eager = Square(20)(score, x, np.zeros(9, int), threat, seed=SEED)
    np.testing.assert_allclose(whole, eager, atol=1e-6)
    other = attack(score, x, threat, 20, [4, 0])
    assert np.abs(whole - other).max((1, 2, 3)).min() > 0.01


def test_an_example_with_a_positive_score_is_not_queried_further():
    """Rows with label 1 have a positive score from the start; the others are queried to the end."""
    x = images((6, 8, 8, 1))
    counts = []

    def score(points, labels):
        counts.append(len(labels))
        return tf.reduce_mean(points, [1, 2, 3]) + 100 * (tf.cast(labels, tf.float32) - 0.5)

    y = np.array([1, 0, 1, 0, 0, 1])
    start = Square(120)(score, x, np.ones(6, int), LpBall("inf", 0.1), seed=SEED)
    assert counts == [6]
    end = Square(120)(score, x, y, LpBall("inf", 0.1), seed=SEED)
    assert counts == [6, 6] + [3] * 119
    same = np.abs(end - start).max((1, 2, 3)) == 0
    np.testing.assert_array_equal(same, y == 1)


def test_the_window_shrinks_as_published():
    """p = 0.8, halved after 10, 50, 200, .. of 10,000 queries; side sqrt(p H W)  [sec. 5]."""
    sides = Square(10_000)._windows(LpBall("inf", 0.1), 28, 28)
    expected = {0: 25, 10: 25, 11: 18, 50: 18, 51: 13, 201: 9, 501: 6, 1001: 4, 8001: 1, 9999: 1}
    assert {i: sides[i] for i in expected} == expected
    # The same shares of fewer queries; in the l2 ball odd sides of at least 3.
    assert Square(1000)._windows(LpBall("inf", 0.1), 28, 28) == sides[::10]
    two = Square(10_000)._windows(LpBall(2, 1.0), 28, 28)
    assert {i: two[i] for i in (0, 11, 201, 1001, 9999)} == {
        0: 25, 11: 19, 201: 9, 1001: 5, 9999: 3,
    }  # fmt: skip


@pytest.mark.parametrize("side", [1, 2, 3, 5, 8])
def test_the_bump_is_that_of_the_paper(side):
    """Eq. 2 literally: sums over rectangles around the middle, one half negative."""

    def peak(height, width):
        values = np.zeros((height, width))
        for m in range(max(height // 2 + 1, width // 2 + 1)):
            top, left = height // 2 - m, width // 2 - m
            rows = slice(max(top, 0), max(min(top + 2 * m + 1, height), 0))
            values[rows, max(left, 0) : min(left + 2 * m + 1, width)] += 1 / (m + 1) ** 2
        return values / np.linalg.norm(values) if height else values

    expected = np.concatenate([peak(side // 2, side), -peak(side - side // 2, side)])
    np.testing.assert_allclose(_bump(side), expected / np.linalg.norm(expected), rtol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="queries must be >= 1. Received: queries=0"):
        Square(0)
    with pytest.raises(ValueError, match=r"fraction must be in \(0, 1\]. Received: fraction=1.5"):
        Square(10, 1.5)
    with pytest.raises(ValueError, match=r"x must be \[B, H, W, C\]"):
        Square(3)(None, np.zeros((2, 3), "float32"), [0, 0], LpBall(), seed=SEED)
