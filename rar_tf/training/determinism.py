"""Determinism: the same bits on every run."""

import keras
import tensorflow as tf


def make_deterministic(seed: int) -> None:
    """Makes every later computation of this process repeatable, also on GPUs, but slower.

    Batches and random starts are functions of (seed, step) in any case. This selects
    deterministic kernels, and seeds the generators that have no seed of their own.

    Args:
      seed: seed of Python, numpy and TensorFlow, >= 0.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
