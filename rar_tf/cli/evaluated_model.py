"""What is measured and how: the flags that the commands of eval/ share, and what they name."""

import json
import pathlib
import shlex
from typing import NamedTuple

import keras
from absl import flags

from rar_tf import datasets, evaluation, models
from rar_tf.attribution import METHODS, Explainer
from rar_tf.cli.command import FLAGS, numbers, topic
from rar_tf.serving import zoo

topic("The model and its images")
flags.DEFINE_string("workdir", None, "Folder of a training run; its model.keras is measured.")
flags.DEFINE_string("model", None, "A .keras file, instead of --workdir.")
flags.DEFINE_string("zoo", None, "An entry of the zoo, such as fashion_mnist/ig_norm, instead.")
flags.DEFINE_enum("outputs", "auto", models.OUTPUTS, "What the model puts out.")
flags.DEFINE_string(
    "dataset",
    None,
    f"One of {', '.join((*datasets.names(), *datasets.CUSTOM))}. "
    "Default: what the workdir was trained on.",
)
flags.DEFINE_string("data_dir", None, "Where tensorflow-datasets keeps prepared data.")
flags.DEFINE_string("manual_dir", None, "Folder with the data set's official files.")
flags.DEFINE_list(
    "image_size", None, "HEIGHT,WIDTH to scale images to, or the side of a square. Default: what "
    "the workdir was trained on."
)  # fmt: skip
flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "Which images.")

topic("The measurement")
flags.DEFINE_enum("protocol", "rar", evaluation.PROTOCOLS, "Whose measurement.")
flags.DEFINE_string(
    "attack",
    "default",
    "original: as the paper; default: cheaper, as strong; strongest: a portfolio; or "
    "MODULE:FUNCTION of your own, from a protocol to a tuple of rar_tf.attack.Ifia.",
)
flags.DEFINE_enum("norm", "inf", ["inf", "2"], "Norm of the threat.")
flags.DEFINE_float("epsilon", None, "Radius in pixel units ([0, 1]); default the protocol's.")
flags.DEFINE_integer("k", None, "Of the top-k intersection; default the protocol's.")
flags.DEFINE_enum("attribution", None, METHODS, "What is attacked; default the protocol's.")
flags.DEFINE_integer("ig_steps", None, "Nodes or samples of the map; default the protocol's.")
flags.DEFINE_integer(
    "nodes_per_pass",
    10,
    "Nodes of a map in one pass of the classifier; memory grows with batch_size * nodes_per_pass.",
)
flags.DEFINE_alias("chunk", "nodes_per_pass")
flags.DEFINE_integer("seed", 0, "Of random starts.")


class Model(NamedTuple):
    """The model that the flags name.

    Attributes:
      flag: what names it again on a command line.
      file: what a report calls it.
      folder: where its evaluations lie, if not told otherwise.
      preset: of the training run whose model it is; {} where none is known.
      classifier: images -> logits or probabilities.
    """

    flag: str
    file: str
    folder: pathlib.Path
    preset: dict
    classifier: keras.Model


class Subject(NamedTuple):
    """What the flags name: the model, its images, and what is measured of them."""

    model: Model
    data: datasets.ImageData
    protocol: evaluation.Protocol


def load() -> Subject:
    """Reads the model, its preset and the data.

    Raises:
      ValueError: flags that are missing, or name what is not there.
      FileNotFoundError: no model or no data.
    """
    model = load_model()
    data = load_data(model.preset)
    return Subject(model, data, protocol(data.name, data.image_shape))


def load_data(preset: dict) -> datasets.ImageData:
    """The images that the flags name, else those that the preset was trained on.

    Raises:
      ValueError: neither names any.
    """
    name = FLAGS.dataset or preset.get("dataset")
    if name is None:
        raise ValueError(
            "--dataset must be given with a model without preset.json. Received: --dataset=None"
        )
    image_size = FLAGS.image_size and numbers(int, "image_size", FLAGS.image_size)
    return datasets.load(
        name,
        data_dir=FLAGS.data_dir,
        manual_dir=FLAGS.manual_dir,
        image_size=image_size or preset.get("image_size"),
        seed=preset.get("seed", 0),
    )


def protocol(dataset: str, image_shape: tuple[int, int, int]) -> evaluation.Protocol:
    """What the flags want measured."""
    explainer = None
    if FLAGS.attribution or FLAGS.ig_steps:
        explainer = Explainer(FLAGS.attribution or METHODS[0], FLAGS.ig_steps or 100)
    return evaluation.protocol(
        FLAGS.protocol,
        dataset,
        image_shape,
        norm=2 if FLAGS.norm == "2" else "inf",
        epsilon=FLAGS.epsilon,
        k=FLAGS.k,
        explainer=explainer,
    )


def load_model() -> Model:
    """The model to measure, and the preset that a training run left beside it.

    Raises:
      ValueError: not one of --workdir, --model and --zoo, or no model there.
      FileNotFoundError: no such file.
    """
    names = ("workdir", "model", "zoo")
    given = {name: FLAGS[name].value for name in names if FLAGS[name].value is not None}
    if len(given) != 1:
        raise ValueError(
            "one of --workdir, --model and --zoo must be given. Received: "
            + (", ".join(f"--{name}={value}" for name, value in given.items()) or "none of them")
        )
    if FLAGS.zoo is not None:
        folder = pathlib.Path("runs/zoo") / FLAGS.zoo
        preset = zoo.card(FLAGS.zoo)["preset"] or {}
        file = f"{FLAGS.zoo} of the zoo"
        return Model(f"--zoo={FLAGS.zoo}", file, folder, preset, zoo.load(FLAGS.zoo))
    path = pathlib.Path(FLAGS.model or pathlib.Path(FLAGS.workdir) / "model.keras")
    beside = path.parent / "preset.json"
    preset = json.loads(beside.read_text()) if beside.exists() else {}
    flag = f"--model={shlex.quote(str(path))}"
    return Model(flag, str(path), path.parent, preset, models.load_classifier(path))
