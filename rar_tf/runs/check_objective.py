"""A user's own objective, tried on two images before anything long starts."""

import numpy as np
import tensorflow as tf

from rar_tf.attack import Attack
from rar_tf.datasets import ImageData, to_unit
from rar_tf.naming import call_custom
from rar_tf.objective import Batch, Objective, ObjectiveValue
from rar_tf.presets import Preset, build


def try_objective(
    preset: Preset, objective: Objective, attack: Attack | None, data: ImageData
) -> None:
    """Evaluates the objective eagerly, where an error still points at the user's line.

    Raises:
      ValueError: it fails, gives other than one number an image, or does not depend on the
        weights or, with an attack, on the attacked image.
    """
    classifier = build.classifier(preset, data.num_classes, data.image_shape)
    images, labels = data.require("train").read(np.arange(2))
    batch = Batch(tf.constant(to_unit(images)), tf.constant(labels, tf.int32))

    def evaluate() -> ObjectiveValue:
        x_adv = batch.image
        if attack is not None:
            x_adv = attack.threat.project(attack.threat.start(x_adv, [preset.seed, 0]), x_adv)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x_adv)
            score = objective.score(classifier, batch)(x_adv) if attack is not None else None
            parts = objective(classifier, batch, x_adv, training=True)
        if score is not None and tape.gradient(score, x_adv) is None:
            raise ValueError("what the attack ascends must depend on x_adv")
        if not any(g is not None for g in tape.gradient(parts.total, classifier.trainable_weights)):
            raise ValueError("the objective must depend on the weights")
        return parts

    call_custom("objective", preset.objective.name, evaluate, ObjectiveValue)
