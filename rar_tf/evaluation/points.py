"""Perturbed images that an attack on maps returned: which of them count, and their metrics."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from rar_tf.attack import AttackResult
from rar_tf.attribution import is_constant
from rar_tf.attribution.metrics import CRITERIA, METRICS, change, measure
from rar_tf.evaluation.examples import AttackedExample, ExampleMetrics

_NAMES = list(METRICS)
_SIGNS = np.array([metric.sign for metric in METRICS.values()])
# Images [B, H, W, C] -> maps [B, H, W].
_Explain = Callable[[tf.Tensor], tf.Tensor]


class ClassifiedImages(NamedTuple):
    """A batch of correctly classified images.

    Attributes:
      indices: [B], numbers of the images in the split.
      x: [B, H, W, C] float32, pixels in [0, 1].
      y: [B] int32, labels.
    """

    indices: np.ndarray
    x: tf.Tensor
    y: tf.Tensor


class CleanMaps(NamedTuple):
    """The protocol's maps of a batch of images.

    Attributes:
      maps: [B, H, W].
      completeness_error: [B], |sum of the attribution - output_change|, in logits.
      output_change: [B], f_y(x) - f_y(b), b the baseline, in logits.
    """

    maps: tf.Tensor
    completeness_error: tf.Tensor
    output_change: tf.Tensor


class AttackedPoints(NamedTuple):
    """Points of all searches for each image of a batch.

    Attributes:
      x_adv: [B, M, H, W, C].
      candidate: [B, M] bool, whether the point counts.
      undefined: [B] bool, whether some point of unchanged label had a metric of NaN.
    """

    x_adv: np.ndarray
    candidate: np.ndarray
    undefined: np.ndarray

    @classmethod
    def of(cls, results: Sequence[AttackResult]) -> "AttackedPoints":
        """The points of several searches side by side."""
        return cls(
            np.concatenate([result.x_adv.numpy() for result in results], 1),
            np.concatenate([result.candidate.numpy() for result in results], 1),
            np.logical_or.reduce([result.undefined.numpy() for result in results]),
        )

    def maps(self, explain: _Explain) -> np.ndarray:
        """[B, M, H, W]: the map of each point."""
        return _maps(explain, self.x_adv)

    def rank(self, clean: np.ndarray, maps: np.ndarray, k: int, criterion: str) -> np.ndarray:
        """Places [B, M] of the points, the worst by a criterion first.

        Args:
          clean: [B, H, W], the clean maps.
          maps: [B, M, H, W], the maps of the points.
          k: number of pixels of the metric `top_k`.
          criterion: name of `CRITERIA`.
        """
        columns = [change(criterion, clean, part, k) for part in np.moveaxis(maps, 1, 0)]
        values = np.where(self.candidate, np.stack(columns, 1), -np.inf)
        # Points that do not count, and those of undefined metrics, last.
        return np.argsort(-np.nan_to_num(values, nan=-np.inf), 1, kind="stable")

    def take(self, places: np.ndarray) -> "AttackedPoints":
        """The points at places [B, J]."""
        rows = np.arange(len(places))[:, np.newaxis]
        return AttackedPoints(
            self.x_adv[rows, places], self.candidate[rows, places], self.undefined
        )

    def beside(self, other: "AttackedPoints") -> "AttackedPoints":
        """These points and those of another value for the same images."""
        return AttackedPoints(
            np.concatenate([self.x_adv, other.x_adv], 1),
            np.concatenate([self.candidate, other.candidate], 1),
            self.undefined | other.undefined,
        )

    def measure(
        self,
        images: ClassifiedImages,
        clean: CleanMaps,
        explain: _Explain,
        k: int,
        criterion: str | None,
    ) -> tuple[list[ExampleMetrics], list[AttackedExample]]:
        """Rows and pictures of the images.

        Args:
          images: the clean images.
          clean: their maps.
          explain: the protocol's maps.
          k: number of pixels of the metric `top_k`.
          criterion: name of `CRITERIA`; all metrics are those of the point that is the worst by
            it. None for the worst of each metric; the picture then shows the lowest Kendall.
        """
        maps = _maps(explain, self.x_adv)
        metrics = metrics_of(clean.maps.numpy(), maps, self.candidate, k)
        columns = [_NAMES.index(name) for name in CRITERIA[criterion or "kendall"]]
        badness = (metrics * _SIGNS)[..., columns].mean(-1)
        # A NaN must not hide a defined metric; where all are NaN the image has no figure.
        worst = np.argmax(np.nan_to_num(badness, nan=-np.inf), 1)
        rows = np.arange(len(worst))
        values = metrics[rows, worst]
        if criterion is None:
            values = _SIGNS * np.fmax.reduce(metrics * _SIGNS, 1)
        is_undefined = self.candidate & np.isnan(metrics).any(2)
        undefined = self.undefined | is_undefined.any(1) | ~_is_finite(clean.maps.numpy())
        points, maps = self.x_adv[rows, worst], maps[rows, worst]
        kept = AttackedPoints(points, np.any(self.candidate, 1), undefined)
        return _rows(images, clean, kept, values, k), _pictures(images, clean, points, maps)


def metrics_of(clean: np.ndarray, maps: np.ndarray, candidate: np.ndarray, k: int) -> np.ndarray:
    """Metrics [B, M, len(METRICS)] of the points' maps; NaN where no candidate.

    Args:
      clean: [B, H, W].
      maps: [B, M, H, W].
      candidate: [B, M] bool.
      k: number of pixels of the metric `top_k`.
    """
    values = np.stack([measure(clean, part, k) for part in np.moveaxis(maps, 1, 0)], 1)
    return np.where(candidate[..., np.newaxis], values, np.nan)


def _maps(explain: _Explain, x_adv: np.ndarray) -> np.ndarray:
    """[B, M, H, W]: the map of each point of [B, M, H, W, C]."""
    points = [tf.constant(x_adv[:, m]) for m in range(x_adv.shape[1])]
    return np.stack([explain(point).numpy() for point in points], 1)


def _is_finite(maps: np.ndarray) -> np.ndarray:
    """[B] bool, whether all pixels of a map [B, H, W] are finite."""
    return np.isfinite(maps).all((1, 2))


def _rows(
    images: ClassifiedImages,
    clean: CleanMaps,
    points: AttackedPoints,
    metrics: np.ndarray,
    k: int,
) -> list[ExampleMetrics]:
    """Rows of the images, from one point [H, W, C] and the metrics [len(METRICS)] of each."""
    count = len(metrics)
    change = np.abs(points.x_adv - images.x.numpy()).reshape(count, -1).max(1)
    maps, labels = clean.maps.numpy(), images.y.numpy()
    values: list[dict[str, Any]] = [
        {name: float(row[column]) for column, name in enumerate(_NAMES)} for row in metrics
    ]
    errors, output_changes = clean.completeness_error.numpy(), clean.output_change.numpy()
    return [
        ExampleMetrics(
            index=int(images.indices[i]),
            label=int(labels[i]),
            **values[i],
            candidate=int(points.candidate[i]),
            undefined=int(points.undefined[i]),
            constant=int(is_constant(maps[i : i + 1])[0]),
            perturbation=float(change[i]),
            completeness_error=float(errors[i]),
            output_change=float(output_changes[i]),
            seconds=0.0,
            few_pixels=int(np.count_nonzero(maps[i]) < k),
        )
        for i in range(count)
    ]


def _pictures(
    images: ClassifiedImages, clean: CleanMaps, x_adv: np.ndarray, maps: np.ndarray
) -> list[AttackedExample]:
    x, before = images.x.numpy(), clean.maps.numpy()
    return [
        AttackedExample(int(index), x[i], x_adv[i], before[i], maps[i])
        for i, index in enumerate(images.indices)
    ]
