"""Metrics of how a map changed: one table with each metric's function, value and sign.

Metrics depend on ranks, without a useful gradient, so they are computed in numpy.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.stats

from rar_tf.checks import is_count


def top_k_mask(maps: np.ndarray, k: int) -> np.ndarray:
    """Mask of the k largest pixels of maps [B, ...]: bool of the same shape.

    Of equal values the earlier pixel, in row-major order, counts as larger, as in
    `tf.math.top_k`.

    Raises:
      ValueError: k < 1, or k larger than the map.
    """
    (maps,) = _numbers(maps)
    flat = _rows(maps)
    if not is_count(k) or not 1 <= k <= flat.shape[1]:
        raise ValueError(f"k must be in 1 .. {flat.shape[1]}, the pixels of a map. Received: k={k}")
    if np.isnan(flat).any():  # Not a number counts as the smallest value.
        flat = np.where(np.isnan(flat), -np.inf, flat)
    place = flat.shape[1] - k
    threshold = np.partition(flat, place, axis=1)[:, place : place + 1]
    above, equal = flat > threshold, flat == threshold
    missing = k - above.sum(1, keepdims=True)
    mask = above | (equal & (np.cumsum(equal, axis=1) <= missing))
    return mask.reshape(np.shape(maps))


def top_k_intersection(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    """Top-k intersection: share of the k largest pixels that two maps have in common.

    [GAZ17], [RAR sec. 5]

    Args:
      a: [B, ...], maps.
      b: [B, ...], maps.
      k: number of pixels.

    Returns:
      float64 [B] in [0, 1]; NaN where a map is constant, or is not finite.

    Raises:
      ValueError: k < 1, or k larger than the map.
    """
    a, b = _numbers(a, b)
    common = top_k_mask(a, k) & top_k_mask(b, k)
    share = _rows(common).sum(1) / k
    return np.where(_ranked(a) & _ranked(b), share, np.nan)


def kendall_tau(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of maps [B, ...] -> float64 [B]; see `scipy.stats.kendalltau`.

    NaN where a map is constant, or is not finite.
    """
    return _correlation(scipy.stats.kendalltau, a, b)


def kendall_foreground(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Kendall's tau-b over the pixels where the first map is > 0, [B, ...] -> float64 [B].

    Pixels outside the object have the value 0 in both maps of integrated gradients from black, and
    their ties dominate tau-b over all pixels of an image with a black background.

    Args:
      a: [B, ...], the clean maps.
      b: [B, ...], the other maps.

    Returns:
      NaN where a map is not finite, fewer than two pixels are > 0, or one of the maps is
      constant over these.
    """
    a, b = _numbers(a, b)
    values = np.full(len(a), np.nan)
    for i in np.flatnonzero(np.isfinite(_rows(a)).all(1) & np.isfinite(_rows(b)).all(1)):
        foreground = a[i] > 0
        if foreground.sum() >= 2:
            values[i] = kendall_tau(a[i][foreground][np.newaxis], b[i][foreground][np.newaxis])[0]
    return values


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of maps [B, ...] -> float64 [B], with mean ranks for ties.

    NaN where a map is constant, or is not finite.
    """
    return _correlation(scipy.stats.spearmanr, a, b)


def center_shift(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance between the centres of mass of maps [B, H, W], >= 0, in pixels -> float64 [B].

    NaN where a map is constant, or is not finite.
    """
    a, b = _numbers(a, b)
    if a.ndim != 3:
        raise ValueError(f"maps must be [B, H, W]. Received: {a.shape}")
    centers = []
    for maps in (a, b):
        mass = np.asarray(maps, np.float64)
        mass = mass / np.where(mass.sum((1, 2)) > 0, mass.sum((1, 2)), 1)[:, None, None]
        rows, columns = np.mgrid[: mass.shape[1], : mass.shape[2]]
        centers.append(np.stack([(mass * axis).sum((1, 2)) for axis in (rows, columns)], -1))
    shift = np.linalg.norm(centers[0] - centers[1], axis=-1)
    return np.where(_ranked(a) & _ranked(b), shift, np.nan)


def is_constant(maps: np.ndarray) -> np.ndarray:
    """Whether all pixels of a map [B, ...] have one value, so that it ranks nothing; bool [B]."""
    flat = _rows(maps)
    return (flat == flat[:, :1]).all(1)


def _numbers(*maps: np.ndarray) -> list[np.ndarray]:
    """Maps as numeric arrays [B, ...] of one shape; ValueError otherwise."""
    arrays = [np.asarray(part) for part in maps]
    if any(part.ndim < 2 or part.dtype.kind not in "fiu" for part in arrays) or (
        len({part.shape for part in arrays}) > 1
    ):
        received = ", ".join(f"{part.dtype} {part.shape}" for part in arrays)
        raise ValueError(f"maps must be numbers [B, ...] of one shape. Received: {received}")
    return arrays


def _rows(maps: np.ndarray) -> np.ndarray:
    # Not -1, which fails for an empty batch.
    return np.reshape(maps, (len(maps), int(np.prod(np.shape(maps)[1:]))))


def _ranked(maps: np.ndarray) -> np.ndarray:
    return np.isfinite(_rows(maps)).all(1) & ~is_constant(maps)


def _correlation(statistic: Callable, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = _numbers(a, b)
    values = np.full(len(a), np.nan)
    for i in np.flatnonzero(_ranked(a) & _ranked(b)):
        values[i] = statistic(np.ravel(a[i]), np.ravel(b[i])).statistic
    return values


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric of two maps.

    Attributes:
      function: (before [B, H, W], after [B, H, W], k) -> float64 [B]; NaN where a map is constant
        or not finite.
      unchanged: value for two equal maps.
      sign: factor by which a changed map scores higher: -1 for a similarity, 1 for a distance.
    """

    function: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
    unchanged: float = 1.0
    sign: float = -1.0


METRICS = {
    "top_k": Metric(top_k_intersection),
    "kendall": Metric(lambda a, b, k: kendall_tau(a, b)),
    "kendall_foreground": Metric(lambda a, b, k: kendall_foreground(a, b)),
    "spearman": Metric(lambda a, b, k: spearman(a, b)),
    "center_shift": Metric(lambda a, b, k: center_shift(a, b), unchanged=0.0, sign=1.0),
}
# Criterion -> metrics; an attack selects iterates by their mean of sign * value.
CRITERIA = {name: (name,) for name in METRICS} | {"top_k_and_kendall": ("top_k", "kendall")}


def measure(before: np.ndarray, after: np.ndarray, k: int) -> np.ndarray:
    """All metrics [B, len(METRICS)] of the maps before and after, in the table's order."""
    columns = [metric.function(before, after, k) for metric in METRICS.values()]
    return np.stack(columns, -1)


def change(criterion: str, before: np.ndarray, after: np.ndarray, k: int) -> np.ndarray:
    """Change of maps by a criterion of `CRITERIA` [B]; a larger value is a larger change."""
    parts = [METRICS[name] for name in CRITERIA[criterion]]
    values = [part.sign * part.function(before, after, k) for part in parts]
    return np.sum(values, 0) / len(parts)
