"""Architectures by name; the only registry of models."""

import keras

from rar_tf.models.resnet import flower_resnet, gtsrb_resnet, resnet18
from rar_tf.models.small_cnn import small_cnn
from rar_tf.models.small_networks import batch_norm_cnn, mobile_net, small_vit
from rar_tf.naming import call_custom, find, is_custom, parameters

ARCHITECTURES = {
    constructor.__name__: constructor
    for constructor in (
        small_cnn,
        gtsrb_resnet,
        flower_resnet,
        resnet18,
        batch_norm_cnn,
        mobile_net,
        small_vit,
    )
}


def build(
    architecture: str,
    *,
    num_classes: int,
    input_shape: tuple[int, int, int],
    seed: int = 0,
    weight_decay: float = 0.0,
) -> keras.Model:
    """Model of an architecture at its initial weights.

    Args:
      architecture: a name of `ARCHITECTURES`, or a custom "module:function": from
        (num_classes, input_shape, seed) to a Keras model, optionally with weight_decay.
      num_classes: number of logits.
      input_shape: [H, W, C] of an image.
      seed: seed of the initial weights.
      weight_decay: wd of the L2 loss wd * sum w^2 / 2 on kernels.

    Raises:
      ValueError: an unknown name; a custom function that fails, or whose model
        has another input or output shape.
    """
    constructor = find("architecture", architecture, ARCHITECTURES)
    settings = {"num_classes": num_classes, "input_shape": input_shape, "seed": seed}
    if not is_custom(architecture):
        return constructor(**settings, weight_decay=weight_decay)
    accepted = parameters(constructor)
    missing = [name for name in settings if name not in accepted]
    if missing:
        raise ValueError(
            f"architecture={architecture} must take num_classes, input_shape and seed. "
            f"Received: a function without {', '.join(missing)}"
        )
    if "weight_decay" in accepted:
        settings["weight_decay"] = weight_decay
    elif weight_decay:
        raise ValueError(
            f"architecture={architecture} must take weight_decay for it to be other than 0. "
            f"Received: weight_decay={weight_decay}"
        )
    model = call_custom("architecture", architecture, constructor, keras.Model, **settings)
    expected = ((None, *input_shape), (None, num_classes))
    shapes = tuple(getattr(model, name, None) for name in ("input_shape", "output_shape"))
    # What is None or has other axes or outputs is for `adapt` to judge.
    height, width, channels = input_shape
    inputs = (expected[0], (None, channels, height, width), None)
    outputs = (expected[1], (None, 1)) if num_classes == 2 else (expected[1],)
    is_single = shapes[1] is not None and isinstance(shapes[1][0], (int, type(None)))
    if shapes[0] not in inputs or (is_single and shapes[1] not in outputs):
        raise ValueError(
            f"architecture={architecture} must map images {expected[0]} to logits {expected[1]}. "
            f"Received: a model from {shapes[0]} to {shapes[1]}"
        )
    return model
