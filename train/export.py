"""Exports a classifier with its explanations, for TensorFlow Serving.

    python -m train.export --model=runs/fashion_mnist/ig_norm/model.keras --output=served/1

The output is a SavedModel (`serve`, `attribute`, `attribute_label`, `serve_bytes`) that needs no
code of this project, with MODEL_CARD.md and card.json; see docs/serving.md.
"""

import pathlib
import sys

from absl import app, flags, logging

from rar_tf.attribution import RULES
from rar_tf.models import OUTPUTS, load_classifier
from rar_tf.serving import Explainer, Provenance, export, export_onnx, write_warmup

FLAGS = flags.FLAGS
_DEFAULT = Explainer()

flags.DEFINE_string("model", None, "A .keras file; what lies beside it goes into the card.")
flags.DEFINE_string("output", None, "Folder to write; its last part is the version, a number.")
flags.DEFINE_string("report", None, "A report.json of eval.main, for the card.")
flags.DEFINE_enum("outputs", "auto", OUTPUTS, "What the model puts out.")
flags.DEFINE_integer("steps", _DEFAULT.steps, "Intervals of the integrated gradients.")
flags.DEFINE_enum("rule", _DEFAULT.rule, RULES, "Their quadrature.")
flags.DEFINE_integer("chunk", _DEFAULT.chunk, "Nodes in memory at once.")
flags.DEFINE_integer("block", _DEFAULT.block, "Images in memory at once.")
flags.DEFINE_bool("warmup", False, "Also write requests for the server's start.")
flags.DEFINE_string("onnx", None, "Also write the logits to this .onnx file.")


def run() -> None:
    """One library call for each thing to write."""
    for name in ("model", "output"):
        if FLAGS[name].value is None:
            raise ValueError(f"--{name} must be given. Received: --{name}=None")
    classifier = load_classifier(FLAGS.model)
    folder = export(
        classifier,
        FLAGS.output,
        explainer=Explainer(FLAGS.steps, FLAGS.rule, FLAGS.chunk, FLAGS.block),
        outputs=FLAGS.outputs,
        provenance=Provenance.of(pathlib.Path(FLAGS.model), FLAGS.report),
    )
    if FLAGS.warmup:
        print(f"warm-up: {write_warmup(folder)}")
    if FLAGS.onnx:
        print(f"onnx: {export_onnx(classifier, FLAGS.onnx, outputs=FLAGS.outputs)}")
    print(f"export: {folder}")


def main(argv):
    """Exit status 0 only on success."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.WARNING)  # what TensorFlow tells of its own steps
    try:
        run()
    except (ValueError, ImportError, OSError) as error:
        logging.debug("details", exc_info=True)
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
