"""Batches of a split: shuffled for training, in order for evaluation."""

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from rar_tf.checks import check_count
from rar_tf.datasets.splits import Examples


def step_indices(step: int, *, size: int, batch_size: int, seed: int) -> np.ndarray:
    """Indices of the examples in the batch of one step.

    The training stream is the concatenation of one permutation of the split per epoch;
    step s takes its positions s * B .. s * B + B - 1. Every example is drawn once per
    epoch, and a batch may straddle two epochs.

    Args:
      step: s >= 0.
      size: number of examples N in the split.
      batch_size: number of examples B in a batch.
      seed: seed of the permutations, >= 0.

    Returns:
      int64 [B], a pure function of the arguments.
    """
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs, offsets = np.divmod(positions, size)
    indices = np.empty(batch_size, np.int64)
    for epoch in np.unique(epochs):
        inside = epochs == epoch
        indices[inside] = _permutation(seed, int(epoch), size)[offsets[inside]]
    return indices


def training_batches(
    split: Examples,
    *,
    batch_size: int,
    seed: int,
    steps: int,
    first_step: int = 0,
    parts: Sequence[int] = (0,),
    num_parts: int = 1,
) -> tf.data.Dataset:
    """Shuffled batches of the steps first_step .. first_step + steps - 1.

    The batch of step s depends on (split, batch_size, seed, s) alone, so a run resumed
    at `first_step` gets the batches of an uninterrupted run.

    Args:
      split: examples to draw from.
      batch_size: number of examples B in every batch.
      seed: seed of the epochs' permutations, >= 0.
      steps: number of batches.
      first_step: step of the first batch.
      parts: numbers of the parts of each batch to read, one after another: part p are the rows
        p B / num_parts .. (p + 1) B / num_parts - 1.
      num_parts: number of equal parts of a batch.

    Returns:
      Dataset of (x [B / num_parts, H, W, C] float32, pixels in [0, 1]; y [B / num_parts]
      int32).

    Raises:
      ValueError: if the split is None or empty, or a number is out of range.
    """
    _check(split, batch_size)
    for name, value, minimum in (
        ("seed", seed, 0),
        ("steps", steps, 1),
        ("first_step", first_step, 0),
        ("num_parts", num_parts, 1),
    ):
        check_count(name, value, minimum)
    if batch_size % num_parts:
        raise ValueError(
            f"batch_size must be a multiple of num_parts={num_parts}. "
            f"Received: batch_size={batch_size}"
        )
    if not parts or not all(0 <= part < num_parts for part in parts):
        raise ValueError(
            f"parts must be numbers from 0 to {num_parts - 1}. Received: parts={list(parts)}"
        )
    rows = batch_size // num_parts

    def indices(number: np.ndarray) -> np.ndarray:
        step, part = divmod(int(number), len(parts))
        first_row = parts[part] * rows
        batch = step_indices(first_step + step, size=len(split), batch_size=batch_size, seed=seed)
        return batch[first_row : first_row + rows]

    numbers_ds = tf.data.Dataset.range(steps * len(parts))
    index_ds = numbers_ds.map(lambda number: tf.numpy_function(indices, [number], tf.int64))
    return _read(split, index_ds, rows)


def ordered_batches(split: Examples, batch_size: int) -> tf.data.Dataset:
    """Batches of all examples in order; the last may be smaller.

    Args:
      split: examples to read.
      batch_size: number of examples B in a batch.

    Returns:
      Dataset of (x [<= B, H, W, C] float32, pixels in [0, 1]; y [<= B] int32).

    Raises:
      ValueError: if the split is None or empty, or `batch_size` < 1.
    """
    _check(split, batch_size)
    index_ds = tf.data.Dataset.range(len(split)).batch(batch_size)
    return _read(split, index_ds, None)


def to_unit(images: np.ndarray) -> np.ndarray:
    """Pixels in [0, 1], uint8 [...] -> float32 [...]: exactly `images / float32(255)`."""
    return images / np.float32(255)


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, size: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(size)


def _check(split: Examples | None, batch_size: int) -> None:
    if split is None:
        raise ValueError(
            "split must hold examples. Received: split=None "
            "(ImageData.require names the missing files)"
        )
    if not len(split):
        raise ValueError("split must hold examples. Received: an empty split")
    check_count("batch_size", batch_size)


def _read(split: Examples, index_ds: tf.data.Dataset, rows: int | None) -> tf.data.Dataset:
    images, _ = split.read(np.arange(1))

    # Division in numpy: a TensorFlow graph may replace it by a product with 1 / 255, which
    # differs in the last bit.
    def read(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pixels, labels = split.read(indices)
        return to_unit(pixels), labels

    def read_tensors(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x, y = tf.numpy_function(read, [indices], (tf.float32, tf.int32))
        return tf.ensure_shape(x, (rows, *images.shape[1:])), tf.ensure_shape(y, (rows,))

    return index_ds.map(read_tensors, num_parallel_calls=tf.data.AUTOTUNE).prefetch(
        tf.data.AUTOTUNE
    )
