"""The score that an attribution attack ascends."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from rar_tf.attack import scores as map_scores
from rar_tf.attack.label import margin
from rar_tf.attack.perturbations import smooth_gradient
from rar_tf.attack.selection import AttackInputs
from rar_tf.attribution import cross_entropy, uniform_rows

if TYPE_CHECKING:
    from rar_tf.attack.ifia import Ifia

SCORES = (
    *("top_k", "mass_center", "target", "random"),
    *("log_pearson", "soft_kendall", "soft_top_k"),
)
# A name of SCORES, or (maps [B, H, W], clean maps) -> [B].
Score = str | Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
_GOLDEN = (5**0.5 - 1) / 2


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
        attack_network, metric_network = inputs.networks[:2]
        if attack.gradient_smoothing:
            sigma = attack.gradient_smoothing * min(x_adv.shape[1:3])
            x_adv = smooth_gradient(x_adv, sigma)
        value = self._random_weight * tf.reduce_mean(self._signs * x_adv, [1, 2, 3])
        if self._parts:
            shift: tf.Tensor | float = 0.0
            if attack.rotate_nodes:
                shift = (tf.cast(step, inputs.x.dtype) * _GOLDEN) % 1 - 0.5
            maps = attack.explainer.saliency(
                attack_network, x_adv, inputs.y, shift=shift, **inputs.options
            )
            value += tf.add_n([weight * part(maps, step) for part, weight in self._parts])
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
        return lambda maps, _: custom(maps, clean)
    if score == "top_k":
        return map_scores.top_k(clean, attack.k)
    if score == "mass_center":
        maps = attack.explainer.saliency(
            inputs.networks.attack_network, inputs.x, inputs.y, **inputs.options
        )
        return map_scores.mass_center(tf.stop_gradient(maps))
    if score == "log_pearson":
        return map_scores.log_pearson(clean)
    if score == "soft_kendall":
        return map_scores.soft_kendall(clean)
    if score == "soft_top_k":
        return map_scores.soft_top_k(clean, attack.metric_k or attack.k, attack.softness)
    return map_scores.target(inputs.region)
