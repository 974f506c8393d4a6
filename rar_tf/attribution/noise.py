"""Random numbers keyed by (seed, row): equal for any batching, device count or resume.

Philox is counter based: row r of a stream with d numbers a row starts at counter r * ceil(d / 4).
Rows [first_row, first_row + B) drawn alone equal those of the whole stream.
"""

from collections.abc import Callable

import tensorflow as tf

_PHILOX = 1
_PER_COUNTER = 4  # 32-bit numbers that one Philox counter yields


def uniform_rows(shape: tf.Tensor, seed: tf.Tensor, first_row: tf.Tensor | int = 0) -> tf.Tensor:
    """Uniform float32 numbers in [0, 1); row i is a function of (seed, first_row + i).

    Args:
      shape: [B, ...], the last axes the same for every row.
      seed: int [2], key of the stream.
      first_row: number of the first row in the whole stream.
    """
    return _rows(tf.raw_ops.StatelessRandomUniformV2, shape, seed, first_row)


def normal_rows(shape: tf.Tensor, seed: tf.Tensor, first_row: tf.Tensor | int = 0) -> tf.Tensor:
    """Standard normal float32 numbers; arguments as in `uniform_rows`."""
    return _rows(tf.raw_ops.StatelessRandomNormalV2, shape, seed, first_row)


def _rows(
    draw: Callable[..., tf.Tensor],
    shape: tf.Tensor,
    seed: tf.Tensor,
    first_row: tf.Tensor | int,
) -> tf.Tensor:
    shape = tf.convert_to_tensor(shape, tf.int32)
    size = tf.reduce_prod(shape[1:])
    counters = -(-size // _PER_COUNTER)
    key_counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    offset = tf.cast(first_row, tf.uint64) * tf.cast(counters, tf.uint64)
    counter = key_counter.counter + tf.stack([offset, tf.constant(0, tf.uint64)])
    numbers = draw(
        shape=tf.stack([shape[0], counters * _PER_COUNTER]),
        key=key_counter.key,
        counter=counter,
        alg=_PHILOX,
    )
    return tf.reshape(numbers[:, :size], shape)
