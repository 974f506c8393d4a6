"""Averaged weights: the exponential moving average that an optimizer may keep."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Context in which the model has its averaged weights; the last step's are restored after it.

    Nothing changes where the optimizer keeps no average, or has not taken a step.
    """
    if not model.optimizer.use_ema or not int(model.optimizer.iterations.numpy()):
        yield
        return
    last = [np.copy(variable.numpy()) for variable in model.trainable_variables]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, last, strict=True):
            variable.assign(value)
