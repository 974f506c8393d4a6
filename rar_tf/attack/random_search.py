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

# Largest side of a changed rectangle, as a share of the image's.
_LARGEST = 0.4


@dataclasses.dataclass(frozen=True)
class RandomSearch:
    """Best of random perturbations of full size whose label is unchanged.

    Attributes:
      threat: allowed set around an image.
      k: number of pixels of the metric `top_k`.
      family: kind of perturbation, one of `FAMILIES`.
      count: number of perturbations.
      select: criteria, names of `CRITERIA`: each has its own best point.
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
    family: str = "pixel"
    count: int = 16
    select: tuple[str, ...] = ("kendall",)
    explainer: Explainer = dataclasses.field(default_factory=Explainer)
    clean_explainer: Explainer | None = None
    precision: str = "float32"

    def __post_init__(self) -> None:
        check_name("family", self.family, FAMILIES)
        for criterion in self.select or ("none",):
            check_name("select", criterion, CRITERIA)
        check_count("k", self.k)
        check_count("count", self.count)

    @property
    def num_points(self) -> int:
        """Number of points M that the search returns for an image."""
        return len(self.select)

    def networks(self, classifier: keras.Model) -> Networks:
        """Make the network whose maps are compared, on the classifier's variables."""
        return make_networks(classifier, "none", 1.0, self.precision)

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
        inputs = _inputs(self, classifier, x, y, networks, seed, first_row, clean, nodes_per_pass)
        select = _selection(self, self.select, inputs)

        def candidate(i: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
            key = tf.random.experimental.stateless_fold_in(seed, i)
            return random_point(self.family, inputs.x, self.threat, key, first_row)

        best = tf.repeat(inputs.x[:, tf.newaxis], self.num_points + 1, 1)
        return select.result(_best_of(self.count, candidate, select, best))


@dataclasses.dataclass(frozen=True)
class LocalSearch:
    """Random changes of rectangles of a perturbation, kept where the map changes no less.

    The rectangles shrink from 2/5 of the image's side to one pixel. In each the perturbation
    becomes +amplitude, -amplitude or its negative; the amplitude is epsilon in the l_inf ball,
    and `3 epsilon / sqrt(number of values)` in the l2 ball, before the projection.

    Attributes:
      threat: allowed set around an image.
      k: number of pixels of the metric `top_k`.
      criterion: the criterion, a name of `CRITERIA`.
      count: number of changes that are tried.
      explainer: map that the criterion compares.
      clean_explainer: map of x that it compares it with; None for explainer.
      precision: floating-point type of the network whose maps are compared.
      uses_gradient: whether the search follows a gradient; false of the class.

    Raises:
      ValueError: an unknown name or a number out of range.
    """

    uses_gradient: ClassVar[bool] = False

    threat: LpBall
    k: int
    criterion: str = "kendall"
    count: int = 8
    explainer: Explainer = dataclasses.field(default_factory=Explainer)
    clean_explainer: Explainer | None = None
    precision: str = "float32"

    def __post_init__(self) -> None:
        check_name("criterion", self.criterion, CRITERIA)
        check_count("k", self.k)
        check_count("count", self.count)

    def networks(self, classifier: keras.Model) -> Networks:
        """Make the network whose maps are compared, on the classifier's variables."""
        return make_networks(classifier, "none", 1.0, self.precision)

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
        inputs = _inputs(self, classifier, x, y, networks, seed, first_row, clean, nodes_per_pass)
        select = _selection(self, (self.criterion,), inputs)

        def candidate(i: tf.Tensor, best: tf.Tensor) -> tf.Tensor:
            key = tf.random.experimental.stateless_fold_in(seed, i)
            numbers = uniform_rows([tf.shape(x)[0], 6], key, first_row)
            remaining = 1 - tf.cast(i, tf.float32) / self.count
            return self._changed(best[:, 0], inputs.x, numbers, remaining)

        points = tf.stack([tf.cast(start, tf.float32), inputs.x], 1)
        return select.result(_best_of(self.count, candidate, select, points, start=True))

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


def _inputs(
    search: RandomSearch | LocalSearch,
    classifier: keras.Model,
    x: tf.Tensor,
    y: tf.Tensor,
    networks: Networks | None,
    seed: tf.Tensor,
    first_row: tf.Tensor | int,
    clean: tf.Tensor | None,
    nodes_per_pass: int | None,
) -> AttackInputs:
    x, y = tf.cast(float_images(x, rank=4), tf.float32), integer_labels(y, x.shape[0])
    if search.k > x.shape[1] * x.shape[2]:
        pixels = x.shape[1] * x.shape[2]
        raise ValueError(f"k must be in 1 .. {pixels}, the pixels of a map. Received: k={search.k}")
    if networks is None:
        with tf.init_scope():
            networks = search.networks(classifier)
    options: dict[str, Any] = {"nodes_per_pass": nodes_per_pass, "first_row": first_row}
    if clean is None:
        explainer = search.clean_explainer or search.explainer
        clean = explainer.saliency(classifier, x, y, **options)
    return AttackInputs(classifier, networks, x, y, clean, seed, None, options)


def _selection(
    search: RandomSearch | LocalSearch, criteria: tuple[str, ...], inputs: AttackInputs
) -> MapSelection:
    clean_explainer = search.clean_explainer or search.explainer
    return MapSelection(criteria, search.k, search.explainer, clean_explainer, inputs)


def _best_of(
    count: int,
    candidate: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    select: MapSelection,
    best: tf.Tensor,
    start: bool = False,
) -> tf.Tensor:
    """The best points by each column of `select`.

    Args:
      count: number of candidates.
      candidate: (number, best points [B, M, H, W, C]) -> point [B, H, W, C].
      select: criteria [B, M] of a point.
      best: [B, M, H, W, C], the first best points.
      start: whether the first of them competes by its criteria, and is replaced by equal ones; if
        it does not count, by the last of `best`. Else every candidate wins.
    """
    value_of = not_inlined(select)
    value = value_of(best[:, 0])
    value = tf.where(tf.math.is_nan(value), -float("inf"), value)
    if start:
        counts = tf.math.is_finite(value)[..., tf.newaxis, tf.newaxis, tf.newaxis]
        best = tf.where(counts, best, best[:, -1:])
    else:
        value = tf.fill(tf.shape(value), -float("inf"))

    def step(i: tf.Tensor, best: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, ...]:
        best, value = keep_better(value_of, candidate(i, best), best, value, ties=start)
        return i + 1, best, value

    state = (tf.constant(0), best, value)
    loop = tf.while_loop(lambda i, *_: i < count, step, state, parallel_iterations=1)
    return tf.stop_gradient(loop[1])
