"""Explains one image, and shows how far its explanation can be pushed.

    python -m eval.explain --model=runs/fashion_mnist/ig_norm/model.keras --image=9
    python -m eval.explain --model=mine.keras --image=photo.jpg

Draws one picture: the image, its map, the worst perturbation found within the threat that leaves
the prediction, the map there, and which of the k most important pixels are kept and lost.
"""

import pathlib

from absl import flags, logging

from rar_tf import datasets, evaluation, reporting
from rar_tf.cli import evaluated_model as subject
from rar_tf.cli.command import FLAGS, start, topic

topic("The image, and the picture")
flags.DEFINE_string("image", "0", "Number of an image of the data set, or a PNG or JPEG file.")
flags.DEFINE_string(
    "output", "explanation.png", "AttackedExample to write; its ending names the format."
)


def run() -> str:
    """One library call between reading flags and drawing."""
    model = subject.load_model()
    data = _data(model.preset)
    from_data = FLAGS.image.isdigit()
    image, note = _from_data(data) if from_data else _from_file(model.classifier, data)
    found = evaluation.explain(
        model.classifier,
        image,
        subject.protocol(FLAGS.dataset or model.preset.get("dataset") or "other", image.shape),
        FLAGS.attack,
        outputs=FLAGS.outputs,
        index=int(FLAGS.image) if from_data else 0,
        seed=FLAGS.seed,
        nodes_per_pass=FLAGS.nodes_per_pass,
    )
    name = data.class_names[found.row.label] if data else f"class {found.row.label}"
    output = pathlib.Path(FLAGS.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    reporting.explanation_figure(found, name).savefig(output, dpi=150)
    return f"{_line(found, name)}{note}; picture: {output}; next: {_next(model)}"


def _data(preset):
    """What the flags name; for a file also what its model was trained on, if that is at hand."""
    if FLAGS.image.isdigit() or FLAGS.dataset:
        return subject.load_data(preset)
    if not preset.get("dataset"):
        return None
    try:
        return subject.load_data(preset)
    except (ValueError, OSError) as error:
        logging.warning("classes stay numbers, without %s: %s", preset["dataset"], error)
        return None


def _from_data(data):
    split = data.require(FLAGS.split)
    index = int(FLAGS.image)
    if index >= len(split):
        raise ValueError(
            f"--image must be in 0 .. {len(split) - 1}, the {FLAGS.split} images of {data.name}. "
            f"Received: --image={index}"
        )
    images, labels = split.read([index])
    return images[0], f" (labelled {data.class_names[labels[0]]})"


def _from_file(classifier, data):
    shape = getattr(classifier, "input_shape", None)
    if data is not None:
        shape = (None, *data.image_shape)
    if not isinstance(shape, tuple) or len(shape) != 4 or None in shape[1:]:
        raise ValueError(
            "--dataset must be given for a model that does not say the size of its images. "
            f"Received: a model of input shape {shape}"
        )
    return datasets.read_image(FLAGS.image, shape[1:]), ""


def _line(found, name):
    row = found.row
    kept = round(row.top_k * found.k) if row.top_k == row.top_k else "?"
    return (
        f"{name} {100 * found.probability:.1f}% (attacked {100 * found.probability_after:.1f}%): "
        f"{kept} of the {found.k} top pixels kept, Kendall {row.kendall:.4f}, "
        f"Spearman {row.spearman:.4f}, largest change of a pixel {row.perturbation:.4f}"
    )


def _next(model):
    return f"python -m eval.main {model.flag} --num_examples=100"


def main() -> None:
    """Run the command line."""
    start(run, __doc__)
