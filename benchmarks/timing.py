"""Timing: of training steps on noise, of a call, of work that is stopped and gone on with."""

import json
import pathlib
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from rar_tf.files import write_atomically
from rar_tf.presets import Preset, build

IMAGE_SHAPE, NUM_CLASSES = (28, 28, 1), 10


def step_call(
    preset: Preset,
    image_shape: tuple[int, int, int] = IMAGE_SHAPE,
    num_classes: int = NUM_CLASSES,
) -> Callable[[], np.ndarray]:
    """() -> the loss of one training step on noise, of Fashion-MNIST's size by default."""
    model = build.robust_model(preset, build.classifier(preset, num_classes, image_shape))
    model.optimizer.build(model.trainable_variables)
    x = tf.random.stateless_uniform([preset.optimizer.batch_size, *image_shape], [0, 0])
    y = tf.range(preset.optimizer.batch_size) % num_classes
    step = tf.function(model.train_step)
    return lambda: step((x, y))["loss"].numpy()


def seconds(call: Callable) -> float:
    """How long one call takes, its result read back."""
    started = time.perf_counter()
    result = call()
    if tf.is_tensor(result):
        result.numpy()
    return time.perf_counter() - started


def timed(work, store: pathlib.Path) -> float:
    """Minutes that `work()` took, those of earlier, stopped attempts included."""
    store.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(store.read_text()) if store.exists() else {"seconds": 0.0, "done": False}
    if not known["done"]:
        started = time.monotonic()
        try:
            work()
            known["done"] = True
        finally:
            known["seconds"] += time.monotonic() - started
            write_atomically(store, json.dumps(known).encode())
    return known["seconds"] / 60
