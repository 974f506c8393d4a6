"""Warm-up requests that TensorFlow Serving replays at its start."""

import importlib
import os
import pathlib

import numpy as np
import tensorflow as tf

_FILE = pathlib.PurePath("assets.extra") / "tf_serving_warmup_requests"


def write_warmup(
    folder: str | os.PathLike, *, batch_sizes: tuple[int, ...] = (1,), name: str = "classifier"
) -> pathlib.Path:
    """Writes warm-up requests of grey images to `serve` and `attribute` of an export.

    Args:
      folder: folder of an export, see `export`.
      batch_sizes: number of images of each pair of requests.
      name: name of the model on the server.

    Returns:
      The file, FOLDER/assets.extra/tf_serving_warmup_requests.

    Raises:
      ImportError: `tensorflow-serving-api` is not installed (the extra `serving`).
      ValueError: no batch size, or one < 1.
    """
    if not batch_sizes or min(batch_sizes) < 1:
        raise ValueError(f"batch_sizes must be >= 1. Received: batch_sizes={batch_sizes}")
    try:
        prediction_log_pb2 = importlib.import_module("tensorflow_serving.apis.prediction_log_pb2")
    except ImportError as error:
        raise ImportError(
            "a warm-up file needs tensorflow-serving-api: pip install 'rar-tf[serving]'. "
            f"Received: {error}"
        ) from error
    path = pathlib.Path(folder) / _FILE
    loaded = tf.saved_model.load(os.fspath(folder))
    image = loaded.signatures["serve"].structured_input_signature[1]["image"]
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(os.fspath(path)) as file:
        for size in batch_sizes:
            pixels = np.full((size, *image.shape[1:]), 0.5, np.float32)
            for endpoint in ("serve", "attribute"):
                log = prediction_log_pb2.PredictionLog()
                request = log.predict_log.request
                request.model_spec.name = name
                request.model_spec.signature_name = endpoint
                request.inputs["image"].CopyFrom(tf.make_tensor_proto(pixels))
                file.write(log.SerializeToString())
    return path
