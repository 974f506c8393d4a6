"""A binary Keras model with one sigmoid: measured, trained to steadier explanations, exported.

    python -m examples.binary_classifier --classes=0,6 --output=shirts

The model is made as tutorials make it: it takes pixels in [0, 255], scales them to [-1, 1] by
itself, ends in one sigmoid, and is trained by Keras with binary cross entropy. Nothing of it is
changed: rar_tf reads the pixel range off its first layer and the sigmoid p = sigmoid(z) as two
logits (-z/2, z/2), measures it, trains it with the objective `aat`, and saves it. The saved
model.keras still takes pixels in [0, 255] and gives one probability; the SavedModel beside it takes
images in [0, 1], gives both classes, and explains them.
"""

import argparse
import dataclasses
import pathlib

import keras
import numpy as np
import tensorflow as tf

from rar_tf import attack, datasets, evaluation, objective, reporting, serving, training


def binary_model(image_shape: tuple[int, int, int]) -> keras.Model:
    """Pixels in [0, 255] -> probability of class 1."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="binary",
    )


def two_classes(data: datasets.ImageData, first: int, second: int) -> datasets.ImageData:
    """The images of two classes, which get the labels 0 and 1."""

    def part(split: str) -> datasets.Split:
        examples = data.require(split)
        images, labels = examples.read(np.arange(len(examples)))
        kept = np.isin(labels, (first, second))
        return datasets.Split(images[kept], (labels[kept] == second).astype("int32"))

    names = (data.class_names[first], data.class_names[second])
    splits = {split: part(split) for split in ("train", "validation", "test")}
    return dataclasses.replace(data, num_classes=2, class_names=names, **splits)


def fit_by_keras(model: keras.Model, data: datasets.ImageData, epochs: int) -> None:
    """Trains the model as Keras does, on pixels in [0, 255]."""
    train = data.require("train")
    images, labels = train.read(np.arange(len(train)))
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
    model.fit(images.astype("float32"), labels, batch_size=64, epochs=epochs, verbose=0)


def fit_robustly(model: keras.Model, data: datasets.ImageData, epsilon: float, steps: int) -> None:
    """Trains the model on, in place, so that its explanations hold still."""
    maximizer = attack.Attack(attack.LpBall("inf", epsilon), steps=3, step_size=epsilon / 2)
    robust = training.RobustModel(model, objective.aat(ig_steps=4, attack_ig_steps=2), maximizer)
    robust.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps)))
    batch_size = min(64, len(data.require("train")))
    batches = datasets.training_batches(
        data.require("train"), batch_size=batch_size, seed=0, steps=steps
    )
    robust.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)


def measure(
    model: keras.Model, data: datasets.ImageData, epsilon: float, images: int
) -> evaluation.Report:
    """Accuracy and attribution robustness."""
    return evaluation.evaluate(
        model,
        data,
        protocol=evaluation.protocol("rar", "custom", data.image_shape, epsilon=epsilon),
        num_examples=images,
        strong_pgd=False,
    )


def main(arguments: list[str] | None = None) -> None:
    """Train, measure, train on, measure and export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="fashion_mnist", help="a data set of rar_tf")
    parser.add_argument("--manual_dir", help="folder with the data set's official files")
    parser.add_argument("--classes", default="0,1", help="numbers of the two classes")
    parser.add_argument("--epsilon", type=float, default=0.05, help="largest change of a pixel")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of the training by Keras")
    parser.add_argument("--steps", type=int, default=1500, help="steps of the robust training")
    parser.add_argument("--examples", type=int, default=50, help="images whose maps are attacked")
    parser.add_argument("--output", default="binary", help="folder to write to")
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(0)
    data = datasets.load(options.dataset, manual_dir=options.manual_dir)
    data = two_classes(data, *map(int, options.classes.split(",")))
    model = binary_model(data.image_shape)
    fit_by_keras(model, data, options.epochs)
    before = measure(model, data, options.epsilon, options.examples)
    print("natural:", reporting.summary(before), sep="\n")
    fit_robustly(model, data, options.epsilon, options.steps)
    after = measure(model, data, options.epsilon, options.examples)
    print("robust:", reporting.summary(after), sep="\n")

    output = pathlib.Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    model.save(output / "model.keras")
    provenance = serving.Provenance(report=after)
    served = serving.export(model, output / "served" / "1", provenance=provenance)
    images, _ = data.require("test").read(np.arange(1))
    probability = float(model(images.astype("float32"))[0, 0])
    endpoint = tf.saved_model.load(str(served)).signatures["attribute"]
    answer = endpoint(image=tf.constant(datasets.to_unit(images)))
    name = data.class_names[int(answer["class"][0])]
    print(
        f"served: {served}; first test image: {name}, probability of {data.class_names[1]} "
        f"{probability:.4f} by model.keras, {float(answer['probabilities'][0, 1]):.4f} as served"
    )


if __name__ == "__main__":
    main()
