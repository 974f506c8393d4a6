"""The papers' settings as published, and what overrides do to them."""

import pytest

from rar_tf.attack import FAMILIES, Ifia, RandomSearch
from rar_tf.attribution import Explainer
from rar_tf.evaluation import Pgd, protocol

SHAPE = (28, 28, 1)


@pytest.mark.parametrize(("dataset", "shape", "epsilon", "k", "attack_k", "steps", "size", "pgd"), [
    ("mnist", SHAPE, 0.3, 100, 200, 100, 0.01, Pgd(40, 0.01)),
    ("fashion_mnist", SHAPE, 0.1, 100, 100, 100, 0.01, Pgd(20, 0.01)),
    ("gtsrb", (32, 32, 3), 8 / 255, 100, 100, 50, 1 / 255, Pgd(7, 2 / 255)),
    ("oxford_flowers17", (128, 128, 3), 8 / 255, 1000, 1000, 100, 1 / 255, Pgd(7, 2 / 255)),
])  # fmt: skip
def test_rar(dataset, shape, epsilon, k, attack_k, steps, size, pgd):
    rar = protocol("rar", dataset, shape)
    assert (rar.threat.epsilon, rar.threat.norm, rar.k, rar.pgd) == (epsilon, "inf", k, pgd)
    (original,) = rar.attack("original").searches
    assert (original.k, original.metric_k, original.steps) == (attack_k, k, steps)
    assert original.step_size == size and not original.random_start
    assert original.explainer == rar.explainer == Explainer("integrated_gradients", 100, "right")
    assert (original.second_derivatives, original.select) == ("softplus_twin", ("kendall",))


@pytest.mark.parametrize(("dataset", "epsilon", "k"), [
    ("mnist", 0.3, 50), ("fashion_mnist", 0.1, 50), ("cifar10", 0.03, 100), ("gtsrb", 0.03, 100),
    ("restricted_imagenet", 0.01, 300),
])  # fmt: skip
def test_far(dataset, epsilon, k):
    far = protocol("far", dataset, (32, 32, 3))
    assert (far.threat.epsilon, far.k) == (epsilon, k)
    assert far.pgd == Pgd(40, 0.03 * epsilon)
    runs = far.attack("original").searches
    assert [run.random_start for run in runs] == [False, True, True]
    for run in runs:
        assert (run.steps, run.algorithm, run.softplus_beta) == (7, "until_flip", 1.0)
        assert run.step_size == pytest.approx(1.2 / 7 * epsilon)
        assert run.second_derivatives == "softplus_second_derivative"


def test_steps_keep_their_share_of_another_radius():
    rar = protocol("rar", "fashion_mnist", SHAPE, epsilon=0.2, k=7, norm=2)
    assert (rar.threat.epsilon, rar.threat.norm, rar.k, rar.attack_k) == (0.2, 2, 7, 7)
    assert rar.pgd == Pgd(20, 0.02)
    assert rar.attack("original").searches[0].step_size == 0.02


def test_unknown_data_sets_take_a_tenth_of_the_pixels():
    rar = protocol("rar", "folder:mine", (20, 30, 3))
    assert (rar.dataset, rar.k, rar.threat.epsilon) == ("other", 60, 8 / 255)
    assert protocol("far", "folder:mine", (2, 2, 1)).k == 1


@pytest.mark.parametrize("name", ["rar", "far"])
def test_the_worst_case_has_searches_with_and_without_gradients(name):
    fashion = protocol(name, "fashion_mnist", SHAPE)
    attack = fashion.attack("worst_case")
    kinds = [type(search) for search in attack.searches]
    assert kinds.count(RandomSearch) == 3 and kinds.count(Ifia) == 6
    assert {s.family for s in attack.searches if isinstance(s, RandomSearch)} == set(FAMILIES)
    assert attack.worst_of_each_metric and not attack.counts_unchanged
    assert {search.criterion for search in attack.refinements} == {"top_k", "kendall"}
    for search in (*attack.searches, *attack.refinements):
        assert search.threat == fashion.threat and search.clean_explainer == fashion.explainer
    assert {search.k for search in attack.refinements} == {fashion.k}


def test_errors():
    with pytest.raises(ValueError, match="protocol must be one of .*Did you mean 'rar'?"):
        protocol("rr", "mnist", SHAPE)
    with pytest.raises(ValueError, match=r"k must be in 1 \.\. 783, .* 28x28. Received: k=784"):
        protocol("rar", "mnist", SHAPE, k=784)
    with pytest.raises(ValueError, match="norm 2 needs an epsilon. Received: norm=2"):
        protocol("rar", "mnist", SHAPE, norm=2)
    with pytest.raises(ValueError, match=r"epsilon must be <= 1, .*epsilon=8.* 8/255 = 0\.0314"):
        protocol("rar", "mnist", SHAPE, epsilon=8)
    with pytest.raises(ValueError, match=r"<= 28, the largest l2 distance of two images 28x28x1"):
        protocol("rar", "mnist", SHAPE, norm=2, epsilon=128)
    assert protocol("rar", "mnist", SHAPE, norm=2, epsilon=2.0).threat.epsilon == 2.0
    with pytest.raises(ValueError, match="attack must be one of .*Received: attack='best'"):
        protocol("rar", "mnist", SHAPE).attack("best")
    with pytest.raises(ValueError, match="restarts must be >= 1. Received: restarts=0"):
        Pgd(1, 0.1, 0)
    with pytest.raises(ValueError, match="step_size must be > 0. Received: step_size=0"):
        Pgd(1, 0)


CUSTOM = """
from rar_tf.attack import Ifia, MapAttack

def searches(protocol):
    return (Ifia(protocol.threat, k=5, steps=2),)

def attack(protocol):
    return MapAttack("mine", searches(protocol), worst_of_each_metric=True)

def wrong(protocol):
    return [protocol]
"""


def test_a_custom_attack_is_a_tuple_of_searches_or_a_map_attack(tmp_path, monkeypatch):
    (tmp_path / "custom_attacks.py").write_text(CUSTOM)
    monkeypatch.syspath_prepend(tmp_path)
    fashion = protocol("rar", "fashion_mnist", SHAPE)
    plain = fashion.attack("custom_attacks:searches")
    assert plain.name == "custom_attacks:searches" and not plain.worst_of_each_metric
    value = fashion.attack("custom_attacks:attack")
    assert value.name == "custom_attacks:attack" and value.worst_of_each_metric
    assert value.searches == plain.searches and value.searches[0].threat == fashion.threat
    with pytest.raises(ValueError, match="attack=custom_attacks:wrong must return a MapAttack or"):
        fashion.attack("custom_attacks:wrong")
