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
from rar_tf.models.batch_statistics import (
    BATCH_STATISTICS,
    batch_normalizations,
    with_batch_statistics,
)
from rar_tf.models.double_backprop import PRECISIONS, for_double_backprop
from rar_tf.models.initializers import INITIALIZERS, reinitialize, scale_kernels
from rar_tf.models.layer_derivatives import nonlinear_layers, with_derivatives_of_second_half
from rar_tf.models.loading import load_classifier
from rar_tf.models.modern import batch_norm_cnn, mobile_net, small_vit
from rar_tf.models.registry import ARCHITECTURES, build
from rar_tf.models.resnet import NORMALIZATIONS, flower_resnet, gtsrb_resnet, resnet18
from rar_tf.models.small_cnn import small_cnn
from rar_tf.models.to_logits import OUTPUTS, to_logits
from rar_tf.models.weight_decay import decay_kernels

__all__ = [
    "AffineStart",
    "ARCHITECTURES",
    "BATCH_STATISTICS",
    "INITIALIZERS",
    "NORMALIZATIONS",
    "OUTPUTS",
    "PRECISIONS",
    "batch_norm_cnn",
    "batch_normalizations",
    "build",
    "for_double_backprop",
    "count_relus",
    "decay_kernels",
    "adapt_to_dataset",
    "flower_resnet",
    "gtsrb_resnet",
    "load_classifier",
    "mobile_net",
    "nonlinear_layers",
    "reinitialize",
    "scale_kernels",
    "relu_with_softplus_second_derivative",
    "resnet18",
    "small_cnn",
    "small_vit",
    "softplus",
    "softplus_twin",
    "to_logits",
    "with_affine_start",
    "with_batch_statistics",
    "with_derivatives_of_second_half",
    "with_softplus_second_derivative",
]
