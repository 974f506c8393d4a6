"""Architectures by name; the only registry of models."""

import keras

from rar_tf.models.resnet import flower_resnet, gtsrb_resnet, resnet18
from rar_tf.models.small_cnn import small_cnn
from rar_tf.naming import check_name

ARCHITECTURES = {
    constructor.__name__: constructor
    for constructor in (small_cnn, gtsrb_resnet, flower_resnet, resnet18)
}


def build(
    architecture: str,
    *,
    num_classes: int,
    input_shape: tuple[int, int, int],
    seed: int = 0,
    weight_decay: float = 0.0,
) -> keras.Model:
    """The named architecture at its initial weights.

    Args:
      architecture: a name of `ARCHITECTURES`.
      num_classes: number of logits.
      input_shape: [H, W, C] of an image.
      seed: of the initial weights.
      weight_decay: wd of the L2 loss wd * sum w^2 / 2 on kernels.

    Raises:
      ValueError: an unknown name.
    """
    check_name("architecture", architecture, ARCHITECTURES)
    return ARCHITECTURES[architecture](
        num_classes, input_shape, weight_decay=weight_decay, seed=seed
    )
