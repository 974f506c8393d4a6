"""A pretrained ImageNet network for other classes: new head, robust training, export, pictures.

    python -m examples.pretrained_network NETWORK.keras --manual_dir=FOLDER --output=flowers

NETWORK.keras is any classifier of ImageNet as a `.keras` file; FOLDER holds the archive of Oxford
Flowers 17. The network gets a new head for its classes, fitted to features that are computed once;
then `aat` trains the upper blocks at a low learning rate. Both networks are measured, the robust
one is exported, and explanations of one image before and after are drawn.

Each stage writes a file or folder of its own in `--output`; the same command again goes on from
there.
"""

import argparse
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rar_tf import datasets, evaluation, models, presets, reporting, runs, serving
from rar_tf.files import write_atomically

EPSILON = 8 / 255  # largest change of a pixel, in units of [0, 1]
BATCH = 16


def with_head(network: keras.Model, num_classes: int) -> keras.Model:
    """The network, of the same pixels, with a new last layer, `head`, which gives logits.

    Args:
      network: Functional classifier whose last layer with weights is a Dense layer.
      num_classes: number of new classes.
    """
    last = [layer for layer in network.layers if layer.weights][-1]
    if not isinstance(last, keras.layers.Dense):
        raise ValueError(f"the last layer with weights must be Dense. Received: {last.name}")
    return keras.Model(network.inputs, keras.layers.Dense(num_classes, name="head")(last.input))


def freeze(classifier: keras.Model, share: float) -> None:
    """Freezes the first layers, up to this share of the weights' tensors, and all statistics."""
    layers = [layer for layer in classifier._flatten_layers() if layer._trainable_variables]
    for layer in layers[: int(share * len(layers))]:
        layer.trainable = False
    for layer in classifier._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def features_of(network: keras.Model, split: datasets.Split, path: pathlib.Path) -> np.ndarray:
    """Features [N, F] of a split's images, computed once."""
    if not path.exists():
        compute = tf.function(lambda x: network(x, training=False))
        batches = np.array_split(np.arange(len(split)), max(len(split) // BATCH, 1))
        rows = [compute(tf.constant(datasets.to_unit(split.read(i)[0]))).numpy() for i in batches]
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp.npy")
        np.save(temporary, np.concatenate(rows))
        temporary.rename(path)
    return np.load(path)


def fit_head(
    file: pathlib.Path, data: datasets.ImageData, output: pathlib.Path, pixels: str, frozen: float
) -> pathlib.Path:
    """Fits the new head on the frozen network's features; returns the file of the classifier."""
    path = output / "start.keras"
    if path.exists():
        return path
    classifier = with_head(models.load_classifier(file), data.num_classes)
    features = keras.Model(classifier.inputs, classifier.get_layer("head").input)
    features = models.adapt(features, models.Convention(pixels, outputs="logits")).model
    # Photographs as they are: warped copies would need features of their own.
    train = data.require("train")
    train = getattr(train, "source", train)
    x = features_of(features, train, output / "features.npy")
    head = keras.Sequential([keras.Input(x.shape[1:]), classifier.get_layer("head")])
    head.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    head.fit(x, train.read(np.arange(len(train)))[1], batch_size=32, epochs=30, verbose=0)
    freeze(classifier, frozen)
    output.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name("unfinished.keras")
    classifier.save(temporary)
    temporary.replace(path)
    return path


def train(
    start: pathlib.Path,
    data: datasets.ImageData,
    output: pathlib.Path,
    objective: str,
    **settings: Any,
) -> pathlib.Path:
    """Trains the classifier, or goes on with it; returns the file of the result."""
    preset = presets.resolve(
        data.name,
        objective,
        init_from=str(start),
        image_size=data.image_shape[:2],
        epsilon=EPSILON,
        **settings,
    )
    workdir = runs.Workdir(output / "robust")
    runs.train(preset, workdir, data)
    return workdir.model


def measure(
    file: pathlib.Path,
    data: datasets.ImageData,
    folder: pathlib.Path,
    options: argparse.Namespace,
) -> evaluation.Report:
    """Report of the accuracy of all test images and of the attack on the maps of the first."""
    return evaluation.evaluate(
        models.load_classifier(file),
        data,
        protocol=evaluation.protocol("rar", data.name, data.image_shape, epsilon=EPSILON),
        attack=options.attack,
        num_examples=options.examples,
        strong_pgd=False,
        pixels=options.pixels,
        output=folder,
        num_pictures=options.examples,
        model_info={"file": str(file)},
    )


def draw(
    files: dict[str, pathlib.Path],
    data: datasets.ImageData,
    output: pathlib.Path,
    options: argparse.Namespace,
) -> None:
    """Draws the explanation of the first test image by each classifier, attacked by itself."""
    images, _ = data.require("test").read(np.arange(1))
    protocol = evaluation.protocol("rar", data.name, data.image_shape, epsilon=EPSILON)
    for name, file in files.items():
        path = output / f"{name}.png"
        if not path.exists():
            explanation = evaluation.explain(
                models.load_classifier(file),
                images[0],
                protocol,
                options.attack,
                pixels=options.pixels,
            )
            figure = reporting.explanation_figure(
                explanation, data.class_names[explanation.row.label]
            )
            figure.savefig(path, dpi=110)


def compare(reports: dict[str, evaluation.Report]) -> str:
    """Table of the accuracies and of the headline metrics."""
    lines = ["classifier  NA    AA    IN    CO"]
    for name, report in reports.items():
        values = [
            *(report.natural_accuracy.value, report.pgd_accuracy.value),
            *(report.metrics[metric].mean for metric in ("top_k", "kendall")),
        ]
        cells = ("-   " if value is None else f"{value:.2f}" for value in values)
        lines.append(f"{name:<10}  {'  '.join(cells)}")
    return "\n".join(lines)


def run(options: argparse.Namespace, say: Callable[[str], None] = print) -> None:
    """All stages; the finished ones are read from the output folder."""
    output = pathlib.Path(options.output)
    keras.utils.set_random_seed(0)
    network = models.load_classifier(options.network)
    data = datasets.load(
        options.dataset, manual_dir=options.manual_dir, image_size=network.input_shape[1:3]
    )
    settings = {
        "pixels": None if options.pixels == "auto" else options.pixels,
        "batch_size": options.batch_size,
        "max_steps": options.steps,
        "validate_every": max(options.steps // 4, 1),
        "learning_rate": options.learning_rate,
        "weight": options.weight,
        "attack_steps": options.attack_steps,
        "ig_steps": options.ig_steps,
        "attack_ig_steps": options.attack_ig_steps,
    }
    files = {"start": fit_head(options.network, data, output, options.pixels, options.frozen)}
    measured = {"start": measure(files["start"], data, output / "eval-start", options)}
    files["robust"] = train(files["start"], data, output, options.objective, **settings)
    measured["robust"] = measure(files["robust"], data, output / "eval-robust", options)
    say(compare(measured))
    if not (output / "served" / "1").exists():
        robust = models.load_classifier(files["robust"])
        serving.export(robust, output / "served" / "1", pixels=options.pixels)
    draw(files, data, output, options)
    write_atomically(output / "table.txt", f"{compare(measured)}\n".encode())
    say(f"served: {output / 'served' / '1'}; pictures: {output}/start.png, {output}/robust.png")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", type=pathlib.Path, help="classifier of ImageNet, a .keras file")
    parser.add_argument("--dataset", default="oxford_flowers17", help="data set of the new classes")
    parser.add_argument("--manual_dir", help="folder with the data set's official files")
    parser.add_argument("--output", default="runs/pretrained", help="folder to write to")
    parser.add_argument("--pixels", default="auto", help="pixels that the network takes")
    parser.add_argument("--examples", type=int, default=16, help="images whose maps are attacked")
    parser.add_argument("--attack", default="worst_case", help="attack on maps")
    parser.add_argument("--objective", default="aat", help="objective of the robust training")
    parser.add_argument("--batch_size", type=int, default=8, help="images in a batch")
    parser.add_argument("--steps", type=int, default=600, help="steps of the robust training")
    parser.add_argument("--learning_rate", type=float, default=2e-4, help="peak learning rate")
    parser.add_argument("--weight", type=float, default=4.0, help="weight of the objective's term")
    parser.add_argument("--attack_steps", type=int, default=1, help="steps of the inner attack")
    parser.add_argument("--ig_steps", type=int, default=1, help="nodes of a map in the gradient")
    parser.add_argument("--attack_ig_steps", type=int, default=1, help="nodes in the inner attack")
    parser.add_argument(
        "--frozen", type=float, default=0.0, help="share of the first layers that stay"
    )
    run(parser.parse_args(arguments))


if __name__ == "__main__":
    main()
