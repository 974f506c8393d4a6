"""Searches without gradients, on networks of two pixels and against their own candidates."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import FAMILIES, LocalSearch, LpBall, RandomSearch, random_point
from rar_tf.attribution import Explainer, kendall_tau
from rar_tf.attribution.metrics import change
from tests.support import tiny_classifier

BALL = LpBall("inf", 0.1)
FEW = Explainer(steps=4)
SEED = tf.constant([1, 2])
CRITERIA = ("top_k", "kendall", "center_shift")


@pytest.fixture(scope="module")
def tiny():
    """(network, x [8, 6, 5, 3] away from the bounds, its own predictions)."""
    network = tiny_classifier.classifier()
    x = tf.constant(0.2 + 0.6 * tiny_classifier.images(8))
    return network, x, tf.argmax(network(x), -1, tf.int32)


def two_pixels(slope: float) -> tuple[keras.Model, tf.Tensor, tf.Tensor]:
    """(network, x, y): logits x1 + 1.2 x2 and the same plus `slope (x1 - x2) - 0.1`.

    The map of x = (1/2, 1/2) is proportional to (1, 1.2), of the corner (d1, d2) to
    (1/2 + d1, 1.2 (1/2 + d2)). By the shift of the centre of mass the corners rank (+, -), where
    the order of the pixels turns, then (-, +). With slope 1 the former has another label.
    """
    network = keras.Sequential(
        [keras.Input((1, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    kernel = np.array([[1, 1 + slope], [1.2, 1.2 - slope]], "float32")
    network.set_weights([kernel, np.array([0, -0.1], "float32")])
    return network, tf.fill([1, 1, 2, 1], 0.5), tf.constant([0])


def always_another_label() -> keras.Model:
    """Logits 0 and `10 |x1 - 1/2| + 10 |x2 - 1/2| - 0.001`: label 0 at (1/2, 1/2) alone."""
    network = keras.Sequential(
        [
            keras.Input((1, 2, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(4, activation="relu"),
            keras.layers.Dense(2),
        ]
    )
    inner = 10 * np.array([[1, -1, 0, 0], [0, 0, 1, -1]], "float32")
    outer = np.array([[0, 1]] * 4, "float32")
    network.set_weights([inner, -inner.sum(0) / 2, outer, np.array([0, -0.001], "float32")])
    return network


def random_search(**settings) -> RandomSearch:
    return RandomSearch(**{"threat": BALL, "k": 8, "count": 12, "explainer": FEW} | settings)


def local_search(**settings) -> LocalSearch:
    return LocalSearch(**{"threat": BALL, "k": 8, "count": 20, "explainer": FEW} | settings)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("slope", "corner"), [(0.0, (0.6, 0.4)), (1.0, (0.4, 0.6))])
def test_the_best_corner_of_two_pixels(family, slope, corner):
    network, x, y = two_pixels(slope)
    settings = {"k": 1, "select": ("center_shift",), "count": 40}
    found = random_search(family=family, **settings)(network, x, y, seed=SEED)
    assert found.candidate.numpy().all() and not found.undefined.numpy().any()
    np.testing.assert_allclose(tf.reshape(found.x_adv, [2]), corner, rtol=0, atol=1e-6)
    # The order of the pixels turns at (+, -) alone.
    tau = kendall_tau(*(FEW.saliency(network, p, y).numpy() for p in (x, found.x_adv[:, 0])))
    assert tau == (1 if slope else -1)


@pytest.mark.parametrize(
    ("slope", "start", "corner"),
    [(0.0, (0.5, 0.5), (0.6, 0.4)), (1.0, (0.4, 0.5), (0.4, 0.6))],
)
def test_a_local_search_finds_the_best_corner(slope, start, corner):
    """From x, which does not count, the first change of the same label takes its place."""
    network, x, y = two_pixels(slope)
    start = tf.reshape(tf.constant(start), x.shape)
    search = local_search(k=1, criterion="center_shift", count=40)
    found = search(network, x, y, start, seed=SEED)
    assert found.candidate.numpy().all()
    np.testing.assert_allclose(tf.reshape(found.x_adv, [2]), corner, rtol=0, atol=1e-6)


def test_no_candidate_where_every_change_flips_the_label():
    network, x, y = always_another_label(), tf.fill([1, 1, 2, 1], 0.5), tf.constant([0])
    for family in FAMILIES:
        found = random_search(k=1, family=family)(network, x, y, seed=SEED)
        assert not found.candidate.numpy().any() and not found.undefined.numpy().any()
        np.testing.assert_array_equal(found.x_adv[:, 0], x)
    # A start of another label is no result either.
    for start in (x, x + 0.05):
        found = local_search(k=1)(network, x, y, start, seed=SEED)
        assert not found.candidate.numpy().any() and not found.undefined.numpy().any()
        np.testing.assert_array_equal(found.x_adv[:, 0], x)


def test_undefined_metrics_are_counted():
    """The map of a constant logit is 0 whatever the image."""
    network, x, y = two_pixels(0.0)
    network.set_weights([np.zeros((2, 2), "float32"), np.array([1, 0], "float32")])
    for found in (
        random_search(k=1)(network, x, y, seed=SEED),
        local_search(k=1)(network, x, y, x, seed=SEED),
        local_search(k=1)(network, x, y, x + 0.05, seed=SEED),
    ):
        assert found.undefined.numpy().all() and not found.candidate.numpy().any()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ball", [BALL, LpBall(2, 1.0)], ids=["inf", "2"])
def test_the_best_of_all_candidates(tiny, family, ball):
    """Recomputed one candidate at a time: its label, its map, its place by each criterion."""
    network, x, y = tiny
    search = random_search(threat=ball, family=family, select=CRITERIA)
    found = tf.function(search, autograph=False)(network, x, y, seed=SEED, first_row=5)
    before = FEW.saliency(network, x, y).numpy()
    points, values = [], []
    for i in range(search.count):
        key = tf.random.experimental.stateless_fold_in(SEED, i)
        point = random_point(family, x, ball, key, 5)
        after = FEW.saliency(network, point, y).numpy()
        is_kept = (tf.argmax(network(point), -1, tf.int32) == y).numpy()
        badness = [np.where(is_kept, change(c, before, after, 8), -np.inf) for c in CRITERIA]
        points.append(point.numpy())
        values.append(badness)
    best = np.argmax(values, 0)  # [criteria, images]
    assert np.isneginf(values).any() and len(np.unique(best)) > 3
    for column in range(len(CRITERIA)):
        for image in range(len(x)):
            expected = points[best[column, image]][image]
            np.testing.assert_allclose(found.x_adv[image, column], expected, rtol=0, atol=1e-6)
    assert found.candidate.numpy().all()


def test_rows_do_not_depend_on_their_batch(tiny):
    network, x, y = tiny
    for family in FAMILIES:
        search = random_search(family=family)
        whole = search(network, x, y, seed=SEED)
        part = search(network, x[3:5], y[3:5], seed=SEED, first_row=3)
        np.testing.assert_allclose(part.x_adv, whole.x_adv[3:5], rtol=0, atol=1e-6)
    whole = local_search()(network, x, y, x, seed=SEED)
    part = local_search()(network, x[3:5], y[3:5], x[3:5], seed=SEED, first_row=3)
    np.testing.assert_allclose(part.x_adv, whole.x_adv[3:5], rtol=0, atol=1e-6)


@pytest.mark.parametrize("criterion", [*CRITERIA, "top_k_and_kendall"])
@pytest.mark.parametrize("ball", [BALL, LpBall(2, 1.0)], ids=["inf", "2"])
def test_a_local_search_improves_its_start_inside_the_ball(tiny, criterion, ball):
    network, x, y = tiny
    start = random_search(threat=ball, select=(criterion,), count=4)(network, x, y, seed=SEED)
    assert start.candidate.numpy().all()
    start = start.x_adv[:, 0]
    search = local_search(threat=ball, criterion=criterion, count=40)
    found = tf.function(search, autograph=False)(network, x, y, start, seed=SEED).x_adv[:, 0]
    before, first, last = (FEW.saliency(network, part, y).numpy() for part in (x, start, found))
    gain = change(criterion, before, last, 8) - change(criterion, before, first, 8)
    assert (gain >= 0).all() and (gain > 0).sum() >= 3
    np.testing.assert_array_equal(tf.argmax(network(found), -1, tf.int32), y)
    length = np.linalg.norm((found - x).numpy().reshape(8, -1), np.inf if ball == BALL else 2, 1)
    assert length.max() <= ball.epsilon * (1 + 1e-5)
    assert found.numpy().min() >= 0 and found.numpy().max() <= 1


def test_a_local_search_stays_within_the_pixel_bounds(tiny):
    network, x, _ = tiny
    x = tf.round(x)
    y = tf.argmax(network(x), -1, tf.int32)
    for ball in (BALL, LpBall(2, 1.0)):
        found = local_search(threat=ball)(network, x, y, x, seed=SEED)
        assert found.candidate.numpy().any()
        assert found.x_adv.numpy().min() >= 0 and found.x_adv.numpy().max() <= 1


def test_a_change_is_a_rectangle_of_one_sign(tiny):
    """From x the l_inf ball's first change is +-epsilon on a rectangle, in all channels."""
    network, x, y = tiny
    run = tf.function(
        lambda seed: local_search(count=1)(network, x, y, x, seed=seed), autograph=False
    )
    changes = []
    for seed in range(12):
        found = run(tf.constant([seed, 0]))
        changes += list((found.x_adv[:, 0] - x).numpy()[found.candidate.numpy()[:, 0]])
    assert len(changes) > 20
    sizes = set()
    for part in changes:
        rows, columns = (np.flatnonzero(part.any(axes)) for axes in ((1, 2), (0, 2)))
        inside = part[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        np.testing.assert_allclose(inside, np.sign(inside[0, 0, 0]) * 0.1, rtol=0, atol=1e-6)
        assert np.count_nonzero(part) == inside.size
        sizes.add(inside.shape[:2])
    assert len(sizes) > 3 and max(height * width for height, width in sizes) <= 0.16 * 30 + 2


def test_equal_changes_take_the_place_of_the_start():
    """The order of two pixels never turns: every point of the same label is as good."""
    network, x, y = two_pixels(0.0)
    x = tf.repeat(x, 60, 0) + tf.constant([[[[0.0], [0.3]]]])
    y = tf.repeat(y, 60, 0)
    start = x + 0.02
    found = local_search(k=1, count=1)(network, x, y, start, seed=SEED)
    moved = tf.reduce_any(found.x_adv[:, 0] != start, [1, 2, 3])
    assert found.candidate.numpy().all() and moved.numpy().mean() > 0.9


@pytest.mark.parametrize(("make", "settings", "message"), [
    (random_search, {"family": "pixels"}, "family must be one of .*Did you mean 'pixel'?"),
    (random_search, {"select": ("tau",)}, "select must be one of .*Received: select='tau'"),
    (random_search, {"select": ()}, "select must be one of .*Received: select='none'"),
    (random_search, {"count": 0}, "count must be >= 1. Received: count=0"),
    (random_search, {"k": 0}, "k must be >= 1. Received: k=0"),
    (local_search, {"criterion": "tau"}, "criterion must be one of .*Received: criterion='tau'"),
    (local_search, {"count": 0}, "count must be >= 1. Received: count=0"),
])  # fmt: skip
def test_errors_of_settings(make, settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


def test_errors_of_calls(tiny):
    network, x, y = tiny
    with pytest.raises(ValueError, match=r"k must be in 1 \.\. 30, the pixels of a map.*k=31"):
        random_search(k=31)(network, x, y, seed=SEED)
    with pytest.raises(ValueError, match=r"k must be in 1 \.\. 30, the pixels of a map.*k=31"):
        local_search(k=31)(network, x, y, x, seed=SEED)
