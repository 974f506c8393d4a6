"""Traced functions of an attack on maps: searches, maps and the check of gradients."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from rar_tf import models
from rar_tf.attack import AttackResult, Ifia, LocalSearch, MapAttack, Ranking, Search
from rar_tf.attack.networks import make_networks
from rar_tf.attribution import Explainer, label_logit, saliency
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.gradient_check import GradientCheck
from rar_tf.evaluation.protocols import Protocol

# (x, y, number of the first row) -> maps [B, H, W].
_MapFunction = Callable[..., tf.Tensor]
_SearchFunction = Callable[..., AttackResult]


class TracedFunctions(NamedTuple):
    """Traced functions of an attack.

    Attributes:
      check: (x, y, first_row, clean maps) -> the gradients that the attack lacks.
      searches: search -> (x, y, seed, first_row, clean maps) -> its result.
      explain: (x, y, first_row) -> the protocol's maps, error of completeness, output change.
      ranking_maps: (x, y, first_row) -> the maps that rank the points; None where every point
        is measured.
      refinements: search -> (x, y, seed, first_row, clean maps, start) -> its result.
    """

    check: GradientCheck
    searches: dict[Search, _SearchFunction]
    explain: Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]]
    ranking_maps: _MapFunction | None
    refinements: dict[LocalSearch, _SearchFunction]


def traced_functions(
    classifier: keras.Model,
    evaluation_set: EvaluationSet,
    protocol: Protocol,
    attack: MapAttack,
    nodes_per_pass: int | None,
    region: np.ndarray | None,
    check: GradientCheck | None = None,
) -> TracedFunctions:
    """Make the functions of an attack; arguments as of `attack_maps`."""
    shared = (classifier, evaluation_set, nodes_per_pass, dict[str, Any]())
    searches = {
        search: _search_function(*shared, search, protocol.explainer, region)
        for search in dict.fromkeys(attack.searches)
    }
    if check is None:
        check = gradient_check(classifier, evaluation_set, attack, region)
    refinements = {
        search: _search_function(*shared, search, protocol.explainer)
        for search in dict.fromkeys(attack.refinements)
    }
    ranking_maps = None
    if attack.ranking is not None:
        ranking_maps = _ranking_map_function(*shared, attack.ranking)
    explain = _explain_function(*shared[:3], protocol.explainer)
    return TracedFunctions(check, searches, explain, ranking_maps, refinements)


def gradient_check(
    classifier: keras.Model,
    evaluation_set: EvaluationSet,
    attack: MapAttack,
    region: np.ndarray | None = None,
) -> GradientCheck:
    """The check of the gradients that an attack follows; arguments as of `attack_maps`."""
    region = None if region is None else tf.constant(region, tf.float32)
    search = _first_gradient_search(attack)
    return GradientCheck(classifier, evaluation_set.signature, search, region=region)


def _first_gradient_search(attack: MapAttack) -> Ifia | None:
    searches = (s for s in attack.searches if isinstance(s, Ifia) and s.uses_gradient)
    return next(searches, None)


def _search_function(
    classifier: keras.Model,
    evaluation_set: EvaluationSet,
    nodes_per_pass: int | None,
    networks: dict[str, Any],
    search: Search | LocalSearch,
    clean_explainer: Explainer,
    region: np.ndarray | None = None,
) -> _SearchFunction:
    """(x, y, seed, first_row, clean maps) -> the search's result.

    The clean maps are those of x by `clean_explainer`. A local search takes its start as a last
    argument. `networks` are the metric networks that the searches share.
    """
    shared: dict[str, Any] = {
        "networks": search.networks(classifier, networks),
        "nodes_per_pass": nodes_per_pass,
    }
    if region is not None:
        shared["region"] = tf.constant(region, tf.float32)
    is_known = (search.clean_explainer or search.explainer) == clean_explainer
    image, label = evaluation_set.signature
    signature = [
        *(image, label),
        *(tf.TensorSpec([2], tf.int32), tf.TensorSpec([], tf.int32)),
        tf.TensorSpec([None, *image.shape[1:3]], tf.float32),
        *([image] if isinstance(search, LocalSearch) else []),
    ]

    @tf.function(autograph=False, input_signature=signature)
    def run(
        x: tf.Tensor,
        y: tf.Tensor,
        seed: tf.Tensor,
        first_row: tf.Tensor,
        clean: tf.Tensor,
        *start: tf.Tensor,
    ) -> AttackResult:
        call: Callable[..., AttackResult] = search
        known = clean if is_known else None
        return call(classifier, x, y, *start, seed=seed, first_row=first_row, clean=known, **shared)

    return run


def _explain_function(
    classifier: keras.Model,
    evaluation_set: EvaluationSet,
    nodes_per_pass: int | None,
    explainer: Explainer,
) -> Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """(x, y, first_row) -> (maps, |sum of the attribution - change|, change of the logit).

    The change is that from the explainer's baseline to x.
    """
    network = models.with_affine_start(models.for_double_backprop(classifier))
    logit = label_logit(network)
    if callable(explainer.method):
        # Errors of custom code are clear outside of a graph.
        explainer.attribution(network, *map(tf.constant, evaluation_set.read(np.arange(1))))
    signature = [*evaluation_set.signature, tf.TensorSpec([], tf.int32)]

    @tf.function(autograph=False, input_signature=signature)
    def explain(
        x: tf.Tensor, y: tf.Tensor, first_row: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        options = {"nodes_per_pass": nodes_per_pass, "first_row": first_row}
        attribution = explainer.attribution(network, x, y, **options)
        change = logit(x, y) - logit(tf.fill(tf.shape(x), explainer.baseline), y)
        error = tf.abs(tf.reduce_sum(attribution, [1, 2, 3]) - change)
        if not explainer.is_complete:
            error = tf.fill(tf.shape(change), np.nan)
        return saliency(attribution), error, change

    return explain


def _ranking_map_function(
    classifier: keras.Model,
    evaluation_set: EvaluationSet,
    nodes_per_pass: int | None,
    networks: dict[str, Any],
    ranking: Ranking,
) -> _MapFunction:
    """(x, y, first_row) -> the maps of the ranking."""
    maps: Any = make_networks(classifier, "none", 1.0, ranking.precision, networks).metric_maps
    signature = [*evaluation_set.signature, tf.TensorSpec([], tf.int32)]

    @tf.function(autograph=False, input_signature=signature)
    def ranking_maps(x: tf.Tensor, y: tf.Tensor, first_row: tf.Tensor) -> tf.Tensor:
        return maps(ranking.explainer, x, y, nodes_per_pass=nodes_per_pass, first_row=first_row)

    return ranking_maps
