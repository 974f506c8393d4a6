"""Validation during training, on held-out training images, the same for every objective."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from rar_tf.attack import Attack, LpBall
from rar_tf.chance import majority_share
from rar_tf.objective import Batch, Objective, ObjectiveValue, ig_norm, madry


@dataclasses.dataclass(frozen=True)
class Validation:
    """Means over the validation images.

    Attributes:
      natural_accuracy: accuracy on the unperturbed images, in [0, 1].
      pgd_accuracy: accuracy under PGD, in [0, 1]: 20 steps of epsilon / 10, one random start.
      ig_norm: largest ||IG(x, x_adv)||_1 of two attacks, in nats per example, computed with 10
        midpoint nodes: 7 steps of epsilon / 4 that ascend it with 1 midpoint node, and PGD.
      num_examples: number of images.
      majority_share: share of the most frequent class among the images.
    """

    natural_accuracy: float
    pgd_accuracy: float
    ig_norm: float
    num_examples: int
    majority_share: float


class Validator:
    """Measures a classifier on fixed images; traced once, with the same random starts each time."""

    def __init__(self, classifier: keras.Model, ball: LpBall, *, seed: int = 0) -> None:
        """
        Args:
          classifier: images -> logits.
          ball: allowed set of the attacks.
          seed: seed of the random starts.
        """
        pgd = Attack(ball, steps=20, step_size=ball.epsilon / 10)
        ig_attack = Attack(ball, steps=7, step_size=ball.epsilon / 4)
        norm = ig_norm(ig_steps=10, attack_ig_steps=1)

        def find_adversary(
            objective: Objective, attack: Attack, batch: Batch, first_row: tf.Tensor
        ) -> tf.Tensor:
            score = objective.score(classifier, batch)
            return attack(score, batch.image, seed=tf.constant([seed, 0]), first_row=first_row)

        def correct(value: ObjectiveValue, batch: Batch) -> tf.Tensor:
            return tf.cast(tf.argmax(value.logits, -1, tf.int32) == batch.label, tf.float32)

        @tf.function(autograph=False, reduce_retracing=True)
        def measure(
            x: tf.Tensor, y: tf.Tensor, first_row: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            batch = Batch(x, y)
            x_ig = find_adversary(norm, ig_attack, batch, first_row)
            at_x_ig = norm(classifier, batch, x_ig)
            x_pgd = find_adversary(madry(), pgd, batch, first_row)
            at_x_pgd, robust = (part(classifier, batch, x_pgd) for part in (norm, madry()))
            worst = tf.maximum(at_x_ig.term, at_x_pgd.term)
            # The logits of `norm` are those of x.
            return correct(at_x_ig, batch), correct(robust, batch), worst

        self._measure = measure

    def __call__(self, batches: tf.data.Dataset) -> Validation:
        """Means over all batches (x, y).

        Raises:
          ValueError: there is no image.
        """
        columns, labels, count = [], [], 0
        for x, y in batches:
            columns.append(self._measure(x, y, tf.constant(count)))
            labels.append(y.numpy())
            count += x.shape[0]
        if not count:
            raise ValueError("validation needs at least one image. Received: none")
        natural, robust, term = (
            float(tf.reduce_mean(tf.concat(column, 0))) for column in zip(*columns, strict=True)
        )
        return Validation(natural, robust, term, count, majority_share(np.concatenate(labels)))
