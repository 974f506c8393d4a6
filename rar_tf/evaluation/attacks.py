"""Named attacks on maps, built around the attack of the protocol's paper."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from rar_tf.attack import FAMILIES, Ifia, LocalSearch, MapAttack, RandomSearch, Ranking
from rar_tf.attribution import METHODS, Explainer, is_differentiable
from rar_tf.papers import far, rar

_PAPERS = {"rar": rar, "far": far}
CUSTOM_ATTACK = "custom"
# Weight of the smooth surrogate of Kendall's tau beside the top-k mass.
_SURROGATE_WEIGHT = 0.025
# Factors of the searches' lengths where they replace searches along a gradient.
_LONGER_RANDOM, _LONGER_LOCAL = 4, 16
# Metrics of which `worst_case` searches the worst, each by itself.
_HEADLINE_METRICS = ("top_k", "kendall")
# Precision of coarse maps.
_COARSE_PRECISION = "mixed_bfloat16"


def original(search: Ifia, paper: str) -> MapAttack:
    """The attack of the paper.

    [RAR]: the protocol's own map in score and selection, the softplus twin, each iterate's
    Kendall. [FAR Algorithm 1, Table 2]: softplus second derivative with beta 1, three runs, the
    first from x, the others from random starts.

    Args:
      search: a search by the protocol's settings.
      paper: name of the protocol's paper.
    """
    first = dataclasses.replace(search, **_PAPERS[paper].MAP_ATTACK)
    restart = dataclasses.replace(first, random_start=True)
    searches = (first, *[restart] * _PAPERS[paper].MAP_ATTACK_RESTARTS)
    return MapAttack("original", searches, counts_unchanged=True)


def quick(search: Ifia, paper: str) -> MapAttack:
    """Two short searches on coarse maps, one from x and one from a random start.

    The score is the top-k mass plus 0.025 times the smooth surrogate `log_pearson`, on the
    softplus twin, with a penalty where the label flips. The iterate of the lowest mean of top-k
    intersection and Kendall is selected. Each search takes 15% of the paper's steps, as much
    larger, with 8 rotating midpoint nodes, in bfloat16.
    """
    del paper
    # At least 15 steps: 15% of FAR's seven would be one.
    steps = max(round(0.15 * search.steps), 15)
    coarse = _coarse(search.explainer, 8)
    first = dataclasses.replace(
        search,
        score=(("top_k", 1.0), ("log_pearson", _SURROGATE_WEIGHT)),
        steps=steps,
        step_size=search.step_size * max(search.steps / steps, 1.0),
        select=("top_k_and_kendall",),
        hold_label=1.0,
        explainer=coarse,
        rotate_nodes=coarse.method == METHODS[0],
        clean_explainer=search.explainer,
        precision=_COARSE_PRECISION,
    )
    # Two short searches find more of the maxima than a long one.
    return MapAttack("quick", (first, dataclasses.replace(first, random_start=True)))


def worst_case(search: Ifia, paper: str) -> MapAttack:
    """The worst of gradient and gradient-free searches, for each metric by itself.

    Gradient searches on smooth surrogates of both metrics, with steps that shrink; random
    perturbations of three families; and a local search from the best point by each metric. Coarse
    maps rank the points, the worst are measured by the protocol's map.
    benchmarks/worst_case.py compares it with random searches of the same cost.
    """
    del paper
    ranking = _coarse(search.explainer, 16)
    shared: dict[str, Any] = {
        "threat": search.threat,
        "k": search.metric_k or search.k,
        "clean_explainer": search.explainer,
        "precision": _COARSE_PRECISION,
    }
    random = (
        RandomSearch(
            **shared,
            family=family,
            count=8,
            select=_HEADLINE_METRICS,
            explainer=_coarse(search.explainer, 8),
        )
        for family in FAMILIES
    )
    local = (
        LocalSearch(**shared, criterion=criterion, count=24, explainer=ranking)
        for criterion in _HEADLINE_METRICS
    )
    return MapAttack(
        "worst_case",
        (*_gradient_searches(search), *random),
        worst_of_each_metric=True,
        ranking=Ranking(ranking, _COARSE_PRECISION, tuple((name, 1) for name in _HEADLINE_METRICS)),
        refinements=tuple(local),
    )


def _gradient_searches(search: Ifia) -> tuple[Ifia, ...]:
    """Gradient searches of `worst_case`: three on IN's surrogate, three on CO's.

    They differ in the width of the surrogate, in the second derivative of ReLU and in the
    frequency of the perturbation, as no one of them finds the worst of every image.
    """
    gradient = dataclasses.replace(
        search,
        score="soft_top_k",
        softness=0.25,
        steps=20,
        step_size=search.threat.epsilon / 2,
        decay="linear",
        random_start=True,
        hold_label=1.0,
        select=_HEADLINE_METRICS,
        select_every=5,
        explainer=_coarse(search.explainer, 8),
        rotate_nodes=search.explainer.method == METHODS[0],
        clean_explainer=search.explainer,
        selection_explainer=_coarse(search.explainer, 16),
        second_derivatives="softplus_second_derivative",
        softplus_beta=4.0,
        precision=_COARSE_PRECISION,
    )
    soft = dataclasses.replace(gradient, softness=0.5)
    sharp_twin = dataclasses.replace(
        soft,
        explainer=_coarse(search.explainer, 5),
        second_derivatives="softplus_twin",
        softplus_beta=10.0,
    )
    correlation = dataclasses.replace(sharp_twin, score="soft_kendall", softplus_beta=1.0)
    other_derivative = dataclasses.replace(
        correlation, second_derivatives="softplus_second_derivative"
    )
    low_frequency = dataclasses.replace(correlation, gradient_smoothing=0.05, steps=10)
    return gradient, soft, sharp_twin, correlation, other_derivative, low_frequency


def for_map(
    attack: MapAttack, explainer: Explainer, classifier: keras.Model, x: tf.Tensor, y: tf.Tensor
) -> MapAttack:
    """The attack for a map: of a map without gradient its searches that need none, and longer ones.

    Args:
      attack: the attack.
      explainer: the map to attack.
      classifier: images -> logits.
      x: [B, H, W, C] float32, images to try the map with; one is enough.
      y: [B] int, classes.

    Raises:
      ValueError: an attack that only follows gradients, on a map without one.
    """
    if is_differentiable(explainer, classifier, x, y):
        return attack
    searches = tuple(
        dataclasses.replace(search, count=_LONGER_RANDOM * search.count)
        if isinstance(search, RandomSearch)
        else search
        for search in attack.searches
        if not search.uses_gradient
    )
    if not searches:
        raise ValueError(
            "a map without gradient needs an attack with searches without gradients, such as "
            f"worst_case. Received: attack={attack.name}"
        )
    refinements = tuple(
        dataclasses.replace(search, count=_LONGER_LOCAL * search.count)
        for search in attack.refinements
    )
    return dataclasses.replace(attack, searches=searches, refinements=refinements)


# Name -> (search by the protocol's settings, name of the paper) -> attack.
NAMED_ATTACKS: dict[str, Callable[[Ifia, str], MapAttack]] = {
    "worst_case": worst_case,
    "original": original,
    "quick": quick,
}


def _coarse(explainer: Explainer, nodes: int) -> Explainer:
    """The map by fewer midpoint nodes; other methods than integrated gradients unchanged."""
    if explainer.method != METHODS[0]:
        return explainer
    return dataclasses.replace(explainer, steps=min(nodes, explainer.steps), rule="midpoint")
