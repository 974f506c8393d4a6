"""Threat models: the allowed set around an image, by start, ascend, project and penalty."""

import dataclasses
import math
from typing import Protocol

import tensorflow as tf

from rar_tf.attribution import normal_rows, uniform_rows
from rar_tf.checks import levels_hint


class Threat(Protocol):
    """The allowed set around an image, as `maximize` uses it."""

    def start(self, x: tf.Tensor, seed: tf.Tensor, first_row: tf.Tensor | int = 0) -> tf.Tensor:
        """A random point near x [B, ...]; row i depends on (seed, first_row + i) alone."""

    def ascend(self, x_adv: tf.Tensor, gradient: tf.Tensor, step: tf.Tensor | float) -> tf.Tensor:
        """The steepest step of the given size."""

    def project(self, x_adv: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """The nearest allowed point to x_adv."""

    def penalty(self, x_adv: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """Cost [B] of x_adv, in units of the score."""


@dataclasses.dataclass(frozen=True)
class LpBall:
    """The lp ball of radius epsilon around x, intersected with the pixel bounds.

    N(x, eps) = {x~ : ||x~ - x||_p <= eps, bounds[0] <= x~ <= bounds[1]}   [RAR eq. 4]

    Attributes:
      norm: "inf" or 2.
      epsilon: radius, in pixel units ([0, 1]: write 8 / 255); for "inf" at most the range of the
        bounds, for 2 at most the largest distance of two images (`check_images`).
      bounds: (lowest, highest) pixel value, or None for no bounds.
    """

    norm: str | int = "inf"
    epsilon: float = 0.1
    bounds: tuple[float, float] | None = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.norm not in ("inf", 2):
            raise ValueError(f'norm must be "inf" or 2. Received: norm={self.norm!r}')
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise ValueError(f"epsilon must be finite and >= 0. Received: epsilon={self.epsilon}")
        check_bounds(self.bounds)
        if self.norm == "inf" and self.bounds is not None:
            self._check_radius(self.bounds[1] - self.bounds[0], "the range of a pixel")

    def check_images(self, image_shape: tuple[int, ...]) -> None:
        """Raises ValueError if every image of this shape lies in the ball around any other."""
        if self.norm == 2 and self.bounds is not None:
            largest = (self.bounds[1] - self.bounds[0]) * math.sqrt(math.prod(image_shape))
            sides = "x".join(map(str, image_shape))
            self._check_radius(largest, f"the largest l2 distance of two images {sides}")

    def _check_radius(self, largest: float, meaning: str) -> None:
        if self.epsilon > largest:
            hint = levels_hint(self.epsilon) if self.bounds == (0.0, 1.0) else ""
            raise ValueError(
                f"epsilon must be <= {largest:.4g}, {meaning}. Received: epsilon={self.epsilon:g}"
                f"{hint}"
            )

    def start(self, x: tf.Tensor, seed: tf.Tensor, first_row: tf.Tensor | int = 0) -> tf.Tensor:
        """A random point, uniform in the ball, not yet clipped to pixels, as in the original."""
        if self.norm == "inf":
            uniform = tf.cast(uniform_rows(tf.shape(x), seed, first_row), x.dtype)
            return x + self.epsilon * (2 * uniform - 1)
        direction = tf.cast(normal_rows(tf.shape(x), seed, first_row), x.dtype)
        dimension = tf.cast(tf.size(x[0]), x.dtype)
        # Another stream than the direction's, still keyed by the row.
        radius = uniform_rows([tf.shape(x)[0]], seed + tf.constant([0, 1], seed.dtype), first_row)
        length = self.epsilon * tf.cast(radius, x.dtype) ** (1 / dimension)
        return x + _rescale(direction, _rows(length, x))

    def ascend(self, x_adv: tf.Tensor, gradient: tf.Tensor, step: tf.Tensor | float) -> tf.Tensor:
        """A sign step for "inf", a step along the normalized gradient for 2 (Normalize_p, FAR)."""
        if self.norm == "inf":
            return x_adv + step * tf.sign(gradient)
        return x_adv + _rescale(gradient, step)

    def project(self, x_adv: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """Clip to the ball, then to the bounds: inside both, since x is inside the bounds."""
        if x.shape.rank is not None and None not in x.shape[1:].as_list():
            self.check_images(tuple(x.shape[1:]))
        difference = x_adv - x
        if self.norm == "inf":
            difference = tf.clip_by_value(difference, -self.epsilon, self.epsilon)
        else:
            length = _length(difference)
            difference *= tf.minimum(1.0, self.epsilon / tf.maximum(length, 1e-30))
        return clip(x + difference, self.bounds)

    def penalty(self, x_adv: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """Zero: every point of the ball has the same cost."""
        return tf.zeros(tf.shape(x)[:1], x.dtype)


def check_bounds(bounds: tuple[float, float] | None) -> None:
    """Raises ValueError unless bounds is None or (low, high) with low < high."""
    if bounds is not None and not bounds[0] < bounds[1]:
        raise ValueError(f"bounds must be (low, high) with low < high. Received: bounds={bounds}")


def clip(x: tf.Tensor, bounds: tuple[float, float] | None) -> tf.Tensor:
    """Clip x to the pixel bounds; None leaves it."""
    return x if bounds is None else tf.clip_by_value(x, *bounds)


def _rows(values: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """[B] -> [B, 1, ...], to broadcast over the axes of x."""
    return tf.reshape(values, tf.concat([tf.shape(x)[:1], tf.ones(x.shape.rank - 1, tf.int32)], 0))


def _length(x: tf.Tensor) -> tf.Tensor:
    """The l2 norm of each row, with the axes of x."""
    return tf.sqrt(tf.reduce_sum(tf.square(x), list(range(1, x.shape.rank)), keepdims=True))


def _rescale(x: tf.Tensor, length: tf.Tensor | float) -> tf.Tensor:
    """Rows scaled to the given l2 length; rows of zeros stay zero."""
    # Dividing by the largest entry first keeps tiny gradients from underflowing.
    largest = tf.reduce_max(tf.abs(x), list(range(1, x.shape.rank)), keepdims=True)
    x = tf.math.divide_no_nan(x, largest)
    return tf.math.divide_no_nan(x, _length(x)) * length
