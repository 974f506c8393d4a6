"""Classifiers as plain Keras models: images [B, H, W, C] in [0, 1] -> logits [B, classes]."""

from rar_tf.models.registry import ARCHITECTURES, build
from rar_tf.models.resnet import flower_resnet, gtsrb_resnet, resnet18
from rar_tf.models.small_cnn import small_cnn

__all__ = ["ARCHITECTURES", "build", "flower_resnet", "gtsrb_resnet", "resnet18", "small_cnn"]
