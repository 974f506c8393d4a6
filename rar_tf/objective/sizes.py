"""Size functions s(.) of an attribution [B, ...] -> [B]  [RAR sec. 3.1, 4]."""

from collections.abc import Callable

import tensorflow as tf

SizeFn = Callable[[tf.Tensor], tf.Tensor]


def _flat(attribution: tf.Tensor) -> tf.Tensor:
    return tf.reshape(attribution, [tf.shape(attribution)[0], -1])


def l1(attribution: tf.Tensor) -> tf.Tensor:
    """||a||_1, in which attributions do not cancel: s of IG-NORM [RAR sec. 4]."""
    return tf.reduce_sum(tf.abs(_flat(attribution)), -1)


def total(attribution: tf.Tensor) -> tf.Tensor:
    """sum_i a_i, by completeness the change of the output: recovers Madry [RAR Prop. 1]."""
    return tf.reduce_sum(_flat(attribution), -1)


def against(attribution: tf.Tensor) -> tf.Tensor:
    """2 sum_i max(-a_i, 0) = ||a||_1 - sum_i a_i: twice the attributions of opposite sign."""
    return 2 * tf.reduce_sum(tf.nn.relu(-_flat(attribution)), -1)


def beside_the_sum(size: SizeFn) -> SizeFn:
    """The size without the sum of the attribution: `against` for `l1`.

    Raises:
      ValueError: a size other than `l1`.
    """
    if size is not l1:
        name = getattr(size, "__name__", size)
        raise ValueError(f"completeness=True corrects the 1-norm alone. Received: size={name}")
    return against


def abs_total(attribution: tf.Tensor) -> tf.Tensor:
    """|sum_i a_i|, by completeness the size of the change of the output [RAR Prop. 3]."""
    return tf.abs(total(attribution))


def lq_power(q: float) -> SizeFn:
    """a -> ||a||_q^q = sum_i |a_i|^q  [RAR Prop. 2, DL92].

    Raises:
      ValueError: q < 1, where ||.||_q is not a norm.
    """
    if not q >= 1:
        raise ValueError(f"q must be >= 1. Received: q={q}")

    def size(attribution: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.abs(_flat(attribution)) ** q, -1)

    return size
