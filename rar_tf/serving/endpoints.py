"""Endpoints of an export as functions of a classifier: prediction and attribution."""

from collections.abc import Callable

import keras
import tensorflow as tf

from rar_tf.attribution import Explainer, label_logit, saliency
from rar_tf.datasets.encoded import decode_tensor
from rar_tf.datasets.pixels import resize_tensor


def predict(classifier: keras.Model, image: tf.Tensor) -> dict[str, tf.Tensor]:
    """Logits, probabilities and class of each image.

    Args:
      classifier: images [N, H, W, C] -> logits [N, classes].
      image: images [N, H, W, C] float32, pixels in [0, 1].

    Returns:
      `logits` and `probabilities` [N, classes] float32, `class` [N] int32; zeros and class -1
      for an image with a pixel that is NaN or outside [0, 1].
    """
    valid = _in_unit_range(image)
    # Invalid images are also zeroed before the network, which may mix rows.
    logits = tf.cast(classifier(_where(valid, image), training=False), tf.float32)
    return _masked(valid, _prediction(logits))


def attribute(
    classifier: keras.Model,
    image: tf.Tensor,
    label: tf.Tensor,
    baseline: tf.Tensor,
    explainer: Explainer,
    nodes_per_pass: int | None = None,
) -> dict[str, tf.Tensor]:
    """Prediction, and integrated gradients of a logit f_y from baseline b to image x.

    IG_i = (x_i - b_i) * sum_k w_k d f_y(b + t_k (x - b)) / d x_i        [STY17 eq. 1]

    Args:
      classifier: images [N, H, W, C] -> logits [N, classes].
      image: images [N, H, W, C] float32, pixels in [0, 1].
      label: classes y [N] int32; -1 for the predicted class.
      baseline: baselines [N, H, W, C] float32, pixels in [0, 1].
      explainer: integrated gradients; its baseline is not used.
      nodes_per_pass: quadrature nodes in one pass of the classifier; None for all.

    Returns:
      The results of `predict`; `attribution` [N, H, W, C] in logits; `saliency` [N, H, W], see
      `attribution.saliency`; `completeness_error` [N], `|sum_i IG_i - (f_y(x) - f_y(b))|` in
      logits; `valid` [N] bool. Where an image or a baseline has a pixel that is NaN or outside
      [0, 1], or the label is no class, `valid` is false, the class -1, and all else 0.
    """
    valid = _in_unit_range(image) & _in_unit_range(baseline) & (label >= -1)
    x, b = _where(valid, image), _where(valid, baseline)
    logits = tf.cast(classifier(x, training=False), tf.float32)
    valid &= label < tf.shape(logits)[1]
    prediction = _prediction(logits)
    y = tf.where(valid & (label >= 0), label, prediction["class"])
    output = label_logit(classifier)
    ig = explainer.attribution(classifier, x, y, baseline=b, nodes_per_pass=nodes_per_pass)
    change = tf.gather(logits, y, axis=1, batch_dims=1) - output(b, y)
    result = prediction | {
        "attribution": ig,
        "saliency": saliency(ig),
        "completeness_error": tf.abs(tf.reduce_sum(ig, [1, 2, 3]) - change),
        "valid": valid,
    }
    return _masked(valid, result)


def decode(
    image_bytes: tf.Tensor, shape: tuple[int, int, int], resize: str = "stretch"
) -> tf.Tensor:
    """Decodes images in the way of `datasets.load("folder:...")`.

    Args:
      image_bytes: encoded images [N], PNG or JPEG.
      shape: (H, W, C) with C 1 or 3.
      resize: way of scaling to H x W, see `pixels.resize_tensor`.

    Returns:
      [N, H, W, C] float32, pixels in [0, 1].

    Raises:
      tf.errors.InvalidArgumentError: another format, a damaged image, or too many pixels.
    """
    height, width, channels = shape

    def decode_one(numbered: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        row, content = numbered
        pixels = decode_tensor(content, channels, "image_bytes", "row", row)
        return resize_tensor(pixels, (height, width), resize)

    rows = tf.range(tf.shape(image_bytes)[0])
    spec = tf.TensorSpec(shape, tf.uint8)
    levels = tf.map_fn(decode_one, (rows, image_bytes), fn_output_signature=spec)
    return tf.cast(levels, tf.float32) / 255


def in_blocks(
    function: Callable[..., dict[str, tf.Tensor]], inputs: tuple[tf.Tensor, ...], size: int
) -> dict[str, tf.Tensor]:
    """Applies `function` to tensors with equally many rows, `size` rows at a time.

    Each row is computed once, without padding.

    Args:
      function: tensors [n, ...] -> named tensors [n, ...], row by row.
      inputs: tensors [N, ...].
      size: number of rows per call, >= 1.

    Raises:
      tf.errors.InvalidArgumentError: inputs of another shape, or of unequal length.
    """
    # A loaded signature accepts any shape; static shapes are those of the specification.
    inputs = tuple(tf.ensure_shape(value, value.shape) for value in inputs)
    rows = tf.shape(inputs[0])[0]
    for value in inputs[1:]:
        tf.debugging.assert_equal(
            tf.shape(value)[0], rows, "label and baseline must have one row for each image"
        )
    specs = [tf.TensorSpec([None, *value.shape[1:]], value.dtype) for value in inputs]
    traced = tf.function(function, autograph=False).get_concrete_function(*specs)
    outputs = traced.structured_outputs
    # No block for an empty batch, which not all convolutions of TensorFlow accept.
    blocks = (rows + size - 1) // size
    arrays = {
        name: tf.TensorArray(
            spec.dtype, blocks, element_shape=spec.shape, infer_shape=False, clear_after_read=True
        )
        for name, spec in outputs.items()
    }

    def body(k: tf.Tensor, arrays: dict[str, tf.TensorArray]) -> tuple:
        result = traced(*(value[k * size : (k + 1) * size] for value in inputs))
        return k + 1, {name: array.write(k, result[name]) for name, array in arrays.items()}

    _, arrays = tf.while_loop(
        lambda k, _: k < blocks, body, (tf.constant(0), arrays), parallel_iterations=1
    )
    return {
        name: tf.ensure_shape(arrays[name].concat(), spec.shape) for name, spec in outputs.items()
    }


def _prediction(logits: tf.Tensor) -> dict[str, tf.Tensor]:
    return {
        "logits": logits,
        "probabilities": tf.nn.softmax(logits),
        "class": tf.argmax(logits, -1, tf.int32),
    }


def _in_unit_range(image: tf.Tensor) -> tf.Tensor:
    # False for NaN, as every comparison with NaN is false.
    return tf.reduce_all((image >= 0) & (image <= 1), [1, 2, 3])


def _where(valid: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Valid rows of `value`; zeros in the other rows."""
    mask = tf.reshape(valid, [-1] + [1] * (value.shape.rank - 1))
    return tf.where(mask, value, tf.zeros_like(value))


def _masked(valid: tf.Tensor, outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    masked = {name: _where(valid, value) for name, value in outputs.items()}
    return masked | {"class": tf.where(valid, outputs["class"], -1)}
