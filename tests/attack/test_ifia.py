"""The attribution attack against the original's figures and a slow version of itself."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import Ifia, LocalSearch, LpBall, MapAttack, Networks, Ranking
from rar_tf.attribution import (
    Explainer,
    kendall_tau,
    spearman,
    top_k_intersection,
    top_k_mask,
)
from rar_tf.attribution.metrics import change
from rar_tf.models import softplus_twin
from tests.support import oracles

BALL = LpBall("inf", 0.1)
FEW = Explainer(steps=4)
SEED = tf.constant([1, 2])


@pytest.fixture(scope="module")
def leaky():
    """(network, twin, x [6, 6, 6, 3], its own predictions)."""
    network, twin = oracles.leaky_pair()
    x = np.random.default_rng(1).uniform(0.05, 0.95, (6, 6, 6, 3)).astype("float32")
    return network, twin, tf.constant(x), tf.argmax(network(x), -1, tf.int32)


def small(**settings) -> Ifia:
    return Ifia(
        **{"threat": BALL, "k": 8, "steps": 6, "step_size": 0.04, "explainer": FEW} | settings
    )


@pytest.mark.parametrize("score", ["top_k", "mass_center"])
def test_original_figures(score):
    figures = oracles.golden("original_ifia")
    classifier, x, _, _ = oracles.golden_setting()
    x, y = tf.constant(x[:4]), tf.constant(figures["y"].astype("int32"))
    explainer = Explainer(steps=20)
    attack = Ifia(BALL, k=100, score=score, steps=10, step_size=0.01, explainer=explainer)
    networks = Networks(softplus_twin(classifier), classifier)

    @tf.function(autograph=False)
    def run(x, y):
        first = Ifia(BALL, k=100, score=score, steps=1, step_size=0.01, explainer=explainer)
        step = first(classifier, x, y, networks=networks).x_adv[:, 0] - x
        x_adv = attack(classifier, x, y, networks=networks).x_adv[:, 0]
        return (
            step,
            x_adv,
            explainer.saliency(classifier, x, y),
            explainer.saliency(classifier, x_adv, y),
        )

    step, x_adv, before, after = (part.numpy() for part in run(x, y))
    # A step down from black, or up from white, is clipped away.
    moved = np.abs(step) > 1e-6
    assert moved.mean() > 0.4
    np.testing.assert_array_equal(np.sign(step)[moved], figures[f"{score}_first_direction"][moved])
    np.testing.assert_allclose(x_adv, figures[f"{score}_x_adv"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(before, figures[f"{score}_map_before"], rtol=0, atol=1e-4)
    metrics = [metric(before, after) for metric in (spearman, kendall_tau)]
    metrics.insert(0, top_k_intersection(before, after, 100))
    np.testing.assert_allclose(np.stack(metrics, -1), figures[f"{score}_metrics"], atol=0.01)
    if score == "top_k":
        np.testing.assert_allclose(after, figures[f"{score}_map_after"], rtol=0, atol=1e-4)


def test_slow_version_on_leaky_relu(leaky):
    network, twin, x, y = leaky
    attack = small(steps=5)
    found = tf.function(attack, autograph=False)(
        network, x, y, networks=Networks(softplus_twin(network), network), nodes_per_pass=3
    )
    settings = {"nodes": 4, "k": 8, "epsilon": 0.1, "step": 0.04, "iterations": 5}
    for i in range(3):
        x_adv, tau = oracles.slow_ifia(network, twin, x[i].numpy(), int(y[i]), **settings)
        assert found.candidate[i, 0].numpy() == (x_adv is not None)
        np.testing.assert_allclose(
            found.x_adv[i, 0], x[i] if x_adv is None else x_adv, rtol=0, atol=1e-6
        )
        maps = [
            FEW.saliency(network, image[None], y[i : i + 1]).numpy()
            for image in (x[i], found.x_adv[i, 0])
        ]
        np.testing.assert_allclose(kendall_tau(*maps), tau, atol=1e-4)


def test_custom_score(leaky):
    """log_pearson written anew, alone and in a mixture, finds what the named one finds."""
    network, twin, x, y = leaky

    def custom(maps, clean):
        a, b = (tf.math.log(part + 0.01) for part in (maps, clean))
        a, b = (part - tf.reduce_mean(part, [1, 2], keepdims=True) for part in (a, b))
        norms = tf.norm(a, axis=[1, 2]) * tf.norm(b, axis=[1, 2])
        return -tf.reduce_sum(a * b, [1, 2]) / norms

    for score, named in (
        (custom, "log_pearson"),
        ((("top_k", 1.0), (custom, 0.5)), (("top_k", 1.0), ("log_pearson", 0.5))),
    ):
        found, expected = (
            small(score=part)(network, x, y, networks=Networks(twin, network)).x_adv
            for part in (score, named)
        )
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_each_criterion_has_its_own_worst_iterate(leaky):
    network, twin, x, y = leaky
    names = ("top_k", "kendall", "spearman", "center_shift")
    found = small(select=names)(network, x, y, networks=Networks(twin, network))
    before = FEW.saliency(network, x, y).numpy()
    badness = np.stack(
        [
            change(name, before, FEW.saliency(network, found.x_adv[:, column], y).numpy(), 8)
            for column, name in enumerate(names)
        ]
    )
    for column, name in enumerate(names):
        others = [
            change(name, before, FEW.saliency(network, found.x_adv[:, i], y).numpy(), 8)
            for i in range(4)
        ]
        np.testing.assert_array_equal(np.max(others, 0), badness[column])
    alone = small(select=("top_k",))(network, x, y, networks=Networks(twin, network))
    np.testing.assert_array_equal(found.x_adv[:, 0], alone.x_adv[:, 0])


@pytest.mark.parametrize("settings", [
    {"threat": LpBall("inf", 0.1)},
    {"threat": LpBall(2, 0.5), "step_size": 0.2},
    {"score": "log_pearson", "random_start": True},
    {"score": (("top_k", 1.0), ("log_pearson", 0.5)), "decay": "linear", "momentum": 0.9},
    {"explainer": Explainer("input_gradient")},
    {"explainer": Explainer("smooth_grad", steps=3)},
    {"algorithm": "until_flip"},
    {"score": "random"},
])  # fmt: skip
def test_stays_in_the_ball_keeps_the_label_and_changes_the_map(leaky, settings):
    network, twin, x, y = leaky
    attack = small(**settings)
    found = attack(network, x, y, networks=Networks(twin, network), seed=SEED)
    x_adv = found.x_adv[:, 0]
    norm = attack.threat.norm
    length = np.linalg.norm((x_adv - x).numpy().reshape(6, -1), np.inf if norm == "inf" else 2, 1)
    assert length.max() <= attack.threat.epsilon + 1e-6
    assert x_adv.numpy().min() >= 0 and x_adv.numpy().max() <= 1
    np.testing.assert_array_equal(tf.argmax(network(x_adv), -1), y)
    np.testing.assert_array_equal(found.candidate[:, 0], length > 0)
    before, after = (attack.explainer.saliency(network, image, y).numpy() for image in (x, x_adv))
    assert np.nanmean(kendall_tau(before, after)) < 0.99


def test_target_moves_mass_into_the_region(leaky):
    network, twin, x, y = leaky
    region = np.zeros((6, 6), "float32")
    region[:2] = 1
    found = small(score="target", select=("center_shift",))(
        network, x, y, networks=Networks(twin, network), region=region
    )
    inside = [
        (FEW.saliency(network, image, y).numpy() * region).mean((1, 2))
        for image in (x, found.x_adv[:, 0])
    ]
    assert (inside[1] > inside[0]).mean() >= 0.8


def test_adversarial_attack_raises_the_loss_more_and_ignores_the_label(leaky):
    network, _, x, y = leaky
    networks = Networks(softplus_twin(network), network)
    wide = {"threat": LpBall("inf", 0.4), "step_size": 0.1, "steps": 8}
    found = small(algorithm="adversarial", weight=0.1, **wide)(network, x, y, networks=networks)
    assert (tf.argmax(network(found.x_adv[:, 0]), -1, tf.int32) != y).numpy().any()
    pure = small(algorithm="adversarial", weight=0.0, **wide)(network, x, y, networks=networks)
    before, with_map, without = (
        FEW.saliency(network, image, y).numpy()
        for image in (x, found.x_adv[:, 0], pure.x_adv[:, 0])
    )
    assert np.isfinite(kendall_tau(before, with_map)).all()
    assert not np.array_equal(with_map, without)


def test_no_candidate_where_every_step_flips_the_label():
    # Logits x1 + 2 x2 and the same plus 10 (x1 - 0.5) - 0.001: any step up in x1 flips.
    network = keras.Sequential(
        [keras.Input((1, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    network.set_weights([np.array([[1, 11], [2, 2]], "float32"), np.array([0, -5.001], "float32")])
    x, y = tf.constant([[[[0.5], [0.5]]]]), tf.constant([0])
    settings = {"k": 1, "score": "target", "steps": 5}
    region = tf.constant([[1.0, 0.0]])
    found = small(**settings)(network, x, y, region=region)
    assert not found.candidate.numpy().any() and not found.undefined.numpy().any()
    np.testing.assert_array_equal(found.x_adv[:, 0], x)
    until = small(**settings, algorithm="until_flip")(network, x, y, region=region)
    np.testing.assert_array_equal(until.x_adv[:, 0], x)


def test_undefined_metrics_are_counted():
    network = keras.Sequential(
        [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    network.set_weights([np.zeros((4, 2), "float32"), np.array([1.0, 0.0], "float32")])
    x = tf.fill([1, 2, 2, 1], 0.5)
    found = small(k=1, score="random")(network, x, tf.constant([0]), seed=SEED)
    assert found.undefined.numpy().tolist() == [True]
    assert found.candidate.numpy().tolist() == [[False]]


def test_rows_do_not_depend_on_their_batch(leaky):
    network, twin, x, y = leaky
    attack = small(random_start=True, explainer=Explainer("smooth_grad", steps=3), steps=3)
    whole = attack(network, x, y, networks=Networks(twin, network), seed=SEED)
    part = attack(network, x[2:4], y[2:4], networks=Networks(twin, network), seed=SEED, first_row=2)
    np.testing.assert_allclose(part.x_adv, whole.x_adv[2:4], atol=1e-6)


@pytest.mark.parametrize(("settings", "message"), [
    ({"score": "topk"}, "score must be of top_k, mass_center.*Received: score=topk"),
    ({"select": ("tau",)}, "select must be of top_k, kendall.*Received: select="),
    ({"decay": "cosine"}, "decay must be of constant, linear. Received: decay=cosine"),
    ({"algorithm": "pgd"}, "algorithm must be of select, until_flip, adversarial"),
    ({"second_derivatives": "relu"}, "second_derivatives must be of softplus_twin"),
    ({"k": 0}, "k must be >= 1. Received: k=0"),
    ({"step_size": 0.0}, "step_size must be > 0. Received: step_size=0.0"),
])  # fmt: skip
def test_errors_of_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)


def test_errors_of_calls(leaky):
    network, _, x, y = leaky
    with pytest.raises(ValueError, match=r"k must be in 1 \.\. 36, the pixels of a map.*k=37"):
        small(k=37)(network, x, y)
    with pytest.raises(ValueError, match="need a seed. Received: seed=None"):
        small(random_start=True)(network, x, y)
    with pytest.raises(ValueError, match="target needs a region. Received: region=None"):
        small(score="target")(network, x, y)
    with pytest.raises(ValueError, match="zero gradient at x_adv = x and needs a random start"):
        small(score="log_pearson", second_derivatives="none")(network, x, y)
    with pytest.raises(ValueError, match="method must be one of .*Received: method='ig'"):
        Explainer("ig")
    with pytest.raises(ValueError, match="sigma must be >= 0. Received: sigma=-1"):
        Explainer("smooth_grad", sigma=-1)


def test_rotating_nodes_the_clean_map_of_many_and_the_label_held(leaky):
    """The ascent written out: step i has its nodes at (k + frac(i phi)) / m, m = 2."""
    network, _, x, y = leaky
    twin = softplus_twin(network)
    few, many = Explainer(steps=2, rule="midpoint"), Explainer(steps=30)
    ball = LpBall("inf", 0.4)  # wide: labels flip on the way
    attack = small(
        threat=ball, steps=4, step_size=0.15, explainer=few, clean_explainer=many,
        rotate_nodes=True, hold_label=0.5, select=("top_k",), select_every=4,
    )  # fmt: skip
    found = attack(network, x, y, networks=Networks(twin, network)).x_adv[:, 0]
    mask = top_k_mask(many.saliency(network, x, y).numpy(), 8)
    x_adv, lost = tf.identity(x), 0
    for i in range(4):
        nodes = (np.arange(2) + (i * (5**0.5 - 1) / 2) % 1) / 2
        with tf.GradientTape() as tape:
            tape.watch(x_adv)
            gradient = 0.0
            for node in nodes.astype("float32"):
                with tf.GradientTape() as inner:
                    point = node * x_adv
                    inner.watch(point)
                    logit = tf.gather(twin(point), y, batch_dims=1)
                gradient += inner.gradient(logit, point) / 2
            magnitude = tf.reduce_sum(tf.abs(x_adv * gradient), -1)
            maps = magnitude / tf.reduce_mean(magnitude, [1, 2], keepdims=True)
            logits = network(x_adv)
            others = tf.where(tf.one_hot(y, logits.shape[1]) > 0, -1e9, logits)
            margin = tf.gather(logits, y, batch_dims=1) - tf.reduce_max(others, 1)
            value = -tf.reduce_mean(maps * mask, [1, 2]) + 0.5 * tf.minimum(margin, 0.0)
        lost += int(tf.math.count_nonzero(margin < 0))
        x_adv = ball.project(x_adv + 0.15 * tf.sign(tape.gradient(value, x_adv)), x)
    kept = tf.argmax(network(x_adv), -1, y.dtype) == y
    moved = tf.reduce_any(found != x, [1, 2, 3])
    assert lost >= 2 and tf.reduce_sum(tf.cast(kept & moved, tf.int32)) >= 2
    np.testing.assert_allclose(found[kept & moved], x_adv[kept & moved], rtol=0, atol=1e-6)


def test_a_known_clean_map_is_not_computed_again(leaky):
    network, twin, x, y = leaky
    attack = small(clean_explainer=Explainer(steps=9))
    clean = Explainer(steps=9).saliency(network, x, y)
    given, own = (
        attack(network, x, y, networks=Networks(twin, network), clean=part).x_adv
        for part in (clean, None)
    )
    np.testing.assert_array_equal(given, own)


def test_rotation_is_of_midpoints():
    with pytest.raises(ValueError, match="rotate_nodes=True is for .* Received: explainer=Expl"):
        small(rotate_nodes=True, explainer=Explainer(steps=4))


def test_it_makes_its_own_networks(leaky):
    """Without `networks` the attack is that with `Ifia.networks`, also inside a graph."""
    network, _, x, y = leaky
    attack = small(steps=3)
    expected = attack(network, x, y, networks=attack.networks(network)).x_adv
    np.testing.assert_array_equal(attack(network, x, y).x_adv, expected)
    graph = tf.function(attack, autograph=False)(network, x, y).x_adv
    np.testing.assert_allclose(graph, expected, rtol=0, atol=1e-5)


def test_errors_of_map_attacks():
    search = small()
    for searches in ((), [search], (search, "ifia")):
        with pytest.raises(ValueError, match="searches must be a tuple of Ifia or RandomSearch"):
            MapAttack("mine", searches)
    with pytest.raises(ValueError, match="refinements need a ranking. Received: ranking=None"):
        MapAttack("mine", (search,), refinements=(LocalSearch(search.threat, k=2),))
    for keep in ((), (("kendall", 0),), (("tau", 1),)):
        with pytest.raises(ValueError, match="keep must be pairs of a criterion and a number"):
            Ranking(Explainer(), keep=keep)


def test_the_criterion_is_the_first_search_s():
    first, second = small(select=("kendall", "top_k")), small(algorithm="until_flip")
    assert MapAttack("mine", (first, second)).criterion == "kendall"
    assert MapAttack("mine", (first,), worst_of_each_metric=True).criterion is None
