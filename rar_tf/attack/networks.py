"""Networks of an attack on maps: copies of a classifier that share its variables."""

from typing import NamedTuple

import keras

from rar_tf import models

SECOND_DERIVATIVES = ("softplus_twin", "softplus_second_derivative", "none")


class Networks(NamedTuple):
    """Networks of an attack on maps, on the variables of one classifier.

    Attributes:
      attack_network: images -> logits; the score ascends its map.
      metric_network: images -> logits; the selection of iterates compares its maps.
    """

    attack_network: keras.Model
    metric_network: keras.Model


def make_networks(
    classifier: keras.Model, second_derivatives: str, softplus_beta: float, precision: str
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
    """
    rewritable = isinstance(classifier, (keras.Function, keras.Sequential))
    precision = precision if rewritable else "float32"
    metric_network = attack_network = models.for_double_backprop(classifier, precision)
    if second_derivatives == "softplus_twin":
        attack_network = models.softplus_twin(metric_network, softplus_beta)
    if second_derivatives == "softplus_second_derivative":
        smooth = models.with_softplus_second_derivative(classifier, softplus_beta)
        attack_network = models.for_double_backprop(smooth, precision)
    return Networks(
        models.with_affine_start(attack_network), models.with_affine_start(metric_network)
    )
