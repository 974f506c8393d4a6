"""Weight decay as the original writes it: part of the loss, on kernels only."""

import keras


def kernel_l2(weight_decay: float) -> keras.regularizers.Regularizer | None:
    """The regularizer `weight_decay * sum w^2 / 2` of a kernel; None for no decay.

    Args:
      weight_decay: coefficient of the L2 loss, >= 0.

    Raises:
      ValueError: a negative weight_decay.
    """
    if weight_decay < 0:
        raise ValueError(f"weight_decay must be >= 0. Received: weight_decay={weight_decay}")
    return keras.regularizers.L2(weight_decay / 2) if weight_decay else None
