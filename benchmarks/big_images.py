"""Time and memory of an evaluation of large images, against those of the bare network.

    python -m benchmarks.big_images --network=mobilenet_v2 --num_examples=2

The network is one of `keras.applications` with random weights, or a `.keras` file. Prints, for the
attack on maps: seconds an image without tracing; the number of forward and backward passes of one
image, where the gradient of a map counts as two; the time of such a pass of the bare network, in
batches of as many images; their ratio; seconds of tracing; the times that the plan expected; peak
memory of this process. Then bytes of a pass by the plan, and by batches of two sizes.
"""

import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from rar_tf import evaluation, memory, models
from rar_tf.attack import MapAttack
from rar_tf.environment import hardware, versions
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.expected_time import passes
from rar_tf.evaluation.logits import logits_of
from rar_tf.evaluation.map_robustness import attack_maps
from rar_tf.evaluation.plan import plan
from rar_tf.evaluation.precision import with_precision
from rar_tf.evaluation.traced import gradient_check

NETWORKS = {"mobilenet_v2": "MobileNetV2", "resnet50": "ResNet50"}
FLAGS = flags.FLAGS
flags.DEFINE_string("network", "mobilenet_v2", f"One of {', '.join(NETWORKS)}, or a .keras file.")
flags.DEFINE_integer("side", 224, "Side of the images, of a network of keras.applications.")
flags.DEFINE_integer("num_examples", 2, "Images; the first batch traces and is not timed.")
flags.DEFINE_string("attack", "worst_case", "Attack on maps.")


def network() -> keras.Model:
    """The network; random ones with statistics of noise, so that they tell images apart."""
    if FLAGS.network not in NETWORKS:
        return models.load_classifier(FLAGS.network)
    keras.utils.set_random_seed(0)
    make = getattr(keras.applications, NETWORKS[FLAGS.network])
    model = make(weights=None, classes=10, input_shape=(FLAGS.side, FLAGS.side, 3))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(tf.random.stateless_uniform([8, FLAGS.side, FLAGS.side, 3], seed=(0, 1)), training=True)
    return model


def bare_seconds(model: keras.Model, batch: int) -> float:
    """Seconds of a forward and a backward pass of one image, in batches of this size."""

    @tf.function(autograph=False)
    def gradient(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            value = tf.reduce_max(model(x, training=False), -1)
        return tape.gradient(value, x)

    x = tf.random.stateless_uniform([batch, *model.input_shape[1:]], seed=(0, 2))
    times = []
    for _ in range(6):
        started = time.perf_counter()
        gradient(x).numpy()
        times.append((time.perf_counter() - started) / batch)
    return float(np.median(times[1:]))


def count(attack: MapAttack, protocol: evaluation.Protocol, nodes: int | None) -> float:
    """Forward and backward passes of one image: those of the searches and of the measured maps."""
    pairs = [passes(search, nodes) for search in (*attack.searches, *attack.refinements)]
    measured = 1 + sum(search.num_points for search in attack.searches)
    ranked = 0.0
    if attack.ranking is not None:
        ranked = (measured - 1) * attack.ranking.explainer.steps
        measured = 1 + sum(n for _, n in attack.ranking.keep) + len(attack.refinements)
    return sum(a + 2 * b for a, b in pairs) + ranked + measured * protocol.explainer.steps


def main(argv: list[str]) -> None:
    """Measures and prints the table."""
    del argv
    model = network()
    shape = model.input_shape[1:]
    x = tf.random.stateless_uniform([FLAGS.num_examples, *shape], seed=(0, 0)).numpy()
    images = EvaluationSet((x, model.predict(x, verbose=0).argmax(-1).astype("int32")))
    logits = logits_of(model, images).model
    protocol = evaluation.protocol("rar", "other", shape)
    attack = with_precision(
        protocol.attack(FLAGS.attack), logits, "auto", is_named=True, image_shape=shape
    )
    check = gradient_check(logits, images, attack)
    chosen = plan(logits, images, protocol, attack, check)
    started, ends = time.perf_counter(), []
    with memory.peak_bytes() as peak:
        for _ in attack_maps(
            logits, images, np.arange(FLAGS.num_examples), protocol, attack, batch_size=1,
            nodes_per_pass=chosen.nodes_per_pass, check=check,
        ):  # fmt: skip
            ends.append(time.perf_counter() - started)
    seconds = (ends[-1] - ends[0]) / max(len(ends) - 1, 1)
    number = count(attack, protocol, chosen.nodes_per_pass)
    bare = bare_seconds(model, chosen.nodes_per_pass or 10)
    for name, value in (
        ("images in a batch, nodes in a pass", f"{chosen.batch_size}, {chosen.nodes_per_pass}"),
        ("precision of the searches", attack.searches[0].precision),
        ("seconds an image", f"{seconds:.1f}, expected {chosen.seconds:.1f}"),
        ("seconds of tracing", f"{ends[0] - seconds:.0f}, expected {chosen.trace_seconds:.0f}"),
        ("passes of an image", f"{number:.0f}"),
        ("bare pass", f"{1000 * bare:.1f} ms"),
        ("ratio", f"{seconds / (number * bare):.2f}"),
        ("peak memory", memory.text(peak[0])),
    ):
        print(f"{name:<36} {value}")
    print(f"{hardware()}\n{versions()}")


if __name__ == "__main__":
    app.run(main)
