"""Export of the logits as an ONNX graph."""

import importlib.util
import os
import pathlib

import keras
import tensorflow as tf

from rar_tf.models import to_logits


def export_onnx(
    classifier: keras.Model, path: str | os.PathLike, *, outputs: str = "auto"
) -> pathlib.Path:
    """Writes the classifier's logits as ONNX: images [N, H, W, C] in [0, 1] -> [N, classes].

    The attribution is not exported, as ONNX has no gradients. Pixels are not checked.

    Args:
      classifier: images [B, H, W, C] in [0, 1] -> logits or probabilities [B, classes].
      path: `.onnx` file to write.
      outputs: kind of the classifier's outputs, see `models.to_logits`.

    Raises:
      ImportError: `tf2onnx` is not installed (the extra `onnx`).
    """
    if importlib.util.find_spec("tf2onnx") is None:
        raise ImportError("ONNX needs tf2onnx: pip install 'rar-tf[onnx]'")
    network, _ = to_logits(classifier, outputs)
    # Keras exports only models that were called; `to_logits` makes a new one.
    network(tf.zeros([1, *network.input_shape[1:]]), training=False)
    network.export(os.fspath(path), format="onnx", verbose=False)
    return pathlib.Path(path)
