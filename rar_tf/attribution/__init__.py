"""Attributions: outputs of a classifier, their gradients, maps and metrics of maps."""

from rar_tf.attribution.custom import AttributionFn
from rar_tf.attribution.explainer import METHODS, Explainer, is_differentiable
from rar_tf.attribution.grad_cam import grad_cam
from rar_tf.attribution.gradients import (
    input_gradient,
    integrated_gradients,
    path_integrated_gradients,
    smooth_grad,
)
from rar_tf.attribution.layers import layer_integrated_gradients
from rar_tf.attribution.metrics import (
    CRITERIA,
    METRICS,
    Metric,
    center_shift,
    is_constant,
    kendall_foreground,
    kendall_tau,
    spearman,
    top_k_intersection,
    top_k_mask,
)
from rar_tf.attribution.noise import normal_rows, uniform_rows
from rar_tf.attribution.outputs import (
    OutputFn,
    cross_entropy,
    label_logit,
    label_loss,
    label_probability,
)
from rar_tf.attribution.quadrature import RULES, nodes_and_weights
from rar_tf.attribution.saliency import saliency
from rar_tf.attribution.similarity import cosine, l1, pearson

__all__ = [
    "CRITERIA",
    "METHODS",
    "METRICS",
    "RULES",
    "AttributionFn",
    "Explainer",
    "Metric",
    "OutputFn",
    "center_shift",
    "cosine",
    "cross_entropy",
    "grad_cam",
    "input_gradient",
    "integrated_gradients",
    "is_constant",
    "is_differentiable",
    "kendall_foreground",
    "kendall_tau",
    "l1",
    "label_logit",
    "label_loss",
    "label_probability",
    "layer_integrated_gradients",
    "nodes_and_weights",
    "normal_rows",
    "path_integrated_gradients",
    "pearson",
    "saliency",
    "smooth_grad",
    "spearman",
    "top_k_intersection",
    "top_k_mask",
    "uniform_rows",
]
