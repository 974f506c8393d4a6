"""Networks of an attack on maps: copies of a classifier that share its variables."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from rar_tf import models
from rar_tf.attribution import Explainer
from rar_tf.not_inlined import not_inlined

SECOND_DERIVATIVES = ("softplus_twin", "softplus_second_derivative", "none")


class MetricMaps:
    """Maps of one network: each kind is traced once, for all searches that compare it."""

    def __init__(self, network: keras.Model):
        """`network` gives logits of images."""
        self.network = network
        self._functions: dict[tuple, Any] = {}

    def __call__(
        self,
        explainer: Explainer,
        x: tf.Tensor,
        y: tf.Tensor,
        *,
        nodes_per_pass: int | None = None,
        first_row: tf.Tensor | int = 0,
    ) -> tf.Tensor:
        """Saliency maps [B, H, W], see `Explainer.saliency`."""
        key = (explainer, nodes_per_pass)
        if key not in self._functions:

            def maps(x: tf.Tensor, y: tf.Tensor, first_row: tf.Tensor) -> tf.Tensor:
                return explainer.saliency(
                    self.network, x, y, nodes_per_pass=nodes_per_pass, first_row=first_row
                )

            self._functions[key] = not_inlined(maps)
        return self._functions[key](x, y, tf.convert_to_tensor(first_row, tf.int32))


class Networks(NamedTuple):
    """Networks of an attack on maps, on the variables of one classifier.

    Attributes:
      attack_network: images -> logits; the score ascends its map.
      metric_network: images -> logits; the selection of iterates compares its maps.
      metric_maps: maps of `metric_network` that several searches share; None to trace them in
        each.
    """

    attack_network: keras.Model
    metric_network: keras.Model
    metric_maps: MetricMaps | None = None


def make_networks(
    classifier: keras.Model,
    second_derivatives: str,
    softplus_beta: float,
    precision: str,
    shared: dict[str, tuple[keras.Model, MetricMaps]] | None = None,
) -> Networks:
    """Make both networks of an attack.

    Args:
      classifier: images -> logits.
      second_derivatives: one of `SECOND_DERIVATIVES`. "softplus_twin" replaces each ReLU by
        softplus; "softplus_second_derivative" its second derivative alone [FAR]; "none" leaves
        it at zero.
      softplus_beta: sharpness of that softplus.
      precision: of both networks, see `models.for_double_backprop`; models that cannot be
        rewritten stay in float32.
      shared: metric networks of this classifier and their maps by precision, for the searches of
        one attack; a missing one is added. None to make new ones.
    """
    rewritable = isinstance(classifier, (keras.Function, keras.Sequential))
    precision = precision if rewritable else "float32"
    shared = {} if shared is None else shared
    if precision not in shared:
        plain = models.for_double_backprop(classifier, precision)
        shared[precision] = (plain, MetricMaps(models.with_affine_start(plain)))
    plain, metric_maps = shared[precision]
    attack_network = plain
    if second_derivatives == "softplus_twin":
        attack_network = models.softplus_twin(plain, softplus_beta)
    if second_derivatives == "softplus_second_derivative":
        smooth = models.with_softplus_second_derivative(classifier, softplus_beta)
        attack_network = models.for_double_backprop(smooth, precision)
    return Networks(models.with_affine_start(attack_network), metric_maps.network, metric_maps)
