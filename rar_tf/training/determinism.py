"""The same bits on every run."""

import keras
import tensorflow as tf


def make_deterministic(seed: int) -> None:
    """Makes all that this process runs from now on repeatable, on GPUs too; it runs slower.

    Batches and attack starts are functions of (seed, step) anyway. This adds the choice of
    deterministic kernels, and seeds what draws without a seed of its own.

    Args:
      seed: of Python, numpy and TensorFlow, >= 0.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
