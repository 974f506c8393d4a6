"""Weight decay as in the original: part of the loss, on kernels only."""

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


def decay_kernels(model: keras.Model, weight_decay: float) -> None:
    """Set the weight decay of every kernel of a built model.

    It is not saved with the model.

    Args:
      model: a built Keras model; biases and other weights stay as they are.
      weight_decay: coefficient of the L2 loss `weight_decay * sum w^2 / 2`, >= 0.

    Raises:
      ValueError: a negative weight_decay.
    """
    regularizer = kernel_l2(weight_decay)
    for variable in model.trainable_variables:
        if variable.name.endswith("kernel"):
            variable.regularizer = regularizer
