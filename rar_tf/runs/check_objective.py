"""Checks of custom code and models on training images, before training starts."""

import numpy as np
import tensorflow as tf

from rar_tf import models
from rar_tf.attack import Attack
from rar_tf.datasets import ImageData, to_unit
from rar_tf.naming import call_custom
from rar_tf.objective import Batch, Objective, ObjectiveValue
from rar_tf.presets import Preset, build
from rar_tf.training import RobustModel


def check_pixels(model: RobustModel, data: ImageData) -> None:
    """Raises ValueError where the classifier is clearly better on other pixels than it gets.

    Args:
      model: model with the classifier.
      data: data set; some of its training images are used.
    """
    split = data.require("train")

    def read(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        images, labels = split.read(numbers)
        return np.asarray(to_unit(images)), labels

    models.check_pixels(model.classifier, model.adapted, read, len(split))


def check_objective(
    preset: Preset, objective: Objective, attack: Attack | None, data: ImageData
) -> None:
    """Evaluates a custom objective eagerly, so that an error names the line of its code.

    Args:
      preset: preset with the objective.
      objective: the objective of the preset.
      attack: the attack of the preset.
      data: data set; its first two training images are used.

    Raises:
      ValueError: the objective fails, returns other than one number per image, or does not depend
        on the weights or, with an attack, on the attacked image.
    """
    given = build.classifier(preset, data.num_classes, data.image_shape)
    classifier = models.to_train(given, preset.model.convention).model
    images, labels = data.require("train").read(np.arange(2))
    batch = Batch(tf.constant(to_unit(images)), tf.constant(labels, tf.int32))

    def evaluate() -> ObjectiveValue:
        x_adv = batch.image
        if attack is not None:
            x_adv = attack.threat.project(attack.threat.start(x_adv, [preset.seed, 0]), x_adv)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x_adv)
            score = objective.score(classifier, batch)(x_adv) if attack is not None else None
            value = objective(classifier, batch, x_adv, training=True)
        if score is not None and tape.gradient(score, x_adv) is None:
            raise ValueError("the score of the attack must depend on x_adv")
        gradients = tape.gradient(value.total, classifier.trainable_weights)
        if all(gradient is None for gradient in gradients):
            raise ValueError("the objective must depend on the weights")
        return value

    call_custom("objective", preset.objective.name, evaluate, ObjectiveValue)
