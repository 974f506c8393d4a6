"""IFIA, the attribution attack: another map for the same prediction  [GAZ17; RAR; FAR]."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from rar_tf.attack import scores as map_scores
from rar_tf.attack.label import margin, predicts
from rar_tf.attack.maximize import DECAYS, decaying, maximize
from rar_tf.attack.threats import LpBall
from rar_tf.attribution import METHODS, Explainer, cross_entropy, uniform_rows
from rar_tf.attribution.metrics import CRITERIA, change
from rar_tf.checks import check_count, class_numbers, float_images

SCORES = ("top_k", "mass_center", "target", "random", "log_pearson")
SECOND_DERIVATIVES = ("softplus_twin", "softplus_second_derivative", "none")
ALGORITHMS = ("select", "until_flip", "adversarial")
_GOLDEN = (5**0.5 - 1) / 2
# A name of SCORES, or (maps [B, H, W], clean maps) -> [B].
Score = str | Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class AttackResult(NamedTuple):
    """What an attack found, per image and criterion of selection.

    Attributes:
      x_adv: [B, M, H, W, C]; x itself where there was no candidate.
      candidate: [B, M] bool, whether any perturbed point counted.
      undefined: [B] bool, whether some point of unchanged label had a metric of NaN.
    """

    x_adv: tf.Tensor
    candidate: tf.Tensor
    undefined: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Ifia:
    """How the attribution attack searches.

    Attributes:
      threat: the allowed set.
      k: of the score `top_k`.
      metric_k: of the metric `top_k`; None for k.
      score: one of `SCORES`; a function of one's own, (maps [B, H, W] of mean 1, the clean
        maps) -> [B], to ascend; or a mixture: pairs of such a score and its weight.
      steps, step_size: gradient steps; step_size in pixel units.
      decay: of `Attack`.
      momentum: of `maximize`.
      random_start: start at a random point of the threat rather than at x.
      algorithm: "select" returns the iterate with the worst metric of those whose label is
        unchanged [GAZ17, RAR]; "until_flip" the last one before the label flips
        [FAR Algorithm 1, which returns the flipped one; its eq. 4 counts only the former];
        "adversarial" ascends `loss + weight * score` and returns the last
        [FAR Algorithm 2], whatever its label.
      weight: lambda of "adversarial".
      hold_label: weight of min(0, f_y - max_{c != y} f_c), in logits, beside the score: it drives
        back into the label's region what has left it, where no iterate counts.
      select: of "select", names of `CRITERIA`: each has its own worst iterate.
      select_every: steps between looks at the metrics.
      explainer: the map that the score sees.
      rotate_nodes: each step shifts the nodes of `explainer` by the golden ratio of an interval,
        so that what few nodes miss is another thing at each step and averages out: for
        integrated gradients by the midpoint rule.
      clean_explainer: the map of x that the score compares with, computed once; None for explainer.
      selection_explainer: the map that the selection sees, of the plain network; None for explainer.
      second_derivatives: which network the score ascends; see `SECOND_DERIVATIVES`.
      softplus_beta: its sharpness.
      precision: of the network that the score ascends and of the selection's maps, see
        `models.for_double_backprop`; who calls makes both, as `evaluation.attack_maps` does.

    Raises:
      ValueError: an unknown name, a number out of range, or a score that is flat at x
        without a random start.
    """

    threat: LpBall
    k: int
    metric_k: int | None = None
    score: Score | tuple[tuple[Score, float], ...] = "top_k"
    steps: int = 100
    step_size: float = 0.01
    decay: str = "constant"
    momentum: float = 0.0
    random_start: bool = False
    algorithm: str = "select"
    weight: float = 1.0
    hold_label: float = 0.0
    select: tuple[str, ...] = ("kendall",)
    select_every: int = 1
    explainer: Explainer = dataclasses.field(default_factory=Explainer)
    rotate_nodes: bool = False
    clean_explainer: Explainer | None = None
    selection_explainer: Explainer | None = None
    second_derivatives: str = "softplus_twin"
    softplus_beta: float = 1.0
    precision: str = "float32"

    def __post_init__(self):
        for name, values, known in (
            ("score", [part for part in self._mixture if not callable(part)], SCORES),
            ("select", self.select or ("none",), CRITERIA),
            ("decay", (self.decay,), DECAYS),
            ("algorithm", (self.algorithm,), ALGORITHMS),
            ("second_derivatives", (self.second_derivatives,), SECOND_DERIVATIVES),
        ):
            if not set(values) <= set(known):
                raise ValueError(
                    f"{name} must be of {', '.join(known)}. Received: {name}={getattr(self, name)}"
                )
        for name in ("k", "metric_k", "steps", "select_every"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        if not self.step_size > 0:
            raise ValueError(f"step_size must be > 0. Received: step_size={self.step_size}")
        seen = self.explainer
        if self.rotate_nodes and (seen.method, seen.rule) != (METHODS[0], "midpoint"):
            raise ValueError(
                "rotate_nodes=True is for integrated gradients by the midpoint rule. "
                f"Received: explainer={seen}"
            )

    def __call__(
        self,
        classifier: keras.Model,
        x: tf.Tensor,
        y: tf.Tensor,
        *,
        ascended: keras.Model | None = None,
        selected: keras.Model | None = None,
        seed: tf.Tensor | None = None,
        first_row: tf.Tensor | int = 0,
        region: tf.Tensor | None = None,
        clean: tf.Tensor | None = None,
        nodes_per_pass: int | None = None,
    ) -> AttackResult:
        """Attacks the maps of images x with the predicted labels y.

        The label condition is the classifier's own; masks too, and with `selected` None the
        selection.

        Args:
          classifier: images -> logits.
          x: [B, H, W, C] float32, pixels in [0, 1].
          y: [B] int, the labels that are explained and must stay the prediction.
          ascended: the network whose map the score is of: `classifier` made twice
            differentiable in the way that `second_derivatives` names; None for itself.
          selected: the network whose maps the selection compares; None for `classifier`.
          seed: int [2], of random starts and of the score `random`.
          first_row: number of the first row among all rows that share the seed.
          region: [H, W] or [B, H, W] of 0 and 1, where the score `target` wants the mass.
          clean: [B, H, W], the `clean_explainer` of x where it is known already.
          nodes_per_pass: nodes per call of a network; None for all at once.

        Raises:
          ValueError: k larger than the map, or a score that lacks its seed or region, or is
            flat at x.
        """
        x, y = tf.cast(float_images(x, rank=4), tf.float32), class_numbers(y, x.shape[0])
        _check_k(max(self.k, self.metric_k or 0), x.shape)
        if seed is None and (self.random_start or "random" in self._mixture):
            raise ValueError("a random start and the score random need a seed. Received: seed=None")
        ascended = classifier if ascended is None else ascended
        options = {"nodes_per_pass": nodes_per_pass, "first_row": first_row}
        selected = classifier if selected is None else selected
        if clean is None:
            clean = (self.clean_explainer or self.explainer).saliency(classifier, x, y, **options)
        clean = tf.stop_gradient(clean)
        score = self._score((ascended, selected), x, y, clean, seed, region, options)
        criteria = keep = None
        if self.algorithm == "select":
            criteria = self._criteria(classifier, selected, x, y, clean, options)
        elif self.algorithm == "until_flip":

            def keep(x_adv):
                return predicts(classifier, x_adv, y)

        x_adv = maximize(
            score,
            x,
            self.threat,
            steps=self.steps,
            step_size=decaying(self.step_size, self.steps, self.decay),
            seed=seed if self.random_start else None,
            first_row=first_row,
            needs_random_start=self._flat_at_x,
            momentum=self.momentum,
            keep=keep,
            select=criteria,
            select_every=self.select_every,
            by_step=True,
        )
        if criteria is None:
            x_adv = x_adv[:, tf.newaxis]
            undefined = tf.zeros(tf.shape(x)[:1], tf.bool)
        else:
            undefined = _moved(x_adv[:, -1], x)
            x_adv = x_adv[:, :-1]
        return AttackResult(x_adv, _moved(x_adv, x[:, tf.newaxis]), undefined)

    @property
    def _mixture(self) -> dict[Score, float]:
        return dict(self.score) if isinstance(self.score, tuple) else {self.score: 1.0}

    @property
    def _flat_at_x(self):
        # The twin's maps differ from the plain network's, the other two networks' do not.
        return (
            set(self._mixture) == {"log_pearson"}
            and self.second_derivatives != "softplus_twin"
            and self.algorithm != "adversarial"
        )

    def _score(self, networks, x, y, clean, seed, region, options):
        ascended, selected = networks
        makers = {
            "top_k": lambda: map_scores.top_k(clean, self.k),
            "mass_center": lambda: map_scores.mass_center(
                tf.stop_gradient(self.explainer.saliency(ascended, x, y, **options))
            ),
            "log_pearson": lambda: map_scores.log_pearson(clean),
            "target": lambda: map_scores.target(region),
        }
        if "target" in self._mixture and region is None:
            raise ValueError("the score target needs a region. Received: region=None")
        random_weight = self._mixture.get("random", 0.0)
        parts = [
            (_against(clean, part) if callable(part) else makers[part](), weight)
            for part, weight in self._mixture.items()
            if part != "random"
        ]
        signs = tf.zeros_like(x)
        if random_weight:
            # Another stream than the start's.
            other = tf.convert_to_tensor(seed) + tf.constant([0, 2], tf.int32)
            signs = tf.sign(uniform_rows(tf.shape(x), other, options["first_row"]) - 0.5)

        def score(x_adv, i):
            value = random_weight * tf.reduce_mean(signs * x_adv, [1, 2, 3])
            if parts:
                shift = (tf.cast(i, x.dtype) * _GOLDEN) % 1 - 0.5 if self.rotate_nodes else 0.0
                maps = self.explainer.saliency(ascended, x_adv, y, shift=shift, **options)
                value += tf.add_n([weight * part(maps) for part, weight in parts])
            if self.hold_label:
                value += self.hold_label * tf.minimum(margin(selected, x_adv, y), 0.0)
            if self.algorithm == "adversarial":
                value = self.weight * value
                value += cross_entropy(ascended(x_adv, training=False), y)
            return value

        return score

    def _criteria(self, classifier, selected, x, y, clean, options):
        """x_adv -> [B, M + 1]: how bad each metric is, and whether any is NaN."""
        selection_explainer = self.selection_explainer or self.explainer
        before = clean
        if (
            selection_explainer != (self.clean_explainer or self.explainer)
            or selected is not classifier
        ):
            before = selection_explainer.saliency(selected, x, y, **options)
        k = self.metric_k or self.k

        def badness(before: np.ndarray, after: np.ndarray, counts: np.ndarray) -> np.ndarray:
            values = np.full((len(counts), len(self.select) + 1), -np.inf, np.float32)
            rows = np.flatnonzero(counts)
            for column, criterion in enumerate(self.select):
                values[rows, column] = change(criterion, before[rows], after[rows], k)
            values[rows[np.isnan(values[rows, :-1]).any(1)], -1] = 1.0
            return values

        def criteria(x_adv):
            counts = predicts(classifier, x_adv, y) & _moved(x_adv, x)
            after = selection_explainer.saliency(selected, x_adv, y, **options)
            values = tf.numpy_function(badness, [before, after, counts], tf.float32)
            return tf.ensure_shape(values, [x.shape[0], len(self.select) + 1])

        return criteria


def _against(clean, score):
    return lambda maps: score(maps, clean)


def _check_k(k, shape):
    pixels = shape[1] * shape[2]
    if k > pixels:
        raise ValueError(f"k must be in 1 .. {pixels}, the pixels of a map. Received: k={k}")


def _moved(x_adv, x):
    return tf.reduce_any(x_adv != x, [-3, -2, -1])
