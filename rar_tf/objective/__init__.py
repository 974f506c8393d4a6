"""What training minimizes."""

from rar_tf.objective import sizes, terms
from rar_tf.objective.catalogue import (
    CATALOGUE,
    DISSIMILARITIES,
    aat,
    adv_aat,
    adv_far,
    align,
    distributional,
    far,
    ig_norm,
    ig_sum_norm,
    igr,
    input_gradient,
    layer_ig_norm,
    loss_output,
    madry,
    natural,
)
from rar_tf.objective.objective import Batch, Objective, Parts, Term
from rar_tf.objective.own import constructor, own_settings
from rar_tf.objective.sizes import SizeFn
from rar_tf.objective.terms import AttributionFn, DissimilarityFn

__all__ = [
    "CATALOGUE",
    "DISSIMILARITIES",
    "AttributionFn",
    "Batch",
    "DissimilarityFn",
    "Objective",
    "Parts",
    "SizeFn",
    "Term",
    "aat",
    "adv_aat",
    "adv_far",
    "align",
    "constructor",
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
    "own_settings",
    "sizes",
    "terms",
]
