"""Robustness of maps: attacks on the maps of correctly classified images, a row for each image."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from rar_tf import models
from rar_tf.attack import AttackResult, Ifia, MapAttack
from rar_tf.attribution import Explainer, label_logit, saliency
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.examples import AttackedExample, ExampleMetrics
from rar_tf.evaluation.gradient_check import GradientCheck
from rar_tf.evaluation.points import AttackedPoints, ClassifiedImages, CleanMaps
from rar_tf.evaluation.protocols import Protocol
from rar_tf.progress import Progress

# (x, y, number of the first row) -> maps [B, H, W].
_MapFunction = Callable[..., tf.Tensor]
_SearchFunction = Callable[..., AttackResult]


def attack_maps(
    classifier: keras.Model,
    evaluation_set: EvaluationSet,
    indices: np.ndarray,
    protocol: Protocol,
    attack: MapAttack,
    *,
    done: int = 0,
    seed: int = 0,
    batch_size: int = 32,
    nodes_per_pass: int | None = 10,
    region: np.ndarray | None = None,
) -> Iterator[tuple[list[ExampleMetrics], list[AttackedExample]]]:
    """Attack the maps of correctly classified images batch by batch.

    The metrics compare the protocol's own maps, whichever maps the searches ascend or select by.
    Of the points of all searches one, or the worst in each metric, counts: see
    `MapAttack.worst_of_each_metric`.

    Args:
      classifier: images -> logits.
      evaluation_set: the images.
      indices: numbers of the images to attack; the classifier must predict their labels.
      protocol: protocol of the measurement.
      attack: the searches, see `Protocol.attack`.
      done: number of images of `indices` that an earlier run has attacked.
      seed: seed of random starts; an image's place in `indices` is part of the key.
      batch_size: images attacked at once.
      nodes_per_pass: nodes of a map in one pass; memory grows with batch_size * nodes_per_pass.
      region: [H, W] of 0 and 1, for searches with the score `target`.

    Yields:
      (rows, pictures) of each batch.
    """
    functions = _functions(classifier, evaluation_set, protocol, attack, nodes_per_pass, region)
    with Progress(f"{attack.name} attack on maps", len(indices), done) as progress:
        for first in range(done, len(indices), batch_size):
            started = time.monotonic()
            batch = np.asarray(indices[first : first + batch_size])
            x, labels = evaluation_set.read(batch)
            images = ClassifiedImages(batch, tf.constant(x), tf.constant(labels))
            rows, pictures = _attack_batch(
                functions, images, tf.constant(first), attack, protocol.k, seed
            )
            seconds = (time.monotonic() - started) / len(batch)
            yield [dataclasses.replace(row, seconds=seconds) for row in rows], pictures
            progress.advance(len(batch))


class _Functions(NamedTuple):
    """Traced functions of an attack.

    Attributes:
      check: (x, y, first_row, clean maps) -> the gradients that the attack lacks.
      searches: search -> (x, y, seed, first_row, clean maps) -> its result.
      explain: (x, y, first_row) -> the protocol's maps, error of completeness, output change.
      metric_maps: (x, y, first_row) -> the maps that the first search selects by; None where
        every point is measured.
    """

    check: GradientCheck
    searches: dict[Ifia, _SearchFunction]
    explain: Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]]
    metric_maps: _MapFunction | None


def _functions(
    classifier: keras.Model,
    evaluation_set: EvaluationSet,
    protocol: Protocol,
    attack: MapAttack,
    nodes_per_pass: int | None,
    region: np.ndarray | None,
) -> _Functions:
    shared = (classifier, evaluation_set, nodes_per_pass)
    searches = {
        search: _search_function(*shared, search, region, protocol.explainer)
        for search in dict.fromkeys(attack.searches)
    }
    metric_maps = None
    if attack.worst_of_each_metric:
        metric_maps = _metric_map_function(*shared, attack.searches[0])
    check = GradientCheck(
        classifier,
        evaluation_set.signature,
        next((search for search in attack.searches if search.uses_gradient), None),
        nodes_per_pass=nodes_per_pass,
        region=None if region is None else tf.constant(region, tf.float32),
    )
    explain = _explain_function(*shared, protocol.explainer)
    return _Functions(check, searches, explain, metric_maps)


def _attack_batch(
    functions: _Functions,
    images: ClassifiedImages,
    first_row: tf.Tensor,
    attack: MapAttack,
    k: int,
    seed: int,
) -> tuple[list[ExampleMetrics], list[AttackedExample]]:
    """Rows and pictures of a batch."""
    x, y = images.x, images.y
    explain = functools.partial(functions.explain, y=y, first_row=first_row)
    clean = CleanMaps(*explain(x))
    flags = functions.check(x, y, first_row, clean.maps)
    results = [
        _result(functions, search, x, y, tf.constant([seed, number]), first_row, clean.maps)
        for number, search in enumerate(attack.searches)
    ]
    not_improved = _not_improved(attack, results)
    points = AttackedPoints.of(results)
    if functions.metric_maps is not None:
        metric_maps = functools.partial(functions.metric_maps, y=y, first_row=first_row)
        points = points.shortlist(x, metric_maps, k, attack.reference_points)
    rows, pictures = points.measure(
        images, clean, lambda point: explain(point)[0], k, criterion=attack.criterion
    )
    columns = flags._asdict() | {"not_improved": not_improved}
    rows = [
        dataclasses.replace(row, **{name: int(values[i]) for name, values in columns.items()})
        for i, row in enumerate(rows)
    ]
    return rows, pictures


def _result(
    functions: _Functions, search: Ifia, x: tf.Tensor, *arguments: tf.Tensor
) -> AttackResult:
    """The search's result; without candidates where TensorFlow has no derivative of a map."""
    try:
        return functions.searches[search](x, *arguments)
    except LookupError:
        none = tf.zeros([len(x), search.num_points], tf.bool)
        return AttackResult(tf.repeat(x[:, tf.newaxis], search.num_points, 1), none, none[:, 0])


def _not_improved(attack: MapAttack, results: list[AttackResult]) -> np.ndarray:
    """[B] bool, whether no search that follows a gradient returned a candidate."""
    candidates = [
        result.candidate.numpy().any(1)
        for search, result in zip(attack.searches, results, strict=True)
        if search.uses_gradient
    ]
    if not candidates:
        return np.zeros(len(results[0].candidate), bool)
    return ~np.logical_or.reduce(candidates)


def _search_function(
    classifier: keras.Model,
    evaluation_set: EvaluationSet,
    nodes_per_pass: int | None,
    search: Ifia,
    region: np.ndarray | None,
    clean_explainer: Explainer,
) -> _SearchFunction:
    """(x, y, seed, first_row, the maps of x by `clean_explainer`) -> the search's result."""
    networks = search.networks(classifier)
    target = None if region is None else tf.constant(region, tf.float32)
    is_known = (search.clean_explainer or search.explainer) == clean_explainer
    image, label = evaluation_set.signature
    signature = [
        *(image, label),
        *(tf.TensorSpec([2], tf.int32), tf.TensorSpec([], tf.int32)),
        tf.TensorSpec([None, *image.shape[1:3]], tf.float32),
    ]

    @tf.function(autograph=False, input_signature=signature)
    def run(
        x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor, first_row: tf.Tensor, clean: tf.Tensor
    ) -> AttackResult:
        return search(
            classifier,
            x,
            y,
            networks=networks,
            seed=seed,
            first_row=first_row,
            region=target,
            clean=clean if is_known else None,
            nodes_per_pass=nodes_per_pass,
        )

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


def _metric_map_function(
    classifier: keras.Model,
    evaluation_set: EvaluationSet,
    nodes_per_pass: int | None,
    search: Ifia,
) -> _MapFunction:
    """(x, y, first_row) -> the maps that the search selects by."""
    network = search.networks(classifier).metric_network
    explainer = search.selection_explainer or search.explainer
    signature = [*evaluation_set.signature, tf.TensorSpec([], tf.int32)]

    @tf.function(autograph=False, input_signature=signature)
    def metric_maps(x: tf.Tensor, y: tf.Tensor, first_row: tf.Tensor) -> tf.Tensor:
        options = {"nodes_per_pass": nodes_per_pass, "first_row": first_row}
        return explainer.saliency(network, x, y, **options)

    return metric_maps
