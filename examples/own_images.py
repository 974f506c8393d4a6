"""Your own Keras model on a folder of your own images: from natural to steady to served.

    python -m examples.own_images PHOTOS --output=steady

PHOTOS/CLASS/*.jpg, one folder a class. Trains a natural classifier, goes on from it with `ig_norm`,
measures how steady the explanations of both are, and writes a SavedModel that classifies and
explains, whose answer for the first test image it prints.
"""

import argparse
import pathlib

import keras
import numpy as np
import tensorflow as tf

from rar_tf import attack, datasets, evaluation, objective, reporting, serving, training

EPSILON = 8 / 255  # how far a pixel may be moved, of 1


def own_model(num_classes: int, image_shape: tuple[int, int, int]) -> keras.Model:
    """Any Keras model from images in [0, 1] to logits."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Conv2D(16, 5, activation="relu"),
            layers.AveragePooling2D(4),
            layers.Conv2D(32, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(num_classes),
        ]
    )


def fit(classifier: keras.Model, aim: objective.Objective, data: datasets.ImageData, steps: int):
    """Trains in place: `RobustModel` is a Keras model, `fit` is Keras's."""
    ball = attack.LpBall("inf", EPSILON)
    search = attack.Attack(ball, steps=5, step_size=EPSILON / 4)
    model = training.RobustModel(classifier, aim, search)
    model.compile(keras.optimizers.Adam(1e-3))
    batch_size = min(32, len(data.require("train")))
    batches = datasets.training_batches(
        data.require("train"), batch_size=batch_size, seed=0, steps=steps
    )
    model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)


def measure(classifier: keras.Model, data: datasets.ImageData, images: int) -> str:
    """Accuracy, and what the attribution attack leaves of the explanations."""
    report = evaluation.evaluate(
        classifier,
        data,
        protocol=evaluation.protocol("rar", "mine", data.image_shape, epsilon=EPSILON),
        num_examples=images,
        strong_pgd=False,
    )
    return reporting.summary(report)


def main(arguments: list[str] | None = None) -> None:
    """The whole way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", help="folder with one folder of images a class")
    parser.add_argument("--output", default="steady", help="folder to write to")
    parser.add_argument("--image_size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=300, help="of each of both trainings")
    parser.add_argument("--examples", type=int, default=50, help="images whose maps are attacked")
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(0)
    data = datasets.load(f"folder:{options.photos}", image_size=options.image_size)
    classifier = own_model(data.num_classes, data.image_shape)
    fit(classifier, objective.natural(), data, options.steps)
    print("natural:", measure(classifier, data, options.examples), sep="\n")
    fit(classifier, objective.ig_norm(ig_steps=3, attack_ig_steps=1), data, options.steps)
    print("steady:", measure(classifier, data, options.examples), sep="\n")

    output = pathlib.Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    classifier.save(output / "model.keras")
    served = serving.export(classifier, output / "served" / "1")
    images, _ = data.require("test").read(np.arange(1))
    endpoint = tf.saved_model.load(str(served)).signatures["attribute"]
    answer = endpoint(image=tf.constant(datasets.to_unit(images)))
    row, column = np.unravel_index(np.argmax(answer["saliency"][0]), data.image_shape[:2])
    name = data.class_names[int(answer["class"][0])]
    print(f"served: {served}; the first test image is {name}, above all for pixel {row}, {column}")


if __name__ == "__main__":
    main()
