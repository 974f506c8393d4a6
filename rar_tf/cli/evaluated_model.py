"""Flags that the evaluation commands share: the model, its images and the measurement."""

import json
import pathlib
import shlex
from typing import Any, NamedTuple

import keras
from absl import flags, logging

from rar_tf import datasets, evaluation, models
from rar_tf.attribution import METHODS, Explainer
from rar_tf.cli.command import FLAGS, flag_topic, parse_numbers
from rar_tf.cli.model_flags import convention, define_model_flags, import_custom_code
from rar_tf.cli.settings import define_size
from rar_tf.datasets.pixels import RESIZES
from rar_tf.datasets.record import trained_images
from rar_tf.naming import find
from rar_tf.runs import record_of_model
from rar_tf.serving import zoo

flag_topic("The model and its images")
flags.DEFINE_string("workdir", None, "Folder of a training run whose model.keras is measured.")
flags.DEFINE_string("model", None, "Model to measure, a .keras or .h5 file.")
flags.DEFINE_string("zoo", None, "Zoo entry to measure, such as fashion_mnist/ig_norm.")
define_model_flags()
flags.DEFINE_string(
    "dataset",
    None,
    f"Data set to measure on. One of {', '.join((*datasets.names(), *datasets.CUSTOM))}. "
    "Default: that of the training run.",
)
flags.DEFINE_string("data_dir", None, "Folder where tensorflow-datasets keeps prepared data.")
flags.DEFINE_string("manual_dir", None, "Folder with the data set's official files.")
flags.DEFINE_list(
    "image_size", None, "Size to scale images to: HEIGHT,WIDTH or the side of a square. Default: "
    "that of the training run."
)  # fmt: skip
flags.DEFINE_enum(
    "resize", None, RESIZES, "Way of scaling images. Default: that of the training run."
)
flags.DEFINE_integer(
    "channels",
    None,
    "Channels of custom images: 1 for gray, 3 for RGB. Default: those of the training run.",
)
flags.DEFINE_list(
    "classes",
    None,
    "Class names of custom data in the order that numbers them, or a .txt file of them. Default: "
    "those of the training run.",
)
flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "Split of the data set.")

flag_topic("The measurement")
flags.DEFINE_enum("protocol", "rar", evaluation.PROTOCOLS, "Paper whose measurement is made.")
flags.DEFINE_string(
    "attack",
    "worst_case",
    "Attack on maps. worst_case: for each metric the worst of gradient and gradient-free searches; "
    "original: the paper's; quick: a cheap one; or a custom MODULE:FUNCTION, from a protocol to a "
    "rar_tf.attack.MapAttack or a tuple of its searches.",
)
flags.DEFINE_enum("norm", "inf", ["inf", "2"], "Norm of the threat.")
flags.DEFINE_float(
    "epsilon", None, "Radius of the threat in pixel units ([0, 1]). Default: the protocol's."
)
flags.DEFINE_integer(
    "k", None, "Number of pixels of the top-k intersection. Default: the protocol's."
)
flags.DEFINE_string(
    "attribution",
    None,
    f"Attribution method of the measured map. One of {', '.join(METHODS)}, or a custom "
    "MODULE:FUNCTION from the classifier, images and classes to maps. Default: the protocol's.",
)
flags.DEFINE_string(
    "attribution_layer",
    None,
    "Layer of the map grad_cam. Default: the last one before pooling and flattening.",
)
flags.DEFINE_integer(
    "ig_steps", None, "Number of nodes or samples of the map. Default: the protocol's."
)
define_size(
    "nodes_per_pass",
    "Nodes of a map in one pass of the classifier, or auto: 10, or as many as the free memory "
    "holds; memory grows with batch_size * nodes_per_pass.",
)
flags.DEFINE_alias("chunk", "nodes_per_pass")
flags.DEFINE_enum(
    "precision",
    models.AUTO,
    [models.AUTO, *models.PRECISIONS],
    "Precision of the searches; the measured maps are computed in float32. auto: bfloat16 in a "
    "named attack's coarse maps where a trial shows that it works and is faster.",
)
flags.DEFINE_integer("seed", 0, "Seed for random starts.")


class Model(NamedTuple):
    """The model that the flags name.

    Attributes:
      flag: flag that names the model on a command line.
      file: name of the model in a report.
      folder: default folder of its evaluations.
      preset: flat preset of the training run; {} where none is known.
      classifier: the classifier as it is in the file.
      convention: pixels, outputs and output_name, as arguments of `evaluate`.
      data: record of the training data; None where none is known.
    """

    flag: str
    file: str
    folder: pathlib.Path
    preset: dict[str, Any]
    classifier: keras.Model
    convention: dict[str, Any]
    data: datasets.DataRecord | None

    @property
    def info(self) -> dict[str, Any]:
        """Facts on the model for a report."""
        data = self.data and self.data.describe()
        return {"file": self.file, "preset": self.preset or None, "training_data": data}


class Evaluation(NamedTuple):
    """An evaluation that the flags name: the model, its images and the measurement."""

    model: Model
    data: datasets.ImageData
    protocol: evaluation.Protocol


def load() -> Evaluation:
    """Read the model, its preset and the data.

    Raises:
      ValueError: flags that are missing or wrong.
      FileNotFoundError: no model or no data.
    """
    model = load_model()
    data = load_data(model)
    _check_not_trained(model, data)
    return Evaluation(model, data, protocol(data.name, data.image_shape))


def load_data(model: Model) -> datasets.ImageData:
    """Read the images that the flags name, else those that the model was trained on.

    Their classes are those of the model, matched by name, where these are known.

    Raises:
      ValueError: neither names any, or there is a class that the model has not.
    """
    preset = model.preset
    name = FLAGS.dataset or preset.get("dataset")
    if name is None:
        raise ValueError(
            "--dataset must be given with a model without preset.json. Received: --dataset=None"
        )
    image_size = FLAGS.image_size and parse_numbers(int, "image_size", FLAGS.image_size)
    is_custom = name not in datasets.names()
    data = datasets.load(
        name,
        data_dir=FLAGS.data_dir,
        manual_dir=FLAGS.manual_dir,
        seed=preset.get("seed", 0),
        **_form(model, name, image_size),
    )
    if model.data is not None:
        return datasets.match_classes(data, model.data)
    if is_custom:
        logging.info("%s does not name its classes: those of %s are taken", model.file, data.name)
    return data


def _form(model: Model, name: str, image_size: tuple[int, ...] | None) -> dict[str, Any]:
    """Arguments of `datasets.load` on the images: flags, else those of training, else the model's.

    Only files of images are scaled to the model's size without being asked.
    """
    preset = model.preset
    form: dict[str, Any] = {"image_size": image_size or preset.get("image_size")}
    if name.startswith(("folder:", "csv:")):
        height, width, channels = models.image_shape(model.classifier)
        if None not in (height, width):
            form["image_size"] = form["image_size"] or (height, width)
        form["channels"] = channels if channels in (1, 3) else None
    for key in ("resize", "channels", "classes"):
        trained = preset.get(key) if name not in datasets.names() else None
        if key == "classes" and name != preset.get("dataset"):
            trained = None  # Another data set's are matched by name.
        form[key] = FLAGS[key].value or trained or form.get(key)
    return form


def _check_not_trained(model: Model, data: datasets.ImageData) -> None:
    """Raises ValueError if images of the split were training images when the model was trained."""
    if model.data is None or FLAGS.split == "train":
        return
    record = datasets.DataRecord.of(data)
    if numbers := trained_images(model.data, record, FLAGS.split):
        split = record.splits[FLAGS.split]
        raise ValueError(
            f"{FLAGS.split} images of {data.name} must not be training images of the model. "
            f"Received: {len(numbers):,} of {split.count:,} that are, such as "
            f"{split.file(numbers[0])}; the data have changed since the training: restore them, or "
            "take these images out of the split"
        )


def protocol(dataset: str, image_shape: tuple[int, int, int]) -> evaluation.Protocol:
    """The protocol that the flags describe."""
    explainer = None
    if FLAGS.attribution or FLAGS.attribution_layer or FLAGS.ig_steps:
        name = FLAGS.attribution or METHODS[0]
        method = find("attribution", name, {method: method for method in METHODS})
        explainer = Explainer(method, FLAGS.ig_steps or 100, layer=FLAGS.attribution_layer)
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
    """Read the model to measure, and the preset beside it.

    Raises:
      ValueError: not one of --workdir, --model and --zoo, or the file is no model.
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
        card = zoo.card(FLAGS.zoo)
        class_names, name = card.get("class_names"), f"{FLAGS.zoo} of the zoo"
        data = None
        if class_names:
            data = datasets.DataRecord(tuple(class_names), tuple(card["image_shape"]), {})
        preset, flag = card["preset"] or {}, f"--zoo={FLAGS.zoo}"
        return Model(flag, name, folder, preset, zoo.load(FLAGS.zoo), convention({}), data)
    path = pathlib.Path(FLAGS.model or pathlib.Path(FLAGS.workdir) / "model.keras")
    file = path.parent / "preset.json"
    preset = json.loads(file.read_text()) if file.exists() else {}
    flag = f"--model={shlex.quote(str(path))}"
    reading = convention(preset)
    import_custom_code(preset)
    classifier = models.load_classifier(path)
    return Model(flag, str(path), path.parent, preset, classifier, reading, record_of_model(path))
