"""Saliency maps: attributions reduced to one value a pixel, for metrics and display."""

import tensorflow as tf


def saliency(attribution: tf.Tensor) -> tf.Tensor:
    """Absolute attribution, summed over channels, normalized to the sum H * W.

    It is the map of the original implementation's metrics and attacks. A map of zeros stays
    zero (a constant map, which the evaluation counts).

    Args:
      attribution: [B, H, W, C].

    Returns:
      [B, H, W], >= 0, of mean 1.

    Raises:
      ValueError: the attribution is not of rank 4.
    """
    attribution = tf.convert_to_tensor(attribution)
    if attribution.shape.rank != 4 or not attribution.dtype.is_floating:
        raise ValueError(
            f"attribution must be floating [B, H, W, C]. Received: {attribution.dtype.name} "
            f"attribution.shape={attribution.shape}"
        )
    magnitude = tf.reduce_sum(tf.abs(attribution), -1)
    return tf.math.divide_no_nan(magnitude, tf.reduce_mean(magnitude, [1, 2], keepdims=True))
