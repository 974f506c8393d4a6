"""A small run: its data and its preset."""

import numpy as np

from rar_tf.datasets import ImageData, Split
from rar_tf.presets import Preset, resolve

MAX_STEPS = 9


def tiny_data() -> ImageData:
    """Three classes of 8x8 grey images that differ in brightness."""
    random = np.random.default_rng(0)

    def split(count: int) -> Split:
        labels = (np.arange(count) % 3).astype("int32")
        images = random.integers(0, 100, (count, 8, 8, 1)) + 50 * labels[:, None, None, None]
        return Split(images.astype("uint8"), labels)

    return ImageData("tiny", 3, (8, 8, 1), ("a", "b", "c"), "numpy", split(30), split(6), None)


def preset() -> Preset:
    """IG-NORM from scratch, in nine steps with one attack step and one node."""
    return resolve(
        "fashion_mnist",
        "ig_norm",
        batch_size=6,
        max_steps=MAX_STEPS,
        init_from="scratch",
        attack_steps=1,
        ig_steps=1,
        validate_every=4,
        checkpoint_every=3,
    )
