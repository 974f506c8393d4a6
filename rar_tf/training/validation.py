"""What training reports of itself, on held-out training images, the same for every objective."""

import dataclasses

import keras
import tensorflow as tf

from rar_tf.attack import Attack, LpBall
from rar_tf.objective import Batch, Objective, ig_norm, madry


@dataclasses.dataclass(frozen=True)
class Validation:
    """Means over the validation images.

    Attributes:
      natural_accuracy: in [0, 1].
      pgd_accuracy: in [0, 1], under 20 steps of epsilon / 10, one random start.
      ig_norm: max ||IG(x, x_adv)||_1 found, nats an example, its value by 10 midpoint nodes: the
        larger of what 7 steps of epsilon / 4 on it with 1 midpoint node find, and of that at
        the point that PGD finds.
      num_examples: how many images.
    """

    natural_accuracy: float
    pgd_accuracy: float
    ig_norm: float
    num_examples: int


class Validator:
    """Measures a classifier on fixed images; traces once, and draws the same starts each time."""

    def __init__(self, classifier: keras.Model, ball: LpBall, *, seed: int = 0):
        """
        Args:
          classifier: images -> logits.
          ball: the allowed set of the attacks.
          seed: of the random starts.
        """
        pgd = Attack(ball, steps=20, step_size=ball.epsilon / 10)
        ig_attack = Attack(ball, steps=7, step_size=ball.epsilon / 4)
        size = ig_norm(ig_steps=10, attack_ig_steps=1)

        def find(objective: Objective, attack: Attack, batch, first_row):
            score = objective.score(classifier, batch)
            return attack(score, batch.image, seed=tf.constant([seed, 0]), first_row=first_row)

        def hits(parts, batch):
            return tf.cast(tf.argmax(parts.logits, -1, tf.int32) == batch.label, tf.float32)

        @tf.function(autograph=False, reduce_retracing=True)
        def measure(x, y, first_row):
            batch = Batch(x, y)
            by_norm = size(classifier, batch, find(size, ig_attack, batch, first_row))
            x_pgd = find(madry(), pgd, batch, first_row)
            by_loss, robust = (part(classifier, batch, x_pgd) for part in (size, madry()))
            # The norm's logits are those of x.
            worst = tf.maximum(by_norm.term, by_loss.term)
            return hits(by_norm, batch), hits(robust, batch), worst

        self._measure = measure

    def __call__(self, batches: tf.data.Dataset) -> Validation:
        """Measures on all of `batches` of (x, y)."""
        columns, count = [], 0
        for x, y in batches:
            columns.append(self._measure(x, y, tf.constant(count)))
            count += x.shape[0]
        if not count:
            raise ValueError("validation needs at least one image. Received: none")
        natural, robust, term = (
            float(tf.reduce_mean(tf.concat(column, 0))) for column in zip(*columns, strict=True)
        )
        return Validation(natural, robust, term, count)
