"""The score that an attribution attack ascends, and the criteria by which it selects iterates."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from rar_tf.attack import scores as map_scores
from rar_tf.attack.label import margin, predicts
from rar_tf.attack.networks import Networks
from rar_tf.attribution import cross_entropy, uniform_rows
from rar_tf.attribution.metrics import change

if TYPE_CHECKING:
    from rar_tf.attack.ifia import Ifia

SCORES = ("top_k", "mass_center", "target", "random", "log_pearson")
# A name of SCORES, or (maps [B, H, W], clean maps) -> [B].
Score = str | Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
_GOLDEN = (5**0.5 - 1) / 2


@dataclasses.dataclass(frozen=True, eq=False)
class AttackInputs:
    """One batch of images under attack.

    Attributes:
      classifier: images -> logits; its prediction is the label condition.
      networks: the networks of score and selection.
      x: [B, H, W, C] float32, pixels in [0, 1].
      y: [B] int, labels.
      clean: [B, H, W], maps of x that the score compares with.
      seed: int [2], of the score `random`; None where no random number is drawn.
      region: [H, W] or [B, H, W] of 0 and 1, of the score `target`.
      options: keyword arguments of `Explainer.saliency`.
    """

    classifier: keras.Model
    networks: Networks
    x: tf.Tensor
    y: tf.Tensor
    clean: tf.Tensor
    seed: tf.Tensor | None
    region: tf.Tensor | None
    options: Mapping[str, Any]


class IfiaScore:
    """Score of an attack on maps: (x_adv [B, H, W, C], number of the step) -> [B]."""

    def __init__(self, attack: "Ifia", inputs: AttackInputs):
        """
        Args:
          attack: settings of the attack.
          inputs: the images.

        Raises:
          ValueError: the score `target` without a region.
        """  # fmt: skip
        mixture = attack.mixture
        if "target" in mixture and inputs.region is None:
            raise ValueError("the score target needs a region. Received: region=None")
        self._attack, self._inputs = attack, inputs
        self._random_weight = mixture.get("random", 0.0)
        self._parts = [
            (_map_score(part, attack, inputs), weight)
            for part, weight in mixture.items()
            if part != "random"
        ]
        self._signs = tf.zeros_like(inputs.x)
        if self._random_weight:
            # Another stream than the random start's.
            stream = tf.convert_to_tensor(inputs.seed) + tf.constant([0, 2], tf.int32)
            first_row = inputs.options["first_row"]
            self._signs = tf.sign(uniform_rows(tf.shape(inputs.x), stream, first_row) - 0.5)

    def __call__(self, x_adv: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """The score of each image [B]."""
        attack, inputs = self._attack, self._inputs
        attack_network, metric_network = inputs.networks
        value = self._random_weight * tf.reduce_mean(self._signs * x_adv, [1, 2, 3])
        if self._parts:
            shift: tf.Tensor | float = 0.0
            if attack.rotate_nodes:
                shift = (tf.cast(step, inputs.x.dtype) * _GOLDEN) % 1 - 0.5
            maps = attack.explainer.saliency(
                attack_network, x_adv, inputs.y, shift=shift, **inputs.options
            )
            value += tf.add_n([weight * part(maps) for part, weight in self._parts])
        if attack.hold_label:
            value += attack.hold_label * tf.minimum(margin(metric_network, x_adv, inputs.y), 0.0)
        if attack.algorithm == "adversarial":
            value = attack.weight * value
            value += cross_entropy(attack_network(x_adv, training=False), inputs.y)
        return value


def _map_score(score: Score, attack: "Ifia", inputs: AttackInputs) -> map_scores.MapScore:
    """One part of a mixture as a function of the map alone."""
    clean = inputs.clean
    if callable(score):
        custom = score
        return lambda maps: custom(maps, clean)
    if score == "top_k":
        return map_scores.top_k(clean, attack.k)
    if score == "mass_center":
        maps = attack.explainer.saliency(
            inputs.networks.attack_network, inputs.x, inputs.y, **inputs.options
        )
        return map_scores.mass_center(tf.stop_gradient(maps))
    if score == "log_pearson":
        return map_scores.log_pearson(clean)
    return map_scores.target(inputs.region)


class IfiaSelection:
    """Criteria of selection: x_adv -> [B, M + 1], the larger the more a metric changed.

    One column for each of the M criteria, -inf where the point is x or its label changed; the
    last column is 1 where a metric is NaN.
    """

    def __init__(self, attack: "Ifia", inputs: AttackInputs):
        self._attack, self._inputs = attack, inputs
        self._explainer = attack.selection_explainer or attack.explainer
        self._clean = inputs.clean
        metric_network = inputs.networks.metric_network
        if (
            self._explainer != (attack.clean_explainer or attack.explainer)
            or metric_network is not inputs.classifier
        ):
            self._clean = self._explainer.saliency(
                metric_network, inputs.x, inputs.y, **inputs.options
            )

    def __call__(self, x_adv: tf.Tensor) -> tf.Tensor:
        """The criteria of each image [B, M + 1]."""
        inputs = self._inputs
        is_candidate = predicts(inputs.classifier, x_adv, inputs.y) & moved(x_adv, inputs.x)
        maps = self._explainer.saliency(
            inputs.networks.metric_network, x_adv, inputs.y, **inputs.options
        )
        values = tf.numpy_function(self._changes, [self._clean, maps, is_candidate], tf.float32)
        return tf.ensure_shape(values, [inputs.x.shape[0], len(self._attack.select) + 1])

    def _changes(self, clean: np.ndarray, maps: np.ndarray, is_candidate: np.ndarray) -> np.ndarray:
        attack = self._attack
        k = attack.metric_k or attack.k
        values = np.full((len(is_candidate), len(attack.select) + 1), -np.inf, np.float32)
        rows = np.flatnonzero(is_candidate)
        for column, criterion in enumerate(attack.select):
            values[rows, column] = change(criterion, clean[rows], maps[rows], k)
        values[rows[np.isnan(values[rows, :-1]).any(1)], -1] = 1.0
        return values


def moved(x_adv: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Whether any pixel of the image [..., H, W, C] differs: bool [...]."""
    return tf.reduce_any(x_adv != x, [-3, -2, -1])
