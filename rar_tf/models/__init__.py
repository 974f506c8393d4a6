"""Classifiers as plain Keras models: images [B, H, W, C] in [0, 1] -> logits [B, classes]."""

from rar_tf.models.activations import (
    count_relus,
    relu_with_softplus_second_derivative,
    softplus,
    softplus_twin,
    with_softplus_second_derivative,
)
from rar_tf.models.adapt import Adapted, adapt
from rar_tf.models.affine_start import AffineStart, with_affine_start
from rar_tf.models.batch_statistics import (
    BATCH_STATISTICS,
    batch_normalizations,
    with_batch_statistics,
)
from rar_tf.models.convention import Convention, Conversions
from rar_tf.models.double_backprop import PRECISIONS, for_double_backprop
from rar_tf.models.initializers import INITIALIZERS, reinitialize, scale_kernels
from rar_tf.models.input_layout import image_shape
from rar_tf.models.layer_derivatives import nonlinear_layers, with_derivatives_of_second_half
from rar_tf.models.loading import import_modules, is_model_file, load_classifier
from rar_tf.models.pixel_check import check_pixels
from rar_tf.models.pixels import PIXELS, PixelFn
from rar_tf.models.precision import AUTO, PrecisionTrial, check_precision, try_precisions
from rar_tf.models.registry import ARCHITECTURES, build
from rar_tf.models.resnet import NORMALIZATIONS, flower_resnet, gtsrb_resnet, resnet18
from rar_tf.models.rewrite import without_nested
from rar_tf.models.small_cnn import small_cnn
from rar_tf.models.small_networks import batch_norm_cnn, mobile_net, small_vit
from rar_tf.models.suitability import adapt_to_dataset, check_trainable, to_train
from rar_tf.models.to_logits import OUTPUTS, to_logits
from rar_tf.models.weight_decay import decay_kernels

__all__ = [
    "Adapted",
    "AffineStart",
    "ARCHITECTURES",
    "AUTO",
    "BATCH_STATISTICS",
    "Conversions",
    "Convention",
    "INITIALIZERS",
    "NORMALIZATIONS",
    "OUTPUTS",
    "PIXELS",
    "PRECISIONS",
    "PixelFn",
    "adapt",
    "batch_norm_cnn",
    "batch_normalizations",
    "PrecisionTrial",
    "check_precision",
    "try_precisions",
    "build",
    "check_pixels",
    "check_trainable",
    "for_double_backprop",
    "count_relus",
    "decay_kernels",
    "adapt_to_dataset",
    "flower_resnet",
    "gtsrb_resnet",
    "image_shape",
    "import_modules",
    "is_model_file",
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
    "to_train",
    "with_affine_start",
    "with_batch_statistics",
    "with_derivatives_of_second_half",
    "with_softplus_second_derivative",
    "without_nested",
]
