"""What an answer costs: latency and throughput of `serve` and `attribute`, against their floor.

    python -m benchmarks.serving --model=runs/fashion_mnist/ig_norm/model.keras

Exports the model, loads the export as a client does, and calls both endpoints one call after the
other at each batch size. The floor of `attribute` is one forward and one backward pass (by the
pixels) for each node and image, in batches of the size that the endpoint uses itself. Run it on a
machine that does nothing else.
"""

import os
import pathlib
import sys
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags, logging

from rar_tf import markdown
from rar_tf.attribution import Explainer, input_gradient, label_logit, nodes_and_weights
from rar_tf.environment import hardware, versions
from rar_tf.models import load_classifier, to_logits
from rar_tf.serving import EXPLAINER, IMAGES_PER_PASS, NODES_PER_PASS, export

FLAGS = flags.FLAGS

flags.DEFINE_string("model", None, "A .keras file.")
flags.DEFINE_list("batch_sizes", ["1", "8", "64"], "Images a call.")
flags.DEFINE_float("seconds", 10.0, "How long each line is measured, at least 20 calls.")
flags.DEFINE_integer("steps", EXPLAINER.steps, "As train.export.")
flags.DEFINE_string("rule", EXPLAINER.rule, "As train.export.")
flags.DEFINE_integer("nodes_per_pass", NODES_PER_PASS, "As train.export.")
flags.DEFINE_integer("images_per_pass", IMAGES_PER_PASS, "As train.export.")


def durations(call, seconds: float) -> np.ndarray:
    """Seconds of each of at least 20 calls, after 3 that do not count."""
    for _ in range(3):
        call()
    found: list[float] = []
    while len(found) < 20 or sum(found) < seconds:
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return np.array(found)


def floor_seconds(network, explainer: Explainer, image: tf.Tensor, seconds: float) -> float:
    """Median seconds of the passes that the nodes of these images need."""
    nodes = len(nodes_and_weights(explainer.rule, explainer.steps)[0])
    at_once = min(FLAGS.nodes_per_pass, nodes) * min(FLAGS.images_per_pass, len(image))
    points = tf.tile(image[:1], [at_once, 1, 1, 1])
    labels = tf.zeros([at_once], tf.int32)
    output = label_logit(network)
    gradient = tf.function(lambda x, y: input_gradient(output, x, y), autograph=False)
    passes = nodes * len(image) / at_once
    return passes * float(np.median(durations(lambda: gradient(points, labels).numpy(), seconds)))


def table(model: keras.Model, explainer: Explainer, batch_sizes: list[int], seconds: float) -> str:
    """The measurements as a Markdown table."""
    network, _ = to_logits(model)
    header = (
        *("endpoint", "batch", "p50 ms", "p99 ms", "images/s"),
        *("attribute / serve", "floor / serve"),
    )
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        path = export(
            model,
            pathlib.Path(folder) / "1",
            explainer=explainer,
            nodes_per_pass=FLAGS.nodes_per_pass,
            images_per_pass=FLAGS.images_per_pass,
        )
        endpoints = tf.saved_model.load(os.fspath(path)).signatures
    for size in batch_sizes:
        random = np.random.default_rng(0)
        image = tf.constant(random.random((size, *model.input_shape[1:])).astype("float32"))

        def answer(endpoint, image=image):
            return {name: value.numpy() for name, value in endpoints[endpoint](image=image).items()}

        took = {
            endpoint: durations(lambda endpoint=endpoint: answer(endpoint), seconds)
            for endpoint in ("serve", "attribute")
        }
        least = floor_seconds(network, explainer, image, seconds)
        for endpoint, times in took.items():
            p50, p99 = np.percentile(times, [50, 99])
            ratios = ("", "")
            if endpoint == "attribute":
                served = np.median(took["serve"])
                ratios = (f"{p50 / served:.1f}", f"{least / served:.1f}")
            milliseconds = (f"{1e3 * p50:.2f}", f"{1e3 * p99:.2f}")
            rate = f"{size / times.mean():.1f}"
            lines.append((endpoint, str(size), *milliseconds, rate, *ratios))
    return markdown.table(header, lines)


def main(argv):
    """Prints the table, and where and with what it was measured."""
    if len(argv) > 1 or FLAGS.model is None:
        raise app.UsageError("--model must be given, and nothing but flags")
    logging.set_verbosity(logging.WARNING)
    try:
        explainer = Explainer(steps=FLAGS.steps, rule=FLAGS.rule)
        model = load_classifier(FLAGS.model)
        print(table(model, explainer, [int(size) for size in FLAGS.batch_sizes], FLAGS.seconds))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"\n{model.name}, {explainer}\n{hardware()}\n{versions()}")


if __name__ == "__main__":
    app.run(main)
