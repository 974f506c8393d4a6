"""Explains the prediction of one image, and attacks the explanation.

    python -m eval.explain --model=runs/fashion_mnist/ig_norm/model.keras --image=9
    python -m eval.explain --model=mine.keras --image=photo.jpg

Draws one figure: the image, its map, the worst perturbation within the threat that keeps the
prediction, the map after it, and which of the k most important pixels are kept and lost.
"""

import math
import pathlib

import numpy as np
from absl import flags, logging

from rar_tf import datasets, evaluation, models, reporting
from rar_tf.cli import evaluated_model
from rar_tf.cli.command import FLAGS, flag_topic, start
from rar_tf.cli.settings import size

flag_topic("The image, and the figure")
flags.DEFINE_string("image", "0", "Image to explain: its number in the split, or an image file.")
flags.DEFINE_string(
    "output", "explanation.png", "Figure to write; the file's ending names the format."
)


def run() -> str:
    """Explain the image that the flags name, and draw the figure."""
    model = evaluated_model.load_model()
    from_data = FLAGS.image.isdigit()
    data: datasets.ImageData | None
    if from_data:
        data = evaluated_model.load_data(model)
        image, note = _from_data(data)
    else:
        data = _data_of_file(model)
        image, note = _from_file(model, data)
    explanation = evaluation.explain(
        model.classifier,
        image,
        evaluated_model.protocol(
            FLAGS.dataset or model.preset.get("dataset") or "other", image.shape
        ),
        FLAGS.attack,
        **model.convention,
        index=int(FLAGS.image) if from_data else 0,
        seed=FLAGS.seed,
        nodes_per_pass=size("nodes_per_pass"),
        precision=FLAGS.precision,
    )
    name = _name(explanation.row.label, model, data)
    output = pathlib.Path(FLAGS.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    reporting.explanation_figure(explanation, name).savefig(output, dpi=150)
    return f"{_line(explanation, name)}{note}; picture: {output}; next: {_next(model)}"


def _name(label: int, model: evaluated_model.Model, data: datasets.ImageData | None) -> str:
    """Name of a class: the model's where it is known, else the data set's, else its number."""
    if model.data is not None and model.data.is_named:
        return model.data.class_names[label]
    return data.class_names[label] if data else f"class {label}"


def _data_of_file(model: evaluated_model.Model) -> datasets.ImageData | None:
    """The data set of the flags, else that of the training if it is needed and can be read."""
    if FLAGS.dataset:
        return evaluated_model.load_data(model)
    has_names = model.data is not None and model.data.is_named
    if has_names or not model.preset.get("dataset"):
        return None
    try:
        return evaluated_model.load_data(model)
    except (ValueError, OSError) as error:
        logging.warning("classes stay numbers, without %s: %s", model.preset["dataset"], error)
        return None


def _from_data(data: datasets.ImageData) -> tuple[np.ndarray, str]:
    """Image of that number in the split, and a note on its label."""
    split = data.require(FLAGS.split)
    index = int(FLAGS.image)
    if index >= len(split):
        raise ValueError(
            f"--image must be in 0 .. {len(split) - 1}, the {FLAGS.split} images of {data.name}. "
            f"Received: --image={index}"
        )
    images, labels = split.read(np.array([index]))
    return images[0], f" (labelled {data.class_names[labels[0]]})"


def _from_file(
    model: evaluated_model.Model, data: datasets.ImageData | None
) -> tuple[np.ndarray, str]:
    """Image of the file in the size that the model takes, and no note."""
    known = data or model.data
    height, width, channels = known.image_shape if known else models.image_shape(model.classifier)
    if height is None or width is None or channels is None:
        raise ValueError(
            "--dataset must be given for a model that does not say the size of its images. "
            f"Received: {model.classifier.name!r}"
        )
    resize = FLAGS.resize or model.preset.get("resize") or "stretch"
    return datasets.read_image(FLAGS.image, (height, width, channels), resize), ""


def _line(explanation: evaluation.Explanation, name: str) -> str:
    row, k = explanation.row, explanation.k
    before, after = explanation.probability, explanation.probability_after
    prediction = f"{name} {100 * before:.1f}% (attacked {100 * after:.1f}%)"
    warning = ""
    if row.no_logit_gradient or row.no_map_gradient:
        warning = "; warning: a gradient that the attack follows is missing, it is too weak"
    if math.isnan(row.kendall):
        reason = "constant map" if row.constant else "no perturbed image of the same label counts"
        return f"{prediction}: no figure, {reason}{warning}"
    return (
        f"{prediction}: "
        f"{round(row.top_k * k)} of the {k} top pixels kept, Kendall {row.kendall:.4f}, "
        f"Spearman {row.spearman:.4f}, largest change of a pixel {row.perturbation:.4f}{warning}"
    )


def _next(model: evaluated_model.Model) -> str:
    return f"python -m eval.main {model.flag} --num_examples=100"


def main() -> None:
    """Run the command line."""
    start(run, __doc__)
