"""Preprocessing of the RAR experiments: histogram equalization, balanced classes by warping."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rar_tf.datasets.pixels import to_uint8
from rar_tf.datasets.splits import Split

_IMAGES_PER_PASS = 1024


def _on_cpu(function: Callable) -> Callable:
    """Wrap a function so that it runs on the CPU and leaves the accelerator to the model."""

    @functools.wraps(function)
    def on_cpu(*args: Any) -> Any:
        with tf.device("CPU:0"):
            return function(*args)

    return on_cpu


@dataclasses.dataclass(frozen=True)
class Warp:
    """Largest random displacement of an image, each drawn uniformly from +- its limit.

    Args:
      rotation: angle about the centre, in degrees.
      translation: displacement along each axis, as a share of the side (2.5 pixels of 32).
      projection: displacement of each corner per axis, as a share of the side (7.7 pixels of 32).
    """

    rotation: float = 15.0
    translation: float = 2.5 / 32
    projection: float = 7.7 / 32


@tf.function(reduce_retracing=True)
@_on_cpu
def equalize(images: tf.Tensor) -> tf.Tensor:
    """Equalize the histogram of each channel of each image.

    v -> round(255 (cdf(v) - cdf_min) / (H W - cdf_min)), cdf(v) the number of pixels <= v and
    cdf_min that of the darkest level present; a channel of one level stays as it is.

    Args:
      images: uint8 [B, H, W, C].

    Returns:
      uint8 [B, H, W, C].
    """
    batch, height, width, channels = tf.unstack(tf.shape(images))
    planes = tf.reshape(tf.transpose(images, (0, 3, 1, 2)), (batch * channels, height * width))
    levels = tf.cast(planes, tf.int32)
    histogram = tf.math.bincount(levels, minlength=256, maxlength=256, axis=-1)
    cdf = tf.cumsum(histogram, axis=-1)
    darkest = tf.gather(cdf, tf.reduce_min(levels, axis=-1), batch_dims=1)[:, tf.newaxis]
    span = height * width - darkest
    scaled = 255 * (cdf - darkest) / tf.maximum(span, 1)
    table = tf.where(span > 0, tf.cast(scaled, tf.float32), tf.range(256.0))
    equalized = tf.gather(to_uint8(table), levels, batch_dims=1)
    return tf.transpose(tf.reshape(equalized, (batch, channels, height, width)), (0, 2, 3, 1))


def equalize_all(images: np.ndarray) -> np.ndarray:
    """Equalize any number of images in bounded memory; see `equalize`."""
    starts = range(0, len(images), _IMAGES_PER_PASS)
    return np.concatenate([equalize(images[i : i + _IMAGES_PER_PASS]).numpy() for i in starts])


def warp(images: np.ndarray, corners: np.ndarray) -> tf.Tensor:
    """Move each image so that its corners land on `corners`; uncovered pixels are black.

    A rotation, a translation and a projection compose to one projective map, and four
    corners determine it: one bilinear resampling does all three.

    Args:
      images: uint8 [B, H, W, C].
      corners: [B, 4, 2] pixels (x, y): top left, top right, bottom left, bottom right.

    Returns:
      uint8 [B, H, W, C].
    """
    start = np.broadcast_to(_corners(*images.shape[1:3]), corners.shape)
    return _perspective(images, start, corners)


def draw_corners(
    indices: np.ndarray, height: int, width: int, limits: Warp, seed: int
) -> np.ndarray:
    """Target positions of the corners of examples `indices` [B]: [B, 4, 2], pixels (x, y).

    corner -> R(angle) (corner - centre) + centre + shift + pull; the draw is a function of
    (seed, index).
    """
    draws = 2 * _uniform(indices, 11, seed) - 1
    side = np.array([width, height])
    angle = np.radians(limits.rotation) * draws[:, 0]
    shift = limits.translation * side * draws[:, 1:3]
    pull = limits.projection * side * draws[:, 3:].reshape(-1, 4, 2)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = _corners(height, width)
    centre = corners.mean(axis=0)
    rotated = np.einsum("ijb,kj->bki", rotation, corners - centre)
    return (rotated + centre + shift[:, np.newaxis] + pull).astype(np.float32)


class BalancedSplit:
    """Split with the same number of examples in every class, made when read.

    Each class has the images of the source, unchanged, and then warped copies of them in turn.
    Example i is a pure function of (source, seed, i): nothing is stored.

    Args:
      source: split with 1 .. `per_class` examples of each class.
      per_class: examples per class.
      seed: seed of the warps.
      equalized: whether `equalize` is applied last, to the unchanged images too.
      limits: largest displacement of the warps.

    Raises:
      ValueError: if a class has no example, or more than `per_class`.
    """

    def __init__(
        self,
        source: Split,
        *,
        per_class: int,
        seed: int,
        equalized: bool = False,
        limits: Warp = Warp(),
    ):
        counts = np.bincount(source.labels, minlength=1)
        if not counts.all() or counts.max() > per_class:
            raise ValueError(
                f"each class must have 1 .. per_class={per_class} examples. "
                f"Received: {counts.min()} to {counts.max()}"
            )
        self.source, self.per_class, self.seed = source, per_class, seed
        self.equalized, self.limits = equalized, limits
        self._counts = counts
        self._order = np.argsort(source.labels, kind="stable")
        self._first = np.cumsum(counts) - counts

    def __len__(self) -> int:
        return len(self._counts) * self.per_class

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Examples `indices` [n] as (images uint8 [n, H, W, C], labels int32 [n])."""
        label, copy = np.divmod(indices, self.per_class)
        rows = self._order[self._first[label] + copy % self._counts[label]]
        images, labels = self.source.read(rows)
        warped = copy >= self._counts[label]
        if warped.any():
            height, width = images.shape[1:3]
            corners = draw_corners(indices[warped], height, width, self.limits, self.seed)
            images[warped] = warp(images[warped], corners).numpy()
        if self.equalized:
            images = equalize_all(images)
        return images, labels

    def originals(self) -> Split:
        """Images of the source, unwarped, as `read` returns them."""
        indices = [
            label * self.per_class + np.arange(count) for label, count in enumerate(self._counts)
        ]
        return Split(*self.read(np.concatenate(indices)))


@tf.function(reduce_retracing=True)
@_on_cpu
def _perspective(images: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    warped_images = keras.ops.image.perspective_transform(
        tf.cast(images, tf.float32), start, end, fill_value=0, data_format="channels_last"
    )
    return to_uint8(warped_images)


def _corners(height: int, width: int) -> np.ndarray:
    right, bottom = width - 1, height - 1
    return np.array([[0, 0], [right, 0], [0, bottom], [right, bottom]], np.float32)


def _uniform(indices: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Uniform numbers [n, count] in [0, 1) by (seed, index, column): SplitMix64 of a counter."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    columns = np.arange(1, count + 1, dtype=np.uint64)
    counters = indices.astype(np.uint64)[:, np.newaxis] * np.uint64(count) + columns
    base = np.random.default_rng(seed).integers(2**63, dtype=np.uint64)
    z: np.ndarray = base + counters * golden
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.ldexp((z >> np.uint64(11)).astype(np.float64), -53)
