"""Named attacks on maps, built around the attack of the protocol's paper."""

import dataclasses
from collections.abc import Callable

from rar_tf.attack import Ifia, MapAttack
from rar_tf.attribution import METHODS, Explainer
from rar_tf.papers import far, rar

_PAPERS = {"rar": rar, "far": far}
CUSTOM_ATTACK = "custom"
# Weight of the smooth surrogate of Kendall's tau beside the top-k mass.
_SURROGATE_WEIGHT = 0.025


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


def default(search: Ifia, paper: str) -> MapAttack:
    """Two short searches on coarse maps, one from x and one from a random start.

    The score is the top-k mass plus 0.025 times the smooth surrogate `log_pearson`, on the
    softplus twin, with a penalty where the label flips. The iterate of the lowest mean of top-k
    intersection and Kendall is selected. Each search takes 15% of the paper's steps, as much
    larger, with 8 rotating midpoint nodes, in bfloat16. benchmarks/ifia_economy.py compares it
    with `original`.
    """
    del paper
    # At least 15 steps: 15% of FAR's seven would be one.
    steps = max(round(0.15 * search.steps), 15)
    coarse = _coarse(search.explainer, 8)
    first = dataclasses.replace(
        search,
        score=_mixture(_SURROGATE_WEIGHT),
        steps=steps,
        step_size=search.step_size * max(search.steps / steps, 1.0),
        select=("top_k_and_kendall",),
        hold_label=1.0,
        explainer=coarse,
        rotate_nodes=coarse.method == METHODS[0],
        clean_explainer=search.explainer,
        precision="mixed_bfloat16",
    )
    # Two short searches find more of the maxima than a long one.
    return MapAttack("default", (first, dataclasses.replace(first, random_start=True)))


def strongest(search: Ifia, paper: str) -> MapAttack:
    """Searches of several scores and starts; each metric is the worst of all their points.

    The searches of `default` are the first and the reference: no metric of an image is better
    than under `default`.
    """
    reference = default(search, paper).searches
    first = [
        dataclasses.replace(part, select=(*part.select, "top_k", "kendall", "spearman"))
        for part in reference
    ]
    # Steps that shrink, on coarser maps, reach other maxima at a fraction of the cost.
    base = reference[0]
    shrinking = dataclasses.replace(
        base,
        select=("top_k", "kendall"),
        select_every=2,
        explainer=_coarse(base.explainer, 5),
        selection_explainer=base.explainer,
        steps=20,
        step_size=base.threat.epsilon / 2,
        decay="linear",
    )
    random = dataclasses.replace(shrinking, random_start=True)
    searches = (
        *first,
        dataclasses.replace(random, score="top_k"),
        dataclasses.replace(shrinking, score="mass_center"),
        dataclasses.replace(random, score="log_pearson"),
        dataclasses.replace(shrinking, score=_mixture(1.0)),
        dataclasses.replace(
            random,
            score="log_pearson",
            second_derivatives="softplus_second_derivative",
            softplus_beta=4.0,
        ),
    )
    return MapAttack("strongest", searches, worst_of_each_metric=True, reference=len(reference))


# Name -> (search by the protocol's settings, name of the paper) -> attack.
NAMED_ATTACKS: dict[str, Callable[[Ifia, str], MapAttack]] = {
    "original": original,
    "default": default,
    "strongest": strongest,
}


def _coarse(explainer: Explainer, nodes: int) -> Explainer:
    """The map by fewer midpoint nodes; other methods than integrated gradients unchanged."""
    if explainer.method != METHODS[0]:
        return explainer
    return dataclasses.replace(explainer, steps=min(nodes, explainer.steps), rule="midpoint")


def _mixture(weight: float) -> tuple[tuple[str, float], ...]:
    return (("top_k", 1.0), ("log_pearson", weight))
