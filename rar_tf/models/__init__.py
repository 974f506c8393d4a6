"""Classifiers as plain Keras models: images [B, H, W, C] in [0, 1] -> logits [B, classes]."""

from rar_tf.models.activations import (
    count_relus,
    relu_with_softplus_second_derivative,
    softplus,
    softplus_twin,
    with_softplus_second_derivative,
)
from rar_tf.models.adapt import adapt_to_dataset
from rar_tf.models.affine_start import AffineStart, with_affine_start
from rar_tf.models.double_backprop import PRECISIONS, for_double_backprop
from rar_tf.models.initializers import INITIALIZERS, reinitialize, scale_kernels
from rar_tf.models.layer_derivatives import nonlinear_layers, with_derivatives_of_second_half
from rar_tf.models.loading import load_classifier
from rar_tf.models.precision import AUTO, PrecisionTrial, check_precision, try_precisions
from rar_tf.models.registry import ARCHITECTURES, build
from rar_tf.models.resnet import NORMALIZATIONS, flower_resnet, gtsrb_resnet, resnet18
from rar_tf.models.small_cnn import small_cnn
from rar_tf.models.to_logits import OUTPUTS, to_logits
from rar_tf.models.weight_decay import decay_kernels

__all__ = [
    "AffineStart",
    "ARCHITECTURES",
    "AUTO",
    "INITIALIZERS",
    "NORMALIZATIONS",
    "OUTPUTS",
    "PRECISIONS",
    "PrecisionTrial",
    "check_precision",
    "try_precisions",
    "build",
    "for_double_backprop",
    "count_relus",
    "decay_kernels",
    "adapt_to_dataset",
    "flower_resnet",
    "gtsrb_resnet",
    "load_classifier",
    "nonlinear_layers",
    "reinitialize",
    "scale_kernels",
    "relu_with_softplus_second_derivative",
    "resnet18",
    "small_cnn",
    "softplus",
    "softplus_twin",
    "to_logits",
    "with_affine_start",
    "with_derivatives_of_second_half",
    "with_softplus_second_derivative",
]
