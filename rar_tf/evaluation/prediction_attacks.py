"""Attacks on predictions: projected gradient descent on several losses, and a random search."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from rar_tf.attack import DECAYS, LpBall, Square
from rar_tf.attribution import cross_entropy
from rar_tf.checks import check_count
from rar_tf.naming import check_name


@dataclasses.dataclass(frozen=True)
class Pgd:
    """Projected gradient descent against the prediction.

    Attributes:
      steps: number of steps.
      step_size: size of a step, in pixel units.
      restarts: number of random starts, >= 1; an image counts only if it withstands all.
      loss: loss to ascend, see `LOSSES`. "cross_entropy", in nats: its gradient vanishes where
        the logits are large. "margin" and "targeted_margin": the gradient does not depend on the
        scale of the logits but for its length, which no step depends on.
      decay: "constant", or "linear" for steps that shrink from `step_size` to 0.
    """

    steps: int
    step_size: float
    restarts: int = 1
    loss: str = "cross_entropy"
    decay: str = "constant"

    def __post_init__(self) -> None:
        for name in ("steps", "restarts"):
            check_count(name, getattr(self, name))
        if not self.step_size > 0:
            raise ValueError(f"step_size must be > 0. Received: step_size={self.step_size}")
        check_name("loss", self.loss, LOSSES)
        check_name("decay", self.decay, DECAYS)


# Parts of an attack on predictions: each attacks the images that stand after the former ones.
PredictionAttack = tuple[Pgd | Square, ...]


def strong_attack(threat: LpBall) -> PredictionAttack:
    """The strong attack on predictions: cross entropy, two margins, a random search.

    In the manner of AutoAttack (Croce, Hein, "Reliable evaluation of adversarial robustness with
    an ensemble of diverse parameter-free attacks", ICML 2020): a loss whose steps do not depend
    on the scale of the logits, targeted attacks, and a part without gradients.
    """
    size = 2 * threat.epsilon
    return (
        Pgd(20, size, loss="cross_entropy", decay="linear"),
        Pgd(50, size, loss="margin", decay="linear"),
        Pgd(50, size, restarts=4, loss="targeted_margin", decay="linear"),
        Square(1000),
    )


def margin(logits: tf.Tensor, y: tf.Tensor, target: tf.Tensor | None = None) -> tf.Tensor:
    """`max_{c != y} f_c - f_y` [B], in logits: positive where y is not the prediction.

    Args:
      logits: [B, classes].
      y: [B] labels.
      target: not used.
    """
    del target
    logits = tf.cast(logits, tf.float32)
    others = tf.where(_is_label(logits, y), -float("inf"), logits)
    return tf.reduce_max(others, -1) - tf.gather(logits, y, axis=1, batch_dims=1)


def targeted_margin(logits: tf.Tensor, y: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """`f_target - f_y` [B], in logits."""
    logits = tf.cast(logits, tf.float32)
    return tf.gather(logits, target, axis=1, batch_dims=1) - tf.gather(
        logits, y, axis=1, batch_dims=1
    )


# (logits [B, classes], labels [B], targets [B]) -> losses [B]
LOSSES: dict[str, Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "cross_entropy": lambda logits, y, target: cross_entropy(logits, y),
    "margin": margin,
    "targeted_margin": targeted_margin,
}


def likely_class(logits: tf.Tensor, y: tf.Tensor, rank: tf.Tensor | int) -> tf.Tensor:
    """[B] int32: the class with the (rank + 1)-th largest logit of those other than y.

    Ranks beyond the last class start again at 0.
    """
    others = tf.where(_is_label(logits, y), -float("inf"), tf.cast(logits, tf.float32))
    order = tf.argsort(others, direction="DESCENDING")
    return order[:, rank % max(logits.shape[-1] - 1, 1)]


def _is_label(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return tf.one_hot(y, logits.shape[-1], True, False, dtype=tf.bool)
