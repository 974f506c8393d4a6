"""Objectives of training: losses, terms about attributions, and their registry."""

from rar_tf.objective import sizes, terms
from rar_tf.objective.loss_objectives import (
    distributional,
    ig_norm,
    ig_sum_norm,
    input_gradient,
    layer_ig_norm,
    loss_output,
    madry,
    natural,
)
from rar_tf.objective.map_objectives import (
    DISSIMILARITIES,
    aat,
    adv_aat,
    adv_far,
    align,
    far,
    igr,
)
from rar_tf.objective.objective import Batch, Construction, Objective, ObjectiveValue, Term
from rar_tf.objective.registry import OBJECTIVES, construct, register, settings
from rar_tf.objective.settings import Setting
from rar_tf.objective.sizes import SizeFn
from rar_tf.objective.terms import DissimilarityFn

__all__ = [
    "DISSIMILARITIES",
    "OBJECTIVES",
    "Batch",
    "Construction",
    "DissimilarityFn",
    "Objective",
    "ObjectiveValue",
    "Setting",
    "SizeFn",
    "Term",
    "aat",
    "adv_aat",
    "adv_far",
    "align",
    "construct",
    "distributional",
    "far",
    "ig_norm",
    "ig_sum_norm",
    "igr",
    "input_gradient",
    "layer_ig_norm",
    "loss_output",
    "madry",
    "natural",
    "register",
    "settings",
    "sizes",
    "terms",
]
