"""Accuracy on clean images and under projected gradient descent."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from rar_tf.attack import LpBall, maximize
from rar_tf.attribution import label_loss
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.protocols import Pgd
from rar_tf.progress import Progress


def correct(classifier: keras.Model, evaluation_set: EvaluationSet) -> np.ndarray:
    """[N] bool, whether each clean image's label is the prediction."""
    hits = _hits(classifier, evaluation_set)
    return np.concatenate([hits(tf.constant(x), y).numpy() for x, y in evaluation_set.batches()])


def withstands(
    classifier: keras.Model,
    evaluation_set: EvaluationSet,
    threat: LpBall,
    pgd: Pgd,
    *,
    seed: int = 0,
    batch_size: int = 128,
) -> np.ndarray:
    """[N] bool, whether each image's label is still the prediction after every restart.

    `x_adv <- project(ascend(x_adv, d l_y / dx))` from a random start of the threat, cross
    entropy from logits; the last iterate counts, as in [RAR]'s code. An image whose label
    changed in one restart is not attacked in the next.

    Args:
      classifier: images -> logits.
      evaluation_set: images to attack.
      threat: allowed set around an image.
      pgd: number and size of the steps, restarts.
      seed: seed of the starts; row and restart are part of the key.
      batch_size: number of images attacked at once.
    """
    hits, loss = _hits(classifier, evaluation_set), label_loss(classifier)

    signature = [
        *evaluation_set.signature,
        tf.TensorSpec([2], tf.int32),
        tf.TensorSpec([], tf.int32),
    ]

    @tf.function(autograph=False, input_signature=signature)
    def survives(x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor, first_row: tf.Tensor) -> tf.Tensor:
        x_adv = maximize(
            lambda points: loss(points, y),
            x,
            threat,
            steps=pgd.steps,
            step_size=pgd.step_size,
            seed=seed,
            first_row=first_row,
        )
        return hits(x_adv, y)

    alive = np.ones(len(evaluation_set), bool)
    for restart in range(pgd.restarts):
        rows = np.flatnonzero(alive)
        task = f"PGD {pgd.steps} x {pgd.step_size:.4g}, run {restart + 1} of {pgd.restarts}"
        with Progress(task, len(rows)) as progress:
            for start in range(0, len(rows), batch_size):
                batch = rows[start : start + batch_size]
                x, y = evaluation_set.read(batch)
                key = tf.constant([seed, restart])
                alive[batch] = survives(tf.constant(x), tf.constant(y), key, tf.constant(start))
                progress.advance(len(batch))
    return alive


def _hits(
    classifier: keras.Model, evaluation_set: EvaluationSet
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """(x, y) -> [B] bool, whether y is the prediction."""

    @tf.function(autograph=False, input_signature=evaluation_set.signature)
    def hits(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return tf.argmax(classifier(x, training=False), -1, tf.int32) == y

    return hits
