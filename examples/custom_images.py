"""A custom Keras model on a folder of images: natural training, robust training and export.

    python -m examples.custom_images PHOTOS --output=robust

PHOTOS/CLASS/*.jpg is one folder for each class. Trains a natural classifier, continues with
`ig_norm`, measures the attribution robustness of both, and exports a SavedModel that classifies and
explains. Prints the answer of the SavedModel for the first test image.
"""

import argparse
import pathlib

import keras
import numpy as np
import tensorflow as tf

from rar_tf import attack, datasets, evaluation, objective, reporting, serving, training

EPSILON = 8 / 255  # largest change of a pixel, in units of [0, 1]


def custom_model(num_classes: int, image_shape: tuple[int, int, int]) -> keras.Model:
    """Any Keras model, images in [0, 1] -> logits."""
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


def fit(
    classifier: keras.Model, loss: objective.Objective, data: datasets.ImageData, steps: int
) -> None:
    """Trains the classifier in place, by the `fit` of Keras."""
    ball = attack.LpBall("inf", EPSILON)
    maximizer = attack.Attack(ball, steps=5, step_size=EPSILON / 4)
    model = training.RobustModel(classifier, loss, maximizer)
    model.compile(keras.optimizers.Adam(1e-3))
    batch_size = min(32, len(data.require("train")))
    batches = datasets.training_batches(
        data.require("train"), batch_size=batch_size, seed=0, steps=steps
    )
    model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)


def measure(classifier: keras.Model, data: datasets.ImageData, images: int) -> str:
    """Summary of accuracy and attribution robustness."""
    report = evaluation.evaluate(
        classifier,
        data,
        protocol=evaluation.protocol("rar", "custom", data.image_shape, epsilon=EPSILON),
        num_examples=images,
        strong_pgd=False,
    )
    return reporting.summary(report)


def main(arguments: list[str] | None = None) -> None:
    """Train, measure and export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", help="folder with one folder of images for each class")
    parser.add_argument("--output", default="robust", help="folder to write to")
    parser.add_argument("--image_size", type=int, default=64, help="side of the images, in pixels")
    parser.add_argument("--steps", type=int, default=300, help="steps of each training")
    parser.add_argument(
        "--examples", type=int, default=50, help="number of images whose maps are attacked"
    )
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(0)
    data = datasets.load(f"folder:{options.photos}", image_size=options.image_size)
    classifier = custom_model(data.num_classes, data.image_shape)
    fit(classifier, objective.natural(), data, options.steps)
    print("natural:", measure(classifier, data, options.examples), sep="\n")
    fit(classifier, objective.ig_norm(ig_steps=3, attack_ig_steps=1), data, options.steps)
    print("robust:", measure(classifier, data, options.examples), sep="\n")

    output = pathlib.Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    classifier.save(output / "model.keras")
    served = serving.export(classifier, output / "served" / "1")
    images, _ = data.require("test").read(np.arange(1))
    endpoint = tf.saved_model.load(str(served)).signatures["attribute"]
    answer = endpoint(image=tf.constant(datasets.to_unit(images)))
    row, column = np.unravel_index(np.argmax(answer["saliency"][0]), data.image_shape[:2])
    name = data.class_names[int(answer["class"][0])]
    print(
        f"served: {served}; class of the first test image: {name}; "
        f"most important pixel: {row}, {column}"
    )


if __name__ == "__main__":
    main()
