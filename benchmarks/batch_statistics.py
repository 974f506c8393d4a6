"""Which statistics of BatchNormalization in training? Accuracy and objective on validation images.

    python -m benchmarks.batch_statistics --rows=aat:moving_09,aat:frozen,aat:moving_09:scratch

Trains a small CNN with BatchNormalization (momentum 0.99) by each objective's fast preset, but by
Adam at a constant 1e-3 and batches of 64, from one natural model of 800 steps or from scratch. A
row is OBJECTIVE[=WEIGHT]:STATISTICS[:scratch]; the statistics are

  moving_099  the loss by the batch, attacks and attributions by moving ones of momentum 0.99;
  moving_09   the same with momentum 0.9;
  frozen      the natural model's in every pass;
  batch       those of the unperturbed batch in every pass.

Each model is measured with the statistics that it has ("own") and with those estimated over
training images (`PopulationStatistics`). Rows are appended to --output.
"""

import csv
import pathlib

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from keras import layers

from rar_tf import datasets
from rar_tf.datasets import Split, ordered_batches, training_batches
from rar_tf.models import batch_statistics
from rar_tf.objective import Batch
from rar_tf.presets import Preset, resolve
from rar_tf.training import PopulationStatistics, RobustModel

FLAGS = flags.FLAGS
flags.DEFINE_list("rows", [], "OBJECTIVE[=WEIGHT]:STATISTICS[:scratch], ...")
flags.DEFINE_string("root", "runs/batch_statistics", "Folder of the natural model.")
flags.DEFINE_string("output", "results/batch_statistics.csv", "Table that rows are appended to.")
flags.DEFINE_string("manual_dir", None, "Folder with the data set's official files.")
flags.DEFINE_integer("steps", 200, "Steps of each training; validated every 50.")

_HEADER = (
    *("objective", "weight", "start", "statistics", "NA at start", "lowest NA, own"),
    *("population", "NA at end, own", "population", "objective, own", "population"),
    *("term, own", "population"),
)
_BATCH_SIZE, _EVERY = 64, 50


class _BatchInEveryPass(RobustModel):
    """The attack, too, by the statistics of the unperturbed batch."""

    def find_adversary(self, batch: Batch) -> tf.Tensor:
        self._networks()[0](batch.image, training=True)
        return super().find_adversary(batch)


def cnn() -> keras.Model:
    """Three convolutions and a dense layer, each with BatchNormalization."""
    keras.utils.set_random_seed(0)
    image = h = keras.Input((28, 28, 1))
    for channels in (16, 32, 64):
        h = layers.Conv2D(channels, 3, padding="same", use_bias=False)(h)
        h = layers.ReLU()(layers.BatchNormalization()(h))
        h = layers.MaxPooling2D(2)(h)
    h = layers.Dense(64, use_bias=False)(layers.Flatten()(h))
    h = layers.ReLU()(layers.BatchNormalization()(h))
    return keras.Model(image, layers.Dense(10)(h))


def natural_model(data: datasets.ImageData, path: pathlib.Path) -> keras.Model:
    """The natural model, trained with Keras's own momentum."""
    if not path.exists():
        model = robust(cnn(), resolve("fashion_mnist", "natural"), "moving_099")
        batches = training_batches(data.require("train"), batch_size=64, seed=0, steps=800)
        model.fit(batches, verbose=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        model.classifier.save(path)
    return keras.models.load_model(path)


def robust(classifier: keras.Model, preset: Preset, statistics: str) -> RobustModel:
    """The model of a row."""
    momenta = {"moving_099": 0.99, "moving_09": 0.9, "batch": 0.0}
    kind = _BatchInEveryPass if statistics == "batch" else RobustModel
    before = batch_statistics._MAX_MOMENTUM
    batch_statistics._MAX_MOMENTUM = momenta.get(statistics, before)
    model = kind(
        classifier,
        preset.objective.build(),
        preset.build_attack(),
        batch_statistics="frozen" if statistics == "frozen" else "moving",
    )
    batch_statistics._MAX_MOMENTUM = before
    model.compile(keras.optimizers.Adam(1e-3))
    return model


def values(classifier: keras.Model, preset: Preset, images: tf.data.Dataset) -> np.ndarray:
    """Mean [objective, term] by the objective's own attack."""
    model = RobustModel(classifier, preset.objective.build(), preset.build_attack(), seed=1)
    model.compile("sgd")  # Never stepped: its count of 0 is part of the starts' key.

    @tf.function(reduce_retracing=True)
    def value(x, y):
        batch = Batch(x, y)
        result = model.objective(classifier, batch, model.find_adversary(batch))
        return tf.stack([result.total, result.term])

    return np.concatenate([value(x, y) for x, y in images], 1).mean(1)


def row_of(text: str, data: datasets.ImageData) -> list[str]:
    """Trains and measures one row."""
    objective, statistics, *start = text.split(":")
    objective, _, weight = objective.partition("=")
    preset = resolve("fashion_mnist", objective)
    if weight:
        preset = preset.replace(weight=float(weight))
    path = pathlib.Path(FLAGS.root, "natural.keras")
    classifier = cnn() if start else natural_model(data, path)
    model = robust(classifier, preset, statistics)
    train, held_out = data.require("train"), data.require("validation")
    population = PopulationStatistics(
        classifier, training_batches(train, batch_size=128, seed=2, steps=8)
    )
    images, labels = held_out.read(np.arange(1000))
    batches = ordered_batches(Split(images, labels), 128)

    def accuracy() -> float:
        logits = classifier.predict(batches.map(lambda x, y: x), verbose=0)
        return float(np.mean(np.argmax(logits, -1) == labels))

    accuracies = []
    step = tf.function(model.train_step)
    stream = training_batches(train, batch_size=_BATCH_SIZE, seed=1, steps=FLAGS.steps)
    for i, batch in enumerate([None, *stream]):
        if batch is not None:
            step(batch)
        if i % _EVERY == 0:
            own = accuracy()
            with population.applied():
                accuracies.append((own, accuracy()))
    few = ordered_batches(Split(images[:256], labels[:256]), 128)
    own = values(classifier, preset, few)
    with population.applied():
        estimated = values(classifier, preset, few)
    lowest = np.min(accuracies[1:], 0)
    shown = [accuracies[0][0], *lowest, *accuracies[-1], own[0], estimated[0], own[1], estimated[1]]
    used = preset.to_flat().get("weight", "")
    return [f"`{objective}`", str(used), "scratch" if start else "natural", statistics] + [
        f"{value:.3f}" for value in shown
    ]


def main(argv):
    """Measures the rows and appends them."""
    del argv
    data = datasets.load("fashion_mnist", manual_dir=FLAGS.manual_dir)
    path = pathlib.Path(FLAGS.output)
    for text in FLAGS.rows:
        row = row_of(text, data)
        is_new = not path.exists()
        with open(path, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([_HEADER, row] if is_new else [row])
        print(", ".join(row), flush=True)


if __name__ == "__main__":
    app.run(main)
