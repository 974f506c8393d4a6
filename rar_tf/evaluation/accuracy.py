"""Accuracy on clean images and under attacks on the prediction."""

import dataclasses
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from rar_tf.attack import LpBall, Square, decaying, maximize
from rar_tf.evaluation.evaluation_set import BATCH, EvaluationSet
from rar_tf.evaluation.prediction_attacks import LOSSES, Pgd, likely_class, margin
from rar_tf.progress import Progress

# (x, y, seed, rank of the target, first_row) -> (hits, non_finite, has_gradient), bool [B].
_AttackFunction = Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """Whether each image's label is the prediction, [N] bool each.

    Attributes:
      hits: the label is the prediction, on the clean image and on every attacked one.
      attacked: a part of the attack had a loss gradient at its start, finite and not zero, or
        needs none; False for an image whose label is not the prediction on the clean image.
      unattacked: a hit under an attack that is not `attacked`.
      non_finite: the logits of the clean or of an attacked image are not all finite; no hit.
    """

    hits: np.ndarray
    attacked: np.ndarray
    unattacked: np.ndarray
    non_finite: np.ndarray


def correct(
    classifier: keras.Model, evaluation_set: EvaluationSet, *, batch_size: int = BATCH
) -> Predictions:
    """Predictions on the clean images; none is attacked, none `unattacked`.

    An image whose logits are not all finite is no hit: argmax of NaN is class 0.

    Args:
      classifier: images -> logits.
      evaluation_set: the images.
      batch_size: number of images of one call.
    """
    predict = _prediction_function(classifier, evaluation_set)
    batches = [
        predict(tf.constant(x), tf.constant(y)) for x, y in evaluation_set.batches(batch_size)
    ]
    hits, non_finite = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    none = np.zeros(len(hits), bool)
    return Predictions(hits, none, none, non_finite)


def withstands(
    classifier: keras.Model,
    evaluation_set: EvaluationSet,
    threat: LpBall,
    attack: Pgd | Square | Sequence[Pgd | Square],
    *,
    seed: int = 0,
    batch_size: int = 128,
) -> Predictions:
    """Predictions on the clean images and after every part and restart of an attack.

    `x_adv <- project(ascend(x_adv, d loss / dx))` from a random start of the threat; the last
    iterate counts, as in [RAR]'s code. An image that is no hit any more is not attacked further.
    Entries of a gradient that are not finite count as zero.

    Args:
      classifier: images -> logits.
      evaluation_set: images to attack.
      threat: allowed set around an image.
      attack: the attack, or its parts.
      seed: seed of the starts; part, restart and place among the attacked images are part of the
        key.
      batch_size: number of images attacked at once.
    """
    parts = (attack,) if isinstance(attack, (Pgd, Square)) else tuple(attack)
    clean = correct(classifier, evaluation_set, batch_size=batch_size)
    alive, non_finite = clean.hits.copy(), clean.non_finite.copy()
    attacked = np.zeros(len(evaluation_set), bool)
    run = 0
    for part in parts:
        function = _attack_function(classifier, evaluation_set, threat, part)
        for restart in range(part.restarts if isinstance(part, Pgd) else 1):
            rows = np.flatnonzero(alive)
            key, rank = tf.constant([seed, run]), tf.constant(restart)
            with Progress(_task(part, restart), len(rows)) as progress:
                for start in range(0, len(rows), batch_size):
                    batch = rows[start : start + batch_size]
                    x, y = (tf.constant(array) for array in evaluation_set.read(batch))
                    hits, broken, has_gradient = function(x, y, key, rank, tf.constant(start))
                    alive[batch] = hits
                    non_finite[batch] |= broken.numpy()
                    attacked[batch] |= has_gradient.numpy()
                    progress.advance(len(batch))
            run += 1
    return Predictions(alive, attacked, alive & ~attacked, non_finite)


def _task(part: Pgd | Square, restart: int) -> str:
    """Words for the progress of a run."""
    if isinstance(part, Square):
        return f"Square Attack, {part.queries} queries"
    name = part.loss.replace("_", " ")
    return f"PGD {part.steps} x {part.step_size:.4g}, {name}, {restart + 1} of {part.restarts}"


def _attack_function(
    classifier: keras.Model, evaluation_set: EvaluationSet, threat: LpBall, part: Pgd | Square
) -> _AttackFunction:
    """The graph of one run of a part."""
    predict = _prediction_function(classifier, evaluation_set)
    if isinstance(part, Square):
        run = _square_run(classifier, threat, part)
    else:
        run = _pgd_run(classifier, threat, part)
    key, number = tf.TensorSpec([2], tf.int32), tf.TensorSpec([], tf.int32)
    signature = [*evaluation_set.signature, key, number, number]

    @tf.function(autograph=False, input_signature=signature)
    def attack(
        x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor, rank: tf.Tensor, first_row: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        x_adv, has_gradient = run(x, y, seed, rank, first_row)
        return *predict(x_adv, y), has_gradient

    return attack


def _pgd_run(classifier: keras.Model, threat: LpBall, pgd: Pgd) -> Callable[..., tuple]:
    """(x, y, seed, rank, first_row) -> (attacked images, whether each has a gradient)."""

    def run(
        x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor, rank: tf.Tensor, first_row: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        target = y
        if pgd.loss == "targeted_margin":
            target = likely_class(classifier(x, training=False), y, rank)

        def loss(points: tf.Tensor) -> tf.Tensor:
            return LOSSES[pgd.loss](classifier(points, training=False), y, target)

        x_adv = maximize(
            lambda points: loss(_finite_gradient(points)),
            x,
            threat,
            steps=pgd.steps,
            step_size=decaying(pgd.step_size, pgd.steps, pgd.decay),
            seed=seed,
            first_row=first_row,
        )
        return x_adv, _has_gradient(loss, threat.start(x, seed, first_row))

    return run


def _square_run(classifier: keras.Model, threat: LpBall, square: Square) -> Callable[..., tuple]:
    """(x, y, seed, rank, first_row) -> (attacked images, ones: it needs no gradient)."""

    def score(points: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        logits = classifier(points, training=False)
        return tf.where(_all_finite(logits), margin(logits, y), float("inf"))

    def run(
        x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor, rank: tf.Tensor, first_row: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        del rank
        x_adv = square(score, x, y, threat, seed=seed, first_row=first_row)
        return x_adv, tf.ones_like(y, tf.bool)

    return run


def _has_gradient(loss: Callable[[tf.Tensor], tf.Tensor], points: tf.Tensor) -> tf.Tensor:
    """[B] bool: the loss gradient at the points is finite, and not all zero."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(points)
        value = loss(points)
    gradient = tape.gradient(value, points, unconnected_gradients="zero")
    axes = list(range(1, points.shape.rank))
    finite = tf.reduce_all(tf.math.is_finite(gradient), axes)
    return finite & tf.reduce_any(gradient != 0, axes)


@tf.custom_gradient
def _finite_gradient(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """x, with zero for entries of its gradient that are not finite."""
    return tf.identity(x), lambda upstream: tf.where(
        tf.math.is_finite(upstream), upstream, tf.zeros_like(upstream)
    )


def _prediction_function(
    classifier: keras.Model, evaluation_set: EvaluationSet
) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """(x, y) -> (hits, non_finite), bool [B]."""

    @tf.function(autograph=False, input_signature=evaluation_set.signature)
    def predict(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = classifier(x, training=False)
        finite = _all_finite(logits)
        return (tf.argmax(logits, -1, tf.int32) == y) & finite, ~finite

    return predict


def _all_finite(logits: tf.Tensor) -> tf.Tensor:
    """[B] bool."""
    return tf.reduce_all(tf.math.is_finite(logits), -1)
