"""What explains a prediction: outputs of a classifier, their gradients, maps made of them."""

from rar_tf.attribution.gradients import (
    input_gradient,
    integrated_gradients,
    path_integrated_gradients,
)
from rar_tf.attribution.outputs import (
    OutputFn,
    cross_entropy,
    label_logit,
    label_loss,
    label_probability,
)
from rar_tf.attribution.quadrature import RULES, nodes_and_weights
from rar_tf.attribution.saliency import saliency

__all__ = [
    "RULES",
    "OutputFn",
    "cross_entropy",
    "input_gradient",
    "integrated_gradients",
    "label_logit",
    "label_loss",
    "label_probability",
    "nodes_and_weights",
    "path_integrated_gradients",
    "saliency",
]
