"""Conversion of a classifier with any outputs to images -> logits."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from rar_tf.models.rewrite import functional_view, kind, replace_operations, with_attributes

OUTPUTS = ("auto", "logits", "probabilities")
_SOFTMAX = (keras.activations.softmax, keras.ops.softmax, tf.nn.softmax)
_SIGMOID = (keras.activations.sigmoid, keras.ops.sigmoid, tf.nn.sigmoid)


def to_logits(
    model: keras.Model, outputs: str = "auto", *, sample: tf.Tensor | None = None
) -> tuple[keras.Model, str]:
    """The classifier's logits, on the same variables, and the conversion that gives them.

    A softmax at the end (of a layer's `activation`, a layer or an operation, at any depth)
    is removed. Other probabilities are replaced by their logarithms, of which softmax gives the
    probabilities again; they are clipped at the smallest normal float32, below which the
    gradient is zero. Attributions differ: a logit depends on one output, `log p_y` on all.

    Args:
      model: a Keras classifier, images [B, H, W, C] -> [B, classes].
      outputs: kind of the model's outputs, one of `OUTPUTS`. "auto" calls it probabilities
        if there is a softmax to remove, or if the outputs on `sample` are >= 0 with
        sum 1 within 0.01.
      sample: images [B, H, W, C] to call the model with; by default 8 of noise, if its input
        shape is known.

    Returns:
      (classifier, conversion): the conversion is "logits" for the model itself,
      "stripped_softmax" or "log_probability".

    Raises:
      ValueError: unknown outputs; outputs that are not [B, classes >= 2]; a sigmoid at the
        end; "auto" for a model of unknown input shape without a sample.
    """
    if outputs not in OUTPUTS:
        raise ValueError(f"outputs must be one of {OUTPUTS}. Received: outputs={outputs!r}")
    if outputs == "logits":
        return model, "logits"
    _check_shape(*(tensor.shape for tensor in getattr(model, "outputs", None) or ()))
    last = _last_operation(model)
    if _ends_in(last, "sigmoid", _SIGMOID):
        raise ValueError(
            "model must end in logits or a softmax. Received: a sigmoid at the end of "
            f"{model.name!r}; take it away, or pass outputs='logits'"
        )
    if _ends_in(last, "softmax", _SOFTMAX):
        replacement = _without_softmax(last)
        model = replace_operations(model, lambda value: replacement if value is last else value)
        return model, "stripped_softmax"
    if outputs == "auto" and not _are_probabilities(model, sample):
        return model, "logits"
    log = keras.layers.Activation(_log_probability, dtype="float32", name="log_probability")
    return keras.Sequential([model, log], name=model.name), "log_probability"


def _last_operation(model: Any) -> Any:
    """The operation whose output is the model's output; the model itself if subclassed."""
    while isinstance(model, (keras.Function, keras.Sequential)):
        model = functional_view(model).operations[-1]
    return model


def _ends_in(last: Any, name: str, functions: tuple[Callable, ...]) -> bool:
    """Whether `last` is the named operation, or a Keras layer with one of the functions."""
    return kind(last) == name or bool(kind(last) and _attributes(last, functions))


def _attributes(operation: Any, functions: tuple[Callable, ...]) -> list[str]:
    return [name for name, value in vars(operation).items() if any(value is f for f in functions)]


def _without_softmax(last: Any) -> Any:
    """Replacement of an operation that ends in a softmax, without the softmax."""
    if kind(last) == "softmax":
        return _identity(getattr(last, "compute_dtype", None))
    names = _attributes(last, _SOFTMAX)
    return with_attributes(last, **dict.fromkeys(names, keras.activations.linear))


def _identity(dtype: str | None) -> Callable:
    """Identity in place of an operation of this dtype; it loads without this project."""

    def call(inputs: Any, **_: Any) -> Any:  # Keras calls a Softmax layer with a mask.
        is_same = dtype is None or keras.backend.standardize_dtype(inputs.dtype) == dtype
        return inputs if is_same else keras.ops.cast(inputs, dtype)

    return call


def _are_probabilities(model: keras.Model, sample: tf.Tensor | None) -> bool:
    if sample is None:
        shape = getattr(model, "input_shape", None)
        if not isinstance(shape, tuple) or None in shape[1:]:
            raise ValueError(
                "the input shape must be known to tell logits from probabilities: pass "
                f"outputs='logits', outputs='probabilities' or a sample. Received: {shape}"
            )
        sample = tf.random.stateless_uniform((8, *shape[1:]), seed=(0, 0))
    p = tf.cast(model(sample, training=False), tf.float32)
    _check_shape(p.shape)
    sums_to_1 = tf.reduce_all(tf.abs(tf.reduce_sum(p, -1) - 1) < 0.01)
    return bool(sums_to_1 & tf.reduce_all(p >= 0))


def _check_shape(*shapes: Any) -> None:
    """Raise ValueError unless the known shapes are of one output [B, classes >= 2]."""
    if shapes and (len(shapes) > 1 or len(shapes[0]) != 2 or shapes[0][1] == 1):
        raise ValueError(
            "model must have one output [B, classes >= 2]. "
            f"Received: {', '.join(str(tuple(shape)) for shape in shapes)}"
        )


def _log_probability(p: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.maximum(p, p.dtype.as_numpy_dtype(1.1754944e-38)))
