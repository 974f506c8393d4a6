"""Exports a classifier with its attributions, for TensorFlow Serving.

    python -m train.export --model=runs/fashion_mnist/ig_norm/model.keras --output=served/1

The output is a SavedModel (`serve`, `attribute`, `attribute_label`, `serve_bytes`) that does not
need rar_tf, with MODEL_CARD.md and card.json; see docs/serving.md.
"""

import json
import pathlib
import shlex

from absl import flags

from rar_tf.attribution import RULES, Explainer
from rar_tf.cli.command import FLAGS, flag_topic, print_unless_quiet, quiet_tensorflow, start
from rar_tf.cli.model_flags import convention, define_model_flags, import_custom_code
from rar_tf.models import load_classifier
from rar_tf.serving import (
    EXPLAINER,
    IMAGES_PER_PASS,
    NODES_PER_PASS,
    Provenance,
    export,
    export_onnx,
    write_warmup,
)

flag_topic("Model and output")
flags.DEFINE_string(
    "model",
    None,
    "Classifier to export, a .keras or .h5 file; the card also describes the files of its run.",
)
flags.DEFINE_string(
    "output", None, "Folder to write the export to; its last part is the version number."
)
flags.DEFINE_string(
    "report", None, "Evaluation that the card describes, a report.json of eval.main."
)
define_model_flags()

flag_topic("Attribution")
flags.DEFINE_integer("steps", EXPLAINER.steps, "Quadrature intervals of the integrated gradients.")
flags.DEFINE_enum("rule", EXPLAINER.rule, RULES, "Quadrature rule of the integrated gradients.")
flags.DEFINE_integer(
    "nodes_per_pass", NODES_PER_PASS, "Quadrature nodes of one image in one pass of the classifier."
)
flags.DEFINE_integer("images_per_pass", IMAGES_PER_PASS, "Images in one pass of the classifier.")
flags.DEFINE_alias("chunk", "nodes_per_pass")
flags.DEFINE_alias("block", "images_per_pass")

flag_topic("Further output")
flags.DEFINE_bool("warmup", False, "Also write warm-up requests for TensorFlow Serving.")
flags.DEFINE_string("onnx", None, "File to also write the classifier's logits to, as ONNX.")


def run() -> str:
    """Exports the classifier that the flags name; returns the closing line."""
    for name in ("model", "output"):
        if FLAGS[name].value is None:
            raise ValueError(f"--{name} must be given. Received: --{name}=None")
    quiet_tensorflow()
    provenance = Provenance.of(pathlib.Path(FLAGS.model), FLAGS.report)
    reading = convention(provenance.preset or {})
    import_custom_code(provenance.preset or {})
    classifier = load_classifier(FLAGS.model)
    folder = export(
        classifier,
        FLAGS.output,
        explainer=Explainer(steps=FLAGS.steps, rule=FLAGS.rule),
        nodes_per_pass=FLAGS.nodes_per_pass,
        images_per_pass=FLAGS.images_per_pass,
        **reading,
        provenance=provenance,
    )
    print_conversions(folder)
    if FLAGS.warmup:
        print_unless_quiet(f"warm-up: {write_warmup(folder)}")
    if FLAGS.onnx:
        print_unless_quiet(f"onnx: {export_onnx(classifier, FLAGS.onnx, **reading)}")
    return f"export: {folder}; next: {serving_command(folder)}"


def print_conversions(folder: pathlib.Path) -> None:
    """Prints what an export does besides what its classifier does."""
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    if descriptions := card["input_convention"]["descriptions"]:
        print_unless_quiet(
            f"images in [0, 1] are converted for the model: {'; '.join(descriptions)}"
        )


def serving_command(folder: pathlib.Path) -> str:
    """Command that serves an export by TensorFlow Serving in Docker."""
    versions = folder.resolve().parent
    name = versions.name
    return (
        f"docker run --rm -p 8501:8501 -v {shlex.quote(f'{versions}:/models/{name}')} "
        f"-e MODEL_NAME={shlex.quote(name)} tensorflow/serving"
    )


def main() -> None:
    """Run the command line."""
    start(run, __doc__)
