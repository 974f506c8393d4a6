"""Expected time of an attack on maps: its passes, counted, times the cost of each."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rar_tf.attack import Ifia, LocalSearch, MapAttack, Search
from rar_tf.attribution import METHODS, Explainer
from rar_tf.attribution.metrics import CRITERIA, change, measure
from rar_tf.evaluation.protocols import Protocol


@dataclasses.dataclass(frozen=True)
class PassCosts:
    """Cost of passes through a network, for one image and one node.

    Attributes:
      first_bytes: memory of a forward and a backward pass.
      second_bytes: memory of the gradient of a map.
      graph_bytes: memory of the graphs that the attack will trace.
      first_seconds: seconds of a forward and a backward pass, in float32.
      second_seconds: seconds of the gradient of a map, in float32.
      trace_seconds: seconds until a search has been traced.
    """

    first_bytes: float
    second_bytes: float
    graph_bytes: float
    first_seconds: float
    second_seconds: float
    trace_seconds: float


def expected_seconds(
    costs: PassCosts,
    image_shape: tuple[int, ...],
    protocol: Protocol,
    attack: MapAttack,
    nodes_per_pass: int | str | None,
    relative_speed: float,
) -> float:
    """Seconds of the attack on the maps of one image.

    Args:
      costs: costs of passes.
      image_shape: (H, W, C).
      protocol: protocol of the measurement.
      attack: the attack.
      nodes_per_pass: nodes of a map in one pass; None for all.
      relative_speed: seconds of a pass in the precision of the searches over those in float32.
    """
    searches = relative_speed * _search_seconds(costs, attack, nodes_per_pass)
    return searches + _other_seconds(costs, image_shape, protocol, attack)


def _search_seconds(costs: PassCosts, attack: MapAttack, nodes: Any) -> float:
    """Seconds of the passes of all searches for one image, in float32."""
    first, second = 0.0, 0.0
    for search in (*attack.searches, *attack.refinements):
        part = passes(search, nodes)
        first, second = first + part[0], second + part[1]
    if attack.ranking is not None:
        points = sum(search.num_points for search in attack.searches)
        first += points * _nodes(attack.ranking.explainer)
    return first * costs.first_seconds + second * costs.second_seconds


def passes(search: Search | LocalSearch, nodes_per_pass: Any) -> tuple[float, float]:
    """(forward and backward passes, gradients of one node of a map) of a search for one image."""
    if not isinstance(search, Ifia):
        # The label condition takes a forward pass.
        return (search.count + 1) * (_nodes(search.explainer) + 0.5), 0.0
    nodes = _nodes(search.explainer)
    first, second = 0.0, float(search.steps * nodes if search.uses_gradient else 0)
    if nodes_per_pass is not None and nodes > nodes_per_pass:
        first += search.steps * nodes  # The value of the map, whose gradient computes it again.
    if search.hold_label:
        first += search.steps
    if search.algorithm == "select":
        calls = -(-search.steps // search.select_every) + 1 + search.random_start
        first += calls * (_nodes(search.selection_explainer or search.explainer) + 0.5)
    return first, second


def _nodes(explainer: Explainer) -> int:
    """Number of gradients by the pixels in a map."""
    return explainer.steps if explainer.method in (METHODS[0], "smooth_grad") else 1


def _other_seconds(
    costs: PassCosts, image_shape: tuple[int, ...], protocol: Protocol, attack: MapAttack
) -> float:
    """Seconds of the measured maps and of the metrics, for one image."""
    shape = (1, *image_shape[:2])
    before, after = np.random.default_rng(0).gamma(1.0, size=(2, *shape))
    seconds_of = {
        name: _seconds(functools.partial(change, name, before, after, protocol.k))
        for name in CRITERIA
    }
    seconds = 0.0
    for search in (*attack.searches, *attack.refinements):
        criteria = (search.criterion,) if isinstance(search, LocalSearch) else search.select
        calls = getattr(search, "count", 0) + 1
        if isinstance(search, Ifia):
            calls = -(-search.steps // search.select_every) + 1 + search.random_start
        seconds += calls * sum(seconds_of[c] for c in criteria)
    points = sum(search.num_points for search in attack.searches)
    if attack.ranking is not None:
        points = sum(count for _, count in attack.ranking.keep) + len(attack.refinements)
    seconds += points * _seconds(functools.partial(measure, before, after, protocol.k))
    return seconds + (points + 1) * _nodes(protocol.explainer) * costs.first_seconds


def _seconds(function: Callable[[], Any]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
