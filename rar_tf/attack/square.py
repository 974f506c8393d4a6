"""Square Attack: a random search on a score, without gradients.

Andriushchenko, Croce, Flammarion, Hein, "Square Attack: a query-efficient black-box adversarial
attack via random search", ECCV 2020, https://arxiv.org/abs/1912.00049: algorithms 1 to 3.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from rar_tf.attack.threats import LpBall
from rar_tf.attribution import OutputFn, uniform_rows
from rar_tf.checks import check_count, float_images
from rar_tf.not_inlined import not_inlined

# Queries, of 10,000, after which the share of pixels in the window halves [sec. 5 there].
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
# Queries between two removals of the examples with a positive score.
_CHUNK = 50
# Random numbers of a query, beside a sign for each channel: corners of two windows, orientation.
_NUMBERS = 5


@dataclasses.dataclass(frozen=True)
class Square:
    """Settings of the Square Attack.

    Attributes:
      queries: number of points at which the score is taken, >= 1.
      fraction: share of the pixels in the first window, in (0, 1]; later windows are smaller.
    """

    queries: int = 1000
    fraction: float = 0.8

    def __post_init__(self) -> None:
        check_count("queries", self.queries)
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction must be in (0, 1]. Received: fraction={self.fraction}")

    def __call__(
        self,
        score: OutputFn,
        x: tf.Tensor,
        y: tf.Tensor,
        threat: LpBall,
        *,
        seed: tf.Tensor,
        first_row: tf.Tensor | int = 0,
    ) -> tf.Tensor:
        """The point with the largest score of all queries, per example.

        A query adds +-2 eps a channel in a random window and clips to the ball ("inf"), or moves
        l2 mass from one window to another (2); it replaces the best point if its score is larger.
        An example whose score is positive is not queried further.

        Args:
          score: (points [N, H, W, C], labels [N]) -> [N]; examples must not depend on each other.
          x: [B, H, W, C] float32, pixels in [0, 1].
          y: [B] labels.
          threat: allowed set around an image.
          seed: int [2]; random numbers of row i depend on (seed, first_row + i) alone.
          first_row: number of the first row among all rows that share the seed.

        Returns:
          [B, H, W, C], inside the threat.
        """
        x = float_images(x, 4)
        shape = tf.shape(x)
        size, numbers = tf.reduce_prod(shape[1:]), _NUMBERS + shape[3]
        each = size + self.queries * numbers
        drawn = uniform_rows(tf.stack([shape[0], each]), tf.convert_to_tensor(seed), first_row)
        image_size = (x.shape[1], x.shape[2])
        kind = _Squares if threat.norm == "inf" else _MovedMass
        proposals = kind(threat, self._windows(threat, *image_size), image_size)
        best = proposals.start(x, tf.reshape(drawn[:, :size], shape))
        drawn = tf.reshape(drawn[:, size:], tf.stack([shape[0], self.queries, numbers]))
        return tf.stop_gradient(self._search(not_inlined(score), proposals, x, y, drawn, best))

    def _search(
        self,
        score: OutputFn,
        proposals: "_Squares | _MovedMass",
        x: tf.Tensor,
        y: tf.Tensor,
        drawn: tf.Tensor,
        start: tf.Tensor,
    ) -> tf.Tensor:
        """The best point of the queries, of which `start` is the first; drawn [B, Q, numbers]."""

        def chunk(first: tf.Tensor, best: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, ...]:
            rows = tf.where(value <= 0)
            last = tf.minimum(first + _CHUNK, self.queries)
            images, labels = tf.gather_nd(x, rows), tf.gather_nd(y, rows)
            numbers = tf.gather_nd(drawn[:, first:last], rows)

            def query(i: tf.Tensor, best: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, ...]:
                point = proposals(best, images, numbers[:, i - first], i)
                new = score(point, labels)
                better = new > value
                best = tf.where(better[:, tf.newaxis, tf.newaxis, tf.newaxis], point, best)
                return i + 1, best, tf.where(better, new, value)

            _, new_best, new_value = tf.while_loop(
                lambda i, *_: i < last,
                query,
                (first, tf.gather_nd(best, rows), tf.gather_nd(value, rows)),
                parallel_iterations=1,
            )
            best = tf.tensor_scatter_nd_update(best, rows, new_best)
            return last, best, tf.tensor_scatter_nd_update(value, rows, new_value)

        _, best, _ = tf.while_loop(
            lambda first, _, value: (first < self.queries) & tf.reduce_any(value <= 0),
            chunk,
            (tf.constant(1), start, score(start, y)),
            parallel_iterations=1,
        )
        return best

    def _windows(self, threat: LpBall, height: int, width: int) -> list[int]:
        """Side of the window of each query, in pixels."""
        # Algorithm 3 there: an odd number of at least 3 pixels. Two windows of an image with few
        # pixels would coincide.
        smallest = 3 if threat.norm == 2 and min(height, width) > 5 else 1
        sides = []
        for i in range(self.queries):
            halvings = sum(10_000 * i / self.queries > bound for bound in _HALVINGS)
            side = round(math.sqrt(self.fraction / 2**halvings * height * width))
            side = max(side, smallest)
            sides.append(min(side if threat.norm == "inf" else side // 2 * 2 + 1, height, width))
        return sides


class _Squares:
    """Proposals in the l_inf ball: a square of +-eps in place of the best point's  [alg. 2]."""

    def __init__(self, threat: LpBall, sides: list[int], size: tuple[int, int]):
        self._threat, self._sides, self._size = threat, tf.constant(sides), size

    def start(self, x: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """Vertical stripes of +-eps."""
        return self._threat.project(x + self._threat.epsilon * _signs(numbers[:, :1]), x)

    def __call__(
        self, best: tf.Tensor, x: tf.Tensor, numbers: tf.Tensor, i: tf.Tensor
    ) -> tf.Tensor:
        rows, columns = _corner(numbers[:, 0:2], self._sides[i], self._size)
        window = _window(rows, columns, self._sides[i], self._size)
        signs = _signs(numbers[:, tf.newaxis, tf.newaxis, _NUMBERS:])
        step = 2 * self._threat.epsilon * signs * window[..., tf.newaxis]
        return self._threat.project(best + step, x)


class _MovedMass:
    """Proposals in the l2 ball: mass of one window moved to another  [alg. 3]."""

    def __init__(self, threat: LpBall, sides: list[int], size: tuple[int, int]):
        self._threat, self._sides, self._size = threat, tf.constant(sides), size
        distinct = sorted(set(sides))
        self._bumps = tf.constant(np.stack([_padded_bump(side, size) for side in distinct]))
        self._bump_of = tf.constant([distinct.index(side) for side in sides])

    def start(self, x: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """A grid of bumps, five along the shorter side, a sign for each and channel."""
        side = max(min(self._size) // 5, 1)
        corners = [np.arange(n) // side * side for n in self._size]
        grid = _bump(side)[np.ix_(*(np.arange(n) % side for n in self._size))]
        signs = _signs(tf.gather(tf.gather(numbers, corners[0], axis=1), corners[1], axis=2))
        return self._on_sphere(grid[..., np.newaxis] * signs, x)

    def __call__(
        self, best: tf.Tensor, x: tf.Tensor, numbers: tf.Tensor, i: tf.Tensor
    ) -> tf.Tensor:
        side, delta = self._sides[i], best - x
        corner = _corner(numbers[:, 0:2], side, self._size)
        new = _window(*corner, side, self._size)[..., tf.newaxis]
        old = _window(*_corner(numbers[:, 2:4], side, self._size), side, self._size)[
            ..., tf.newaxis
        ]
        # Budget of each channel in the new window: its share of the unused one, and both windows'.
        unused = tf.maximum(self._threat.epsilon**2 - tf.square(_norm(delta, (1, 2, 3))), 0)
        budget = unused / x.shape[3] + tf.square(_norm(delta * tf.maximum(new, old), (1, 2)))
        signs = _signs(numbers[:, tf.newaxis, tf.newaxis, _NUMBERS:])
        bump = self._placed_bump(i, corner, numbers[:, 4])[..., tf.newaxis] * signs
        bump += _unit(delta * new, (1, 2))
        moved = delta * (1 - new) * (1 - old) + _unit(bump * new, (1, 2)) * tf.sqrt(budget)
        return self._on_sphere(moved, x)

    def _on_sphere(self, delta: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        return self._threat.project(x + self._threat.epsilon * _unit(delta, (1, 2, 3)), x)

    def _placed_bump(
        self, i: tf.Tensor, corner: tuple[tf.Tensor, tf.Tensor], orientation: tf.Tensor
    ) -> tf.Tensor:
        """[B, H, W]: the bump of query i with its corner in each row's place; half transposed."""
        bump = self._bumps[self._bump_of[i]]
        side = self._sides[i]
        # Outside of the window the index is that of a row and a column of zeros.
        indices = []
        for first, size in zip(corner, self._size, strict=True):
            offset = tf.range(size) - first[:, tf.newaxis]
            indices.append(tf.where((offset >= 0) & (offset < side), offset, bump.shape[0] - 1))
        upright, lying = (
            tf.gather(tf.gather(b, indices[0]), indices[1], axis=2, batch_dims=1)
            for b in (bump, tf.transpose(bump))
        )
        return tf.where(orientation[:, tf.newaxis, tf.newaxis] < 0.5, upright, lying)


def _padded_bump(side: int, size: tuple[int, int]) -> np.ndarray:
    """The bump in the corner of a square of zeros, one pixel larger than the larger side."""
    bump = _bump(side)
    return np.pad(bump, (0, max(size) + 1 - side)).astype(np.float32)


def _bump(side: int) -> np.ndarray:
    """Two rectangles of opposite sign, peaked in their middles  [eq. 2 and fig. 2 there]."""
    upper, lower = _peak(side // 2, side), _peak(side - side // 2, side)
    bump = np.concatenate([upper, -lower])
    return (bump / np.linalg.norm(bump)).astype(np.float32)


def _peak(height: int, width: int) -> np.ndarray:
    """`sum_m 1 / (m + 1)^2` over centred rectangles, the m-th of them 2 m + 1 pixels wide."""
    rows, columns = np.arange(height) - height // 2, np.arange(width) - width // 2
    ring = np.maximum(np.abs(rows)[:, np.newaxis], np.abs(columns))
    terms = 1 / (np.arange(max(height, width) // 2 + 1) + 1) ** 2
    peak = terms[::-1].cumsum()[::-1][ring]
    return peak / np.linalg.norm(peak) if peak.size else peak


def _corner(
    numbers: tf.Tensor, side: tf.Tensor, size: tuple[int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """(rows [B], columns [B]) of a window's corner, from numbers [B, 2] in [0, 1)."""
    places = tf.cast(tf.constant(size) - side + 1, tf.float32)
    corner = tf.cast(numbers * places, tf.int32)
    return corner[:, 0], corner[:, 1]


def _window(
    rows: tf.Tensor, columns: tf.Tensor, side: tf.Tensor, size: tuple[int, int]
) -> tf.Tensor:
    """[B, H, W], 1 inside of the window and 0 outside."""
    inside = []
    for first, count in zip((rows, columns), size, strict=True):
        offset = tf.range(count) - first[:, tf.newaxis]
        inside.append(tf.cast((offset >= 0) & (offset < side), tf.float32))
    return inside[0][:, :, tf.newaxis] * inside[1][:, tf.newaxis, :]


def _signs(numbers: tf.Tensor) -> tf.Tensor:
    """-1 or 1 with equal chance, from numbers in [0, 1)."""
    return tf.where(numbers < 0.5, -1.0, 1.0)


def _norm(x: tf.Tensor, axes: tuple[int, ...]) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(x), axes, keepdims=True))


def _unit(x: tf.Tensor, axes: tuple[int, ...]) -> tf.Tensor:
    return tf.math.divide_no_nan(x, _norm(x, axes))
