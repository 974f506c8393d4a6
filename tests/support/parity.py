"""Three steps of every objective on tiny data, on whatever devices: `parity.py FILE [SEED]`.

Started with TF_CONFIG it is one of several workers; the chief writes the weights to FILE (.npz).
With SEED it is deterministic.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from rar_tf.attack import Attack, LpBall
from rar_tf.datasets import Split
from rar_tf.objective import OBJECTIVES, Objective
from rar_tf.training import Distribution, RobustModel, distribute, make_deterministic
from rar_tf.training.loop import run_steps

BATCH_SIZE, STEPS = 8, 3
NO_QUADRATURE = ("natural", "madry", "input_gradient", "loss_output", "align")
# Sign steps magnify the rounding of gradients that are nearly zero, which the pearson
# correlation of maps has many of: the other objectives take l2 steps.
SIGN_STEPS = ("natural", "madry", "ig_norm", "ig_sum_norm")


@functools.cache
def two_devices() -> Distribution:
    """One for all tests: two strategies in a process share the keys of their collectives."""
    return distribute("mirrored")


def tiny_objective(name: str) -> Objective:
    """The named objective with few nodes, and the layer that `relu_classifier` has."""
    settings: dict[str, Any] = (
        {} if name in NO_QUADRATURE else {"ig_steps": 3, "attack_ig_steps": 2}
    )
    if name == "layer_ig_norm":
        settings["layer"] = "hidden"
    return OBJECTIVES[name](**settings)


def relu_classifier(seed: int = 0) -> keras.Model:
    """Two dense layers for 4x4 grey images."""
    image = keras.Input((4, 4, 1))
    h = keras.layers.Flatten()(image)
    for i, units in enumerate((12, 3)):
        h = keras.layers.Dense(
            units,
            activation="relu" if i == 0 else None,
            name="hidden" if i == 0 else None,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.5, seed=seed + i),
            bias_initializer=keras.initializers.Constant(0.05),
        )(h)
    return keras.Model(image, h)


def split() -> Split:
    """Twenty random images of three classes."""
    random = np.random.default_rng(11)
    images = random.integers(0, 256, (20, 4, 4, 1)).astype("uint8")
    return Split(images, random.integers(0, 3, 20).astype("int32"))


def train(
    name: str,
    distribution: Distribution,
    classifier: Callable[[], keras.Model] = relu_classifier,
) -> list[np.ndarray]:
    """Weights after three SGD steps of the named objective."""
    ball = LpBall("inf" if name in SIGN_STEPS else 2, 0.2)
    with distribution.strategy.scope():
        attack = Attack(ball, steps=4, step_size=0.1)
        model = RobustModel(classifier(), tiny_objective(name), attack, seed=5)
        model.compile(keras.optimizers.SGD(0.1))
        model.optimizer.build(model.trainable_variables)
        batches = distribution.training_batches(split(), batch_size=BATCH_SIZE, seed=1, steps=STEPS)
        run_steps(model, batches, STEPS, [])
    return model.classifier.get_weights()


def main(path: str, seed: str | None = None) -> None:
    """Train every objective; the chief writes the weights."""
    if seed is not None:
        make_deterministic(int(seed))
    distribution = distribute()
    with distribution.detect_lost_workers():
        weights = {
            f"{name}/{i}": array
            for name in OBJECTIVES
            for i, array in enumerate(train(name, distribution))
        }
    if distribution.worker == 0:
        np.savez(path, **weights)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(*sys.argv[1:])
