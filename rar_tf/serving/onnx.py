"""Export of the logits as an ONNX graph."""

import importlib.util
import os
import pathlib

import keras
import tensorflow as tf

from rar_tf.models import Convention, PixelFn, adapt


def export_onnx(
    classifier: keras.Model,
    path: str | os.PathLike,
    *,
    pixels: str | PixelFn = "auto",
    outputs: str = "auto",
    output_name: str | None = None,
) -> pathlib.Path:
    """Writes the classifier's logits as ONNX: images [N, H, W, C] in [0, 1] -> [N, classes].

    The attribution is not exported, as ONNX has no gradients. Pixels are not checked.

    Args:
      classifier: any Keras classifier, see `models.adapt`.
      path: `.onnx` file to write.
      pixels: pixels that the classifier takes, see `models.Convention`.
      outputs: kind of the classifier's outputs, see `models.to_logits`.
      output_name: name of the output that classifies, of a classifier with several.

    Raises:
      ImportError: `tf2onnx` is not installed (the extra `onnx`).
    """
    if importlib.util.find_spec("tf2onnx") is None:
        raise ImportError("ONNX needs tf2onnx: pip install 'rar-tf[onnx]'")
    network = adapt(classifier, Convention(pixels, outputs, output_name)).model
    # Keras exports only models that were called; `adapt` makes a new one.
    network(tf.zeros([1, *network.input_shape[1:]]), training=False)
    network.export(os.fspath(path), format="onnx", verbose=False)
    return pathlib.Path(path)
