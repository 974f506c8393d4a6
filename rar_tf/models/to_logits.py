"""Conversion of a classifier with any outputs to images -> logits."""

from typing import Any

import keras
import tensorflow as tf

from rar_tf.models.output_ends import (
    SIGMOID,
    SOFTMAX,
    End,
    end_of,
    ends_in,
    hidden_end,
    traced_end,
    without_end,
)
from rar_tf.models.rewrite import inlined, is_graph, require_built

OUTPUTS = ("auto", "logits", "probabilities")
CONVERSIONS = {
    "logits": "",
    "stripped_softmax": "softmax removed",
    "log_probability": "logarithm of the probabilities taken for logits",
    "sigmoid_as_two_logits": "one sigmoid output p = sigmoid(z) read as two logits (-z/2, z/2)",
    "logit_as_two_logits": "one logit z read as two logits (-z/2, z/2)",
}


def to_logits(
    model: keras.Model, outputs: str = "auto", *, sample: tf.Tensor | None = None
) -> tuple[keras.Model, str]:
    """The classifier's logits, on the same variables, and the conversion that gives them.

    A softmax at the end (of a layer's `activation`, a layer or an operation, at any depth)
    is removed. Other probabilities are replaced by their logarithms, of which softmax gives the
    probabilities again; they are clipped at the smallest normal float32, below which the
    gradient is zero. Attributions differ: a logit depends on one output, `log p_y` on all.

    One output is a binary classifier, whose classes are 0 and 1. Its logit z, of which a sigmoid
    at the end is removed, becomes the logits (-z / 2, z / 2):

      softmax(-z/2, z/2) = (1 - sigmoid(z), sigmoid(z))

    Args:
      model: a Keras classifier, images [B, H, W, C] -> [B, classes], [B, 1] or [B].
      outputs: kind of the model's outputs, one of `OUTPUTS`. "auto" calls them probabilities
        if there is a softmax to remove, or if the outputs on `sample` are >= 0 with
        sum 1 within 0.01; one output, if there is a sigmoid.
      sample: images [B, H, W, C] to call the model with; by default 8 of noise, if its input
        shape is known.

    Returns:
      (classifier, conversion): the conversion is "logits" for the model itself, or another name
      of `CONVERSIONS`.

    Raises:
      ValueError: unknown outputs; outputs that are not [B, classes]; several sigmoids at the
        end; "auto" for outputs of unknown kind, or of a model of unknown input shape without a
        sample.
    """
    if outputs not in OUTPUTS:
        raise ValueError(f"outputs must be one of {OUTPUTS}. Received: outputs={outputs!r}")
    known = [tensor.shape for tensor in getattr(model, "outputs", None) or ()]
    _check_shape(*known)
    if known and not _is_single(known[0]) and outputs == "logits":
        return model, "logits"
    require_built(model)
    end = end_of(inlined(model) if _is_one_graph(model) else model)
    if (not known or end.is_custom) and (outputs == "auto" or _has_shape(model, sample)):
        sample = _sample(model, sample)
        end = hidden_end(end, sample)
        known = [model(sample, training=False).shape]
        _check_shape(*known)
    if known and _is_single(known[0]):
        return _two_logits(model, end, outputs, sample)
    if outputs == "logits":
        return model, "logits"
    if ends_in(end, "sigmoid", SIGMOID) or traced_end(end, sample) == "Sigmoid":
        raise ValueError(
            "model must end in logits or a softmax, as an image has one class. Received: "
            f"independent sigmoids at the end of {model.name!r}, for several labels an image; "
            "outputs=logits takes their values for logits"
        )
    if ends_in(end, "softmax", SOFTMAX):
        return without_end(end, SOFTMAX), "stripped_softmax"
    if outputs == "auto" and (end.is_linear or not _are_probabilities(model, sample)):
        return model, "logits"
    log = keras.layers.Activation(_log_probability, dtype="float32", name="log_probability")
    return _with_layer(model, log), "log_probability"


def _two_logits(
    model: keras.Model, end: End, outputs: str, sample: tf.Tensor | None
) -> tuple[keras.Model, str]:
    """Two logits of a model with one output."""
    if ends_in(end, "softmax", SOFTMAX):
        raise ValueError(
            "a softmax must have at least two outputs, as that of one is always 1. "
            f"Received: one at the end of {model.name!r}"
        )
    if outputs != "logits" and ends_in(end, "sigmoid", SIGMOID):
        return _with_layer(without_end(end, SIGMOID), _TwoLogits()), "sigmoid_as_two_logits"
    is_probability = outputs == "probabilities" or traced_end(end, sample) == "Sigmoid"
    if outputs != "logits" and is_probability:
        return _with_layer(model, _TwoLogProbabilities()), "log_probability"
    if outputs == "auto" and not end.is_linear and _are_in_unit_range(model, sample):
        raise ValueError(
            "the kind of the one output must be known: pass outputs='logits' or "
            f"outputs='probabilities'. Received: {model.name!r}, whose outputs on some images "
            "are all in [0, 1]"
        )
    return _with_layer(model, _TwoLogits()), "logit_as_two_logits"


class _TwoLogits(keras.layers.Layer):
    """Logits (-z / 2, z / 2) [B, 2] of one logit z [B, 1] or [B]."""

    def __init__(self) -> None:
        super().__init__(name="two_logits", dtype="float32")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Two logits, float32."""
        half = keras.ops.reshape(inputs, (-1, 1)) / 2
        return keras.ops.concatenate([-half, half], -1)


class _TwoLogProbabilities(keras.layers.Layer):
    """Logits (log(1 - p), log p) [B, 2] of one probability p [B, 1] or [B]."""

    def __init__(self) -> None:
        super().__init__(name="log_probability", dtype="float32")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Two logits, float32."""
        p = keras.ops.reshape(inputs, (-1, 1))
        return _log_probability(keras.ops.concatenate([1 - p, p], -1))


def _with_layer(model: keras.Model, layer: keras.layers.Layer) -> keras.Model:
    if not is_graph(model):
        return keras.Sequential([model, layer], name=model.name)
    flat = inlined(model)
    return keras.Model(flat.inputs[0], layer(flat.outputs[0]), name=model.name)


def _is_one_graph(model: keras.Model) -> bool:
    return is_graph(model) and len(model.inputs) == 1


def _has_shape(model: keras.Model, sample: tf.Tensor | None) -> bool:
    shape = getattr(model, "input_shape", None)
    return sample is not None or (isinstance(shape, tuple) and None not in shape[1:])


def _sample(model: keras.Model, sample: tf.Tensor | None) -> tf.Tensor:
    shape = getattr(model, "input_shape", None)
    if sample is not None:
        return sample
    if not isinstance(shape, tuple) or None in shape[1:]:
        raise ValueError(
            "the input shape must be known to tell logits from probabilities: pass "
            f"outputs='logits', outputs='probabilities' or a sample. Received: {shape}"
        )
    return tf.random.stateless_uniform((8, *shape[1:]), seed=(0, 0))


def _are_probabilities(model: keras.Model, sample: tf.Tensor | None) -> bool:
    p = tf.cast(model(_sample(model, sample), training=False), tf.float32)
    sums_to_1 = tf.reduce_all(tf.abs(tf.reduce_sum(p, -1) - 1) < 0.01)
    return bool(sums_to_1 & tf.reduce_all(p >= 0))


def _are_in_unit_range(model: keras.Model, sample: tf.Tensor | None) -> bool:
    p = tf.cast(model(_sample(model, sample), training=False), tf.float32)
    return bool(tf.reduce_all((p >= 0) & (p <= 1)))


def _is_single(shape: Any) -> bool:
    return len(shape) == 1 or shape[-1] == 1


def _check_shape(*shapes: Any) -> None:
    """Raise ValueError unless the known shapes are of one output [B, classes], [B, 1] or [B]."""
    if shapes and (len(shapes) > 1 or len(shapes[0]) not in (1, 2)):
        raise ValueError(
            "model must have one output [B, classes]. "
            f"Received: {', '.join(str(tuple(shape)) for shape in shapes)}"
        )


def _log_probability(p: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.maximum(p, p.dtype.as_numpy_dtype(1.1754944e-38)))
