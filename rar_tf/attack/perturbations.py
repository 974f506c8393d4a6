"""Random perturbations of full size: families of signs, keyed by (seed, row)."""

from collections.abc import Callable

import tensorflow as tf

from rar_tf.attack.threats import LpBall
from rar_tf.attribution import normal_rows, uniform_rows
from rar_tf.naming import check_name

FAMILIES = ("pixel", "block", "smooth")
# Blocks along a side of the image, and standard deviation of the smoothing per side.
_BLOCKS, _SMOOTHING = 7, 1 / 14


def random_signs(
    family: str, x: tf.Tensor, seed: tf.Tensor, first_row: tf.Tensor | int = 0
) -> tf.Tensor:
    """Random signs of the shape of x [B, H, W, C]; row i depends on (seed, first_row + i) alone.

    Args:
      family: "pixel" (independent signs), "block" (one sign for each of 7 x 7 blocks and each
        channel) or "smooth" (the sign of Gaussian noise smoothed over 1/14 of the image's side).
      x: images of known height and width.
      seed: int [2].
      first_row: number of the first row among all rows that share the seed.

    Raises:
      ValueError: an unknown family.
    """
    check_name("family", family, FAMILIES)
    height, width, channels = x.shape[1:]
    batch = tf.shape(x)[0]
    if family == "pixel":
        return _signs(uniform_rows(tf.shape(x), seed, first_row) - 0.5)
    if family == "block":
        side = max(round(min(height, width) / _BLOCKS), 1)
        shape = [batch, -(-height // side), -(-width // side), channels]
        signs = _signs(uniform_rows(shape, seed, first_row) - 0.5)
        return tf.repeat(tf.repeat(signs, side, 1), side, 2)[:, :height, :width]
    noise = normal_rows(tf.shape(x), seed, first_row)
    return _signs(_smooth(noise, max(min(height, width) * _SMOOTHING, 0.5)))


def random_point(
    family: str, x: tf.Tensor, threat: LpBall, seed: tf.Tensor, first_row: tf.Tensor | int = 0
) -> tf.Tensor:
    """A point at distance epsilon from x along random signs, clipped to the pixel bounds."""
    signs = random_signs(family, x, seed, first_row)
    return threat.project(threat.ascend(x, signs, threat.epsilon), x)


def smooth_gradient(x: tf.Tensor, sigma: float) -> tf.Tensor:
    """x [B, H, W, C] itself; its gradient is convolved with a Gaussian of sigma pixels."""

    @tf.custom_gradient
    def identity(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return tf.identity(x), lambda upstream: _smooth(upstream, sigma)

    return identity(x)


def _signs(values: tf.Tensor) -> tf.Tensor:
    return tf.where(values >= 0, 1.0, -1.0)


def _smooth(values: tf.Tensor, sigma: float) -> tf.Tensor:
    """Values [B, H, W, C] convolved with a Gaussian along both sides."""
    rows, columns = (_gaussian(size, sigma) for size in values.shape[1:3])
    return tf.einsum("bhwc,hi,wj->bijc", values, rows, columns)


def _gaussian(size: int, sigma: float) -> tf.Tensor:
    """[size, size]: a Gaussian of the distance of two pixels, not normalized."""
    pixels = tf.range(size, dtype=tf.float32)
    return tf.exp(-0.5 * tf.square((pixels[:, tf.newaxis] - pixels) / sigma))
