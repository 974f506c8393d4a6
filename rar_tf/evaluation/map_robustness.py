"""Robustness of maps: attacks on the maps of correctly classified images, a row for each image."""

import dataclasses
import functools
import time
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from rar_tf.attack import AttackResult, Ifia, MapAttack, Search
from rar_tf.attack.selection import moved
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.examples import AttackedExample, ExampleMetrics
from rar_tf.evaluation.gradient_check import GradientCheck
from rar_tf.evaluation.points import AttackedPoints, ClassifiedImages, CleanMaps
from rar_tf.evaluation.protocols import Protocol
from rar_tf.evaluation.traced import TracedFunctions, traced_functions
from rar_tf.progress import Progress


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
    check: GradientCheck | None = None,
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
      check: the attack's check of gradients, where it is traced already.

    Yields:
      (rows, pictures) of each batch.
    """
    functions = traced_functions(
        classifier, evaluation_set, protocol, attack, nodes_per_pass, region, check
    )
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


def _attack_batch(
    functions: TracedFunctions,
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
    not_improved = _not_improved(attack, results, x, first_row, seed)
    points = AttackedPoints.of(results)
    points = _shortlist(functions, images, first_row, attack, clean.maps, points, k, seed)
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
    functions: TracedFunctions, search: Search, x: tf.Tensor, *arguments: tf.Tensor
) -> AttackResult:
    """The search's result; without candidates where TensorFlow has no derivative of a map."""
    try:
        return functions.searches[search](x, *arguments)
    except LookupError:
        none = tf.zeros([len(x), search.num_points], tf.bool)
        return AttackResult(tf.repeat(x[:, tf.newaxis], search.num_points, 1), none, none[:, 0])


def _not_improved(
    attack: MapAttack,
    results: list[AttackResult],
    x: tf.Tensor,
    first_row: tf.Tensor,
    seed: int,
) -> np.ndarray:
    """[B] bool, whether no search that follows a gradient returned a candidate but its start."""
    improved = []
    for number, (search, result) in enumerate(zip(attack.searches, results, strict=True)):
        if isinstance(search, Ifia) and search.uses_gradient:
            start = x
            if search.random_start:
                start = search.threat.start(x, tf.constant([seed, number]), first_row)
                start = search.threat.project(start, x)
            is_other = moved(result.x_adv, start[:, tf.newaxis])
            improved.append(tf.reduce_any(result.candidate & is_other, 1).numpy())
    if not improved:
        return np.zeros(len(x), bool)
    return ~np.logical_or.reduce(improved)


def _shortlist(
    functions: TracedFunctions,
    images: ClassifiedImages,
    first_row: tf.Tensor,
    attack: MapAttack,
    clean: tf.Tensor,
    points: AttackedPoints,
    k: int,
    seed: int,
) -> AttackedPoints:
    """The points to measure: those that rank as the worst, and what refinements make of them."""
    if attack.ranking is None or functions.ranking_maps is None:
        return points
    x, y = images.x, images.y
    maps = points.maps(functools.partial(functions.ranking_maps, y=y, first_row=first_row))

    def rank(criterion: str) -> np.ndarray:
        return points.rank(clean.numpy(), maps, k, criterion)

    places = [rank(criterion)[:, :count] for criterion, count in attack.ranking.keep]
    kept = points.take(np.concatenate(places, 1))
    refined = []
    for number, search in enumerate(attack.refinements, len(attack.searches)):
        start = points.take(rank(search.criterion)[:, :1]).x_adv[:, 0]
        run = functions.refinements[search]
        refined.append(run(x, y, tf.constant([seed, number]), first_row, clean, tf.constant(start)))
    return kept.beside(AttackedPoints.of(refined)) if refined else kept
