"""Exports a classifier with its explanations, for TensorFlow Serving.

    python -m train.export --model=runs/fashion_mnist/ig_norm/model.keras --output=served/1

The output is a SavedModel (`serve`, `attribute`, `attribute_label`, `serve_bytes`) that needs no
code of this project, with MODEL_CARD.md and card.json; see docs/serving.md.
"""

import pathlib
import shlex

from absl import flags

from rar_tf.attribution import RULES, Explainer
from rar_tf.cli.command import FLAGS, hush, say, start, topic
from rar_tf.models import OUTPUTS, load_classifier
from rar_tf.serving import (
    EXPLAINER,
    IMAGES_PER_PASS,
    NODES_PER_PASS,
    Provenance,
    export,
    export_onnx,
    write_warmup,
)

topic("What to export")
flags.DEFINE_string("model", None, "A .keras file; what lies beside it goes into the card.")
flags.DEFINE_string("output", None, "Folder to write; its last part is the version, a number.")
flags.DEFINE_string("report", None, "A report.json of eval.main, for the card.")
flags.DEFINE_enum("outputs", "auto", OUTPUTS, "What the model puts out.")

topic("The explanation")
flags.DEFINE_integer("steps", EXPLAINER.steps, "Intervals of the integrated gradients.")
flags.DEFINE_enum("rule", EXPLAINER.rule, RULES, "Their quadrature.")
flags.DEFINE_integer(
    "nodes_per_pass", NODES_PER_PASS, "Nodes of one image in one pass of the classifier."
)
flags.DEFINE_integer("images_per_pass", IMAGES_PER_PASS, "Images in one pass of the classifier.")
flags.DEFINE_alias("chunk", "nodes_per_pass")
flags.DEFINE_alias("block", "images_per_pass")

topic("Beside it")
flags.DEFINE_bool("warmup", False, "Also write requests for the server's start.")
flags.DEFINE_string("onnx", None, "Also write the logits to this .onnx file.")


def run() -> str:
    """One library call for each thing to write."""
    for name in ("model", "output"):
        if FLAGS[name].value is None:
            raise ValueError(f"--{name} must be given. Received: --{name}=None")
    hush()
    classifier = load_classifier(FLAGS.model)
    folder = export(
        classifier,
        FLAGS.output,
        explainer=Explainer(steps=FLAGS.steps, rule=FLAGS.rule),
        nodes_per_pass=FLAGS.nodes_per_pass,
        images_per_pass=FLAGS.images_per_pass,
        outputs=FLAGS.outputs,
        provenance=Provenance.of(pathlib.Path(FLAGS.model), FLAGS.report),
    )
    if FLAGS.warmup:
        say(f"warm-up: {write_warmup(folder)}")
    if FLAGS.onnx:
        say(f"onnx: {export_onnx(classifier, FLAGS.onnx, outputs=FLAGS.outputs)}")
    return f"export: {folder}; next: {serving_command(folder)}"


def serving_command(folder: pathlib.Path) -> str:
    """What serves an export by TensorFlow Serving in Docker."""
    versions = folder.resolve().parent
    name = versions.name
    return (
        f"docker run --rm -p 8501:8501 -v {shlex.quote(f'{versions}:/models/{name}')} "
        f"-e MODEL_NAME={shlex.quote(name)} tensorflow/serving"
    )


def main() -> None:
    """Run the command line."""
    start(run, __doc__)
