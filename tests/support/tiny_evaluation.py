"""A user's own classifier and data, and finished reports, as several tests need them."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from rar_tf.attribution import Explainer
from rar_tf.evaluation import ExampleMetrics, Pgd, Protocol, protocol
from rar_tf.evaluation.report import Accuracy, Report, summarize

SHAPE = (20, 30, 3)


def own_model(seed: int = 0) -> keras.Model:
    """Plain Keras: tanh activations, probabilities of 3 classes, 20x30x3 images."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(4, 5, strides=2, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(8, activation="tanh"),
            layers.Dense(3, activation="softmax"),
        ],
        name="mine",
    )
    random = np.random.default_rng(seed)
    model.set_weights([0.4 * random.standard_normal(w.shape) for w in model.get_weights()])
    return model


def own_data(model: keras.Model, count: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 images, labels): the model's predictions, but the third label is wrong."""
    images = np.random.default_rng(1).integers(0, 256, (count, *SHAPE)).astype("uint8")
    labels = np.argmax(model(images / np.float32(255)), -1).astype("int32")
    labels[2] = (labels[2] + 1) % 3
    return images, labels


def quick_protocol() -> Protocol:
    """Few nodes and steps; its attack is `original`."""
    full = protocol("rar", "mine", SHAPE, epsilon=0.1, k=50, explainer=Explainer(steps=6))
    return dataclasses.replace(
        full,
        pgd=Pgd(3, 0.05),
        strong_attack=(Pgd(4, 0.05, 2),),
        attack_steps=4,
        attack_step_size=0.03,
    )


def row(index: int, kendall: float, **values: Any) -> ExampleMetrics:
    """One evaluated image, with plausible figures."""
    figures: dict[str, Any] = {
        "label": 1,
        "top_k": kendall / 2,
        "kendall_foreground": kendall,
        "spearman": kendall,
        "center_shift": 0.5,
        "candidate": 1,
        "undefined": 0,
        "constant": 0,
        "perturbation": 0.1,
        "completeness_error": 0.25,
        "output_change": -2.0,
        "seconds": 0.5,
    }
    return ExampleMetrics(index=index, kendall=kendall, **figures | values)


def plain(value: Protocol) -> dict[str, Any]:
    """A protocol as report.json holds it."""
    return json.loads(json.dumps(dataclasses.asdict(value)))


def report(
    name: str,
    attack: str = "worst_case",
    kendalls: Sequence[float] = (0.2, 0.6),
    dataset: str = "fashion_mnist",
    **values: Any,
) -> Report:
    """A finished evaluation of a model of this name."""
    rows = [row(i, kendall) for i, kendall in enumerate(kendalls)]
    figures: dict[str, Any] = {
        "model": {"name": name, "file": f"/runs/{name}/model.keras", "preset": None},
        "dataset": {"name": dataset, "split": "test", "class_names": None},
        "protocol": plain(protocol("rar", dataset, (28, 28, 1))),
        "attack": attack,
        "searches": [],
        "seed": 0,
        "batch_size": 2,
        "nodes_per_pass": None,
        "natural_accuracy": Accuracy(0.9086, 10_000),
        "pgd_accuracy": Accuracy(0.0001, 10_000),
        "strong_pgd_accuracy": None,
        "hardware": {},
        "versions": {},
        **summarize(rows, misclassified=3),
    }
    return Report(**figures | values)
