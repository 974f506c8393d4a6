"""IFIA, the attribution attack: another map for the same prediction  [GAZ17; RAR; FAR]."""

import dataclasses

import keras
import tensorflow as tf

from rar_tf.attack.ifia_score import SCORES, IfiaScore, Score
from rar_tf.attack.label import predicts
from rar_tf.attack.maximize import DECAYS, decaying, maximize
from rar_tf.attack.networks import SECOND_DERIVATIVES, Networks, make_networks
from rar_tf.attack.selection import AttackInputs, AttackResult, MapSelection, moved
from rar_tf.attack.threats import LpBall
from rar_tf.attribution import METHODS, Explainer
from rar_tf.attribution.metrics import CRITERIA
from rar_tf.checks import check_count, float_images, integer_labels

ALGORITHMS = ("select", "until_flip", "adversarial")


@dataclasses.dataclass(frozen=True)
class Ifia:
    """Iterative feature importance attack: one search for another map of the same prediction.

    Attributes:
      threat: allowed set around an image.
      k: number of pixels of the score `top_k`.
      metric_k: number of pixels of the metric `top_k`; None for k.
      score: what to ascend: one of `SCORES`; a custom function (maps [B, H, W] of mean 1, clean
        maps) -> [B]; or a mixture, pairs of such a score and its weight.
      steps: number of gradient steps.
      step_size: size of a step, in pixel units.
      decay: schedule of the step size, see `Attack`.
      momentum: factor of the previous direction, see `maximize`.
      random_start: start at a random point of the threat rather than at x.
      algorithm: "select" returns the iterate with the worst metric of those whose label is
        unchanged [GAZ17, RAR]; "until_flip" the last one before the label flips
        [FAR Algorithm 1, which returns the flipped one; its eq. 4 counts only the former];
        "adversarial" ascends `loss + weight * score` and returns the last
        [FAR Algorithm 2], whatever its label.
      weight: lambda of "adversarial".
      hold_label: weight of min(0, f_y - max_{c != y} f_c), in logits, added to the score: it
        drives points of another label, which cannot be selected, back to the label's region.
      select: criteria of "select", names of `CRITERIA`: each has its own worst iterate.
      select_every: number of steps between two evaluations of the criteria.
      explainer: map that the score is computed of.
      rotate_nodes: shift the nodes of `explainer` at each step by the golden ratio of an
        interval, so that the quadrature error of few nodes averages out over the steps. For
        integrated gradients by the midpoint rule.
      clean_explainer: map of x that the score compares with, computed once; None for explainer.
      selection_explainer: map that the criteria compare, of the plain network; None for
        explainer.
      second_derivatives: second derivative of ReLU in the network that the score ascends, one of
        `SECOND_DERIVATIVES`, see `make_networks`.
      softplus_beta: sharpness of the softplus of `second_derivatives`.
      precision: floating-point type of the networks that the attack makes, see
        `models.for_double_backprop`.
      softness: width of the score `soft_top_k`, see `scores.soft_top_k`.
      gradient_smoothing: standard deviation, as a share of the image's smaller side, of a Gaussian
        that the score's gradient is convolved with, for perturbations of low frequency; 0 for none.

    Raises:
      ValueError: an unknown name, a number out of range, or a score whose gradient at x is zero
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
    softness: float = 0.5
    gradient_smoothing: float = 0.0

    def __post_init__(self) -> None:
        for name, values, known in (
            ("score", [part for part in self.mixture if not callable(part)], SCORES),
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
        for name in ("step_size", "softness"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0. Received: {name}={getattr(self, name)}")
        if not self.gradient_smoothing >= 0:
            raise ValueError(
                "gradient_smoothing must be >= 0. "
                f"Received: gradient_smoothing={self.gradient_smoothing}"
            )
        map_of_score = (self.explainer.method, self.explainer.rule)
        if self.rotate_nodes and map_of_score != (METHODS[0], "midpoint"):
            raise ValueError(
                "rotate_nodes=True is for integrated gradients by the midpoint rule. "
                f"Received: explainer={self.explainer}"
            )

    @property
    def uses_gradient(self) -> bool:
        """Whether the search follows a gradient of the map; the score `random` alone does not."""
        return set(self.mixture) != {"random"}

    @property
    def mixture(self) -> dict[Score, float]:
        """Parts of the score with their weights."""
        return dict(self.score) if isinstance(self.score, tuple) else {self.score: 1.0}

    @property
    def num_points(self) -> int:
        """Number of points M that the attack returns for an image."""
        return len(self.select) if self.algorithm == "select" else 1

    def networks(self, classifier: keras.Model, shared: dict | None = None) -> Networks:
        """Make the networks of score and selection, which share the classifier's variables.

        Args:
          classifier: images -> logits.
          shared: metric networks of other searches, see `make_networks`.
        """
        return make_networks(
            classifier, self.second_derivatives, self.softplus_beta, self.precision, shared
        )

    def __call__(
        self,
        classifier: keras.Model,
        x: tf.Tensor,
        y: tf.Tensor,
        *,
        networks: Networks | None = None,
        seed: tf.Tensor | None = None,
        first_row: tf.Tensor | int = 0,
        region: tf.Tensor | None = None,
        clean: tf.Tensor | None = None,
        nodes_per_pass: int | None = None,
    ) -> AttackResult:
        """Attack the maps of images x with the predicted labels y.

        The label condition is that the classifier itself predicts y.

        Args:
          classifier: images -> logits.
          x: [B, H, W, C] float32, pixels in [0, 1].
          y: [B] int, the labels that are explained and must stay the prediction.
          networks: networks of score and selection; None for `networks(classifier)`.
          seed: int [2], of random starts and of the score `random`.
          first_row: number of the first row among all rows that share the seed.
          region: [H, W] or [B, H, W] of 0 and 1, where the score `target` wants the mass.
          clean: [B, H, W], the `clean_explainer` of x where it is known already.
          nodes_per_pass: nodes in one pass of a network; None for all.

        Raises:
          ValueError: k larger than the map, or a score that lacks its seed or region, or whose
            gradient at x is zero.
        """
        x, y = tf.cast(float_images(x, rank=4), tf.float32), integer_labels(y, x.shape[0])
        self._check_call(x, seed)
        if networks is None:
            with tf.init_scope():
                networks = self.networks(classifier)
        options = {"nodes_per_pass": nodes_per_pass, "first_row": first_row}
        if clean is None:
            clean = (self.clean_explainer or self.explainer).saliency(classifier, x, y, **options)
        clean = tf.stop_gradient(clean)
        inputs = AttackInputs(classifier, networks, x, y, clean, seed, region, options)
        return self._search(inputs)

    def _search(self, inputs: AttackInputs) -> AttackResult:
        classifier, x, y = inputs.classifier, inputs.x, inputs.y
        select = None
        if self.algorithm == "select":
            select = MapSelection(
                self.select,
                self.metric_k or self.k,
                self.selection_explainer or self.explainer,
                self.clean_explainer or self.explainer,
                inputs,
            )
        x_adv = maximize(
            IfiaScore(self, inputs),
            x,
            self.threat,
            steps=self.steps,
            step_size=decaying(self.step_size, self.steps, self.decay),
            seed=inputs.seed if self.random_start else None,
            first_row=inputs.options["first_row"],
            needs_random_start=self._is_flat_at_x,
            momentum=self.momentum,
            keep=(lambda points: predicts(classifier, points, y))
            if self.algorithm == "until_flip"
            else None,
            select=select,
            select_every=self.select_every,
            by_step=True,
        )
        if select is not None:
            return select.result(x_adv)
        x_adv = x_adv[:, tf.newaxis]
        undefined = tf.zeros(tf.shape(x)[:1], tf.bool)
        return AttackResult(x_adv, moved(x_adv, x[:, tf.newaxis]), undefined)

    def _check_call(self, x: tf.Tensor, seed: tf.Tensor | None) -> None:
        k, pixels = max(self.k, self.metric_k or 0), x.shape[1] * x.shape[2]
        if k > pixels:
            raise ValueError(f"k must be in 1 .. {pixels}, the pixels of a map. Received: k={k}")
        if seed is None and (self.random_start or "random" in self.mixture):
            raise ValueError("a random start and the score random need a seed. Received: seed=None")

    @property
    def _is_flat_at_x(self) -> bool:
        # The twin's maps differ from the plain network's, the other two networks' do not. The
        # correlations are at their extremum at x; soft_top_k has another gradient.
        return (
            set(self.mixture) == {"log_pearson"}
            and self.second_derivatives != "softplus_twin"
            and self.algorithm != "adversarial"
        )
