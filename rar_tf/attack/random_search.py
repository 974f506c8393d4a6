"""Searches without gradients: random perturbations, and random changes of the best one."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import keras
import tensorflow as tf

from rar_tf.attack.maximize import keep_better
from rar_tf.attack.networks import Networks, make_networks
from rar_tf.attack.perturbations import FAMILIES, random_point
from rar_tf.attack.selection import AttackInputs, AttackResult, MapSelection
from rar_tf.attack.threats import LpBall
from rar_tf.attribution import Explainer, uniform_rows
from rar_tf.attribution.metrics import CRITERIA
from rar_tf.checks import check_count, float_images, integer_labels
from rar_tf.naming import check_name
from rar_tf.not_inlined import not_inlined

# Largest side of a changed square, as a share of the image's.
_LARGEST = 0.4


@dataclasses.dataclass(frozen=True)
class GradientFreeSearch:
    """Settings that searches without gradients share.

    Attributes:
      threat: allowed set around an image.
      k: number of pixels of the metric `top_k`.
      count: number of points that are tried.
      explainer: map that the criteria compare.
      clean_explainer: map of x that they compare it with; None for explainer.
      precision: floating-point type of the network whose maps are compared.
      uses_gradient: whether the search follows a gradient; false of the class.

    Raises:
      ValueError: an unknown name or a number out of range.
    """

    uses_gradient: ClassVar[bool] = False

    threat: LpBall
    k: int
    count: int = 16
    explainer: Explainer = dataclasses.field(default_factory=Explainer)
    clean_explainer: Explainer | None = None
    precision: str = "float32"

    def __post_init__(self) -> None:
        check_count("k", self.k)
        check_count("count", self.count)

    def networks(self, classifier: keras.Model, shared: dict | None = None) -> Networks:
        """Make the network whose maps are compared, on the classifier's variables.

        Args:
          classifier: images -> logits.
          shared: metric networks of other searches, see `make_networks`.
        """
        return make_networks(classifier, "none", 1.0, self.precision, shared)

    def _selection(
        self,
        criteria: tuple[str, ...],
        classifier: keras.Model,
        x: tf.Tensor,
        y: tf.Tensor,
        networks: Networks | None,
        seed: tf.Tensor,
        clean: tf.Tensor | None,
        options: dict[str, Any],
    ) -> MapSelection:
        """The criteria on images x; `options` are keyword arguments of `Explainer.saliency`."""
        x, y = tf.cast(float_images(x, rank=4), tf.float32), integer_labels(y, x.shape[0])
        pixels = x.shape[1] * x.shape[2]
        if self.k > pixels:
            raise ValueError(
                f"k must be in 1 .. {pixels}, the pixels of a map. Received: k={self.k}"
            )
        if networks is None:
            with tf.init_scope():
                networks = self.networks(classifier)
        clean_explainer = self.clean_explainer or self.explainer
        if clean is None:
            clean = clean_explainer.saliency(classifier, x, y, **options)
        inputs = AttackInputs(classifier, networks, x, y, clean, seed, None, options)
        return MapSelection(criteria, self.k, self.explainer, clean_explainer, inputs)


@dataclasses.dataclass(frozen=True)
class RandomSearch(GradientFreeSearch):
    """Best of `count` random perturbations of full size whose label is unchanged.

    Attributes:
      family: kind of perturbation, one of `FAMILIES`.
      select: criteria, names of `CRITERIA`: each has its own best point.

    Raises:
      ValueError: an unknown name or a number out of range.
    """

    family: str = "pixel"
    select: tuple[str, ...] = ("kendall",)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("family", self.family, FAMILIES)
        for criterion in self.select or ("none",):
            check_name("select", criterion, CRITERIA)

    @property
    def num_points(self) -> int:
        """Number of points M that the search returns for an image."""
        return len(self.select)

    def __call__(
        self,
        classifier: keras.Model,
        x: tf.Tensor,
        y: tf.Tensor,
        *,
        networks: Networks | None = None,
        seed: tf.Tensor,
        first_row: tf.Tensor | int = 0,
        region: tf.Tensor | None = None,
        clean: tf.Tensor | None = None,
        nodes_per_pass: int | None = None,
    ) -> AttackResult:
        """Attack the maps of images x with the predicted labels y; arguments as of `Ifia`."""
        del region
        options = {"nodes_per_pass": nodes_per_pass, "first_row": first_row}
        select = self._selection(self.select, classifier, x, y, networks, seed, clean, options)
        x = tf.cast(x, tf.float32)

        def candidate(i: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
            key = tf.random.experimental.stateless_fold_in(seed, i)
            return random_point(self.family, x, self.threat, key, first_row)

        best = tf.repeat(x[:, tf.newaxis], self.num_points + 1, 1)
        return select.result(_best_of(self.count, candidate, select, best))


@dataclasses.dataclass(frozen=True)
class LocalSearch(GradientFreeSearch):
    """Random changes of rectangles of a perturbation, kept where the map changes no less.

    The rectangles shrink from at most 2/5 x 2/5 of the image, or as much area of another aspect
    ratio, to one pixel. In each the perturbation becomes +amplitude, -amplitude or its negative;
    the amplitude is epsilon in the l_inf ball, and `3 epsilon / sqrt(number of values)` in the l2
    ball, before the projection.

    Attributes:
      criterion: the criterion, a name of `CRITERIA`.

    Raises:
      ValueError: an unknown name or a number out of range.
    """

    criterion: str = "kendall"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("criterion", self.criterion, CRITERIA)

    def __call__(
        self,
        classifier: keras.Model,
        x: tf.Tensor,
        y: tf.Tensor,
        start: tf.Tensor,
        *,
        networks: Networks | None = None,
        seed: tf.Tensor,
        first_row: tf.Tensor | int = 0,
        clean: tf.Tensor | None = None,
        nodes_per_pass: int | None = None,
    ) -> AttackResult:
        """Improve the points `start` [B, H, W, C]; other arguments as of `Ifia`.

        A start of another label than y does not count: the search begins at x instead.
        """
        options = {"nodes_per_pass": nodes_per_pass, "first_row": first_row}
        criteria = (self.criterion,)
        select = self._selection(criteria, classifier, x, y, networks, seed, clean, options)
        x = tf.cast(x, tf.float32)

        def candidate(i: tf.Tensor, best: tf.Tensor) -> tf.Tensor:
            key = tf.random.experimental.stateless_fold_in(seed, i)
            numbers = uniform_rows([tf.shape(x)[0], 6], key, first_row)
            remaining = 1 - tf.cast(i, tf.float32) / self.count
            return self._changed(best[:, 0], x, numbers, remaining)

        points = tf.stack([tf.cast(start, tf.float32), x], 1)
        return select.result(_best_of(self.count, candidate, select, points, ties=True))

    def _changed(
        self, x_adv: tf.Tensor, x: tf.Tensor, numbers: tf.Tensor, remaining: tf.Tensor
    ) -> tf.Tensor:
        """x_adv with one rectangle of each image changed, by uniform numbers [B, 6]."""
        height, width = x.shape[1:3]
        share = remaining * _LARGEST * numbers[:, 0]
        aspect = 2.0 ** (2 * numbers[:, 1] - 1)
        rows = _interval(height, share * aspect, numbers[:, 2])
        columns = _interval(width, share / aspect, numbers[:, 3])
        inside = (rows[:, :, tf.newaxis] & columns[:, tf.newaxis, :])[..., tf.newaxis]
        amplitude = self.threat.epsilon
        if self.threat.norm == 2:
            amplitude *= 3 / (x.shape[1] * x.shape[2] * x.shape[3]) ** 0.5
        sign = tf.where(numbers[:, 4] < 0.5, amplitude, -amplitude)[:, None, None, None]
        flips = (numbers[:, 5] < 0.5)[:, None, None, None]
        change = tf.where(flips, x - x_adv, sign)
        return self.threat.project(tf.where(inside, x + change, x_adv), x)


def _interval(size: int, share: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """[B, size] bool: an interval of at least one pixel, inside the side of the image."""
    length = tf.clip_by_value(tf.round(share * size), 1.0, float(size))
    first = tf.floor(place * (size - length + 1))[:, tf.newaxis]
    pixels = tf.range(size, dtype=tf.float32)
    return (pixels >= first) & (pixels < first + length[:, tf.newaxis])


def _best_of(
    count: int,
    candidate: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    select: MapSelection,
    best: tf.Tensor,
    ties: bool = False,
) -> tf.Tensor:
    """The best points by each column of `select`.

    Args:
      count: number of candidates.
      candidate: (number, best points [B, M, H, W, C]) -> point [B, H, W, C].
      select: criteria [B, M] of a point.
      best: [B, M, H, W, C], the first best points. Where the first of them does not count, as x
        itself, the search begins at the last.
      ties: whether a candidate replaces a best point of the same value.
    """
    value_of = not_inlined(select)
    value = value_of(best[:, 0])
    value = tf.where(tf.math.is_nan(value), -float("inf"), value)
    counts = tf.math.is_finite(value)[..., tf.newaxis, tf.newaxis, tf.newaxis]
    best = tf.where(counts, best, best[:, -1:])

    def step(i: tf.Tensor, best: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, ...]:
        best, value = keep_better(value_of, candidate(i, best), best, value, ties=ties)
        return i + 1, best, value

    state = (tf.constant(0), best, value)
    loop = tf.while_loop(lambda i, *_: i < count, step, state, parallel_iterations=1)
    return tf.stop_gradient(loop[1])
