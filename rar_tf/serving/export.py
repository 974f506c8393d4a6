"""Export of a classifier as a SavedModel that predicts and attributes without this project."""

import dataclasses
import os
import pathlib
import shutil

import keras
import tensorflow as tf

from rar_tf.attribution import Explainer
from rar_tf.checks import check_count
from rar_tf.models import Convention, PixelFn, adapt
from rar_tf.serving import card as cards
from rar_tf.serving.endpoints import attribute, decode, in_blocks, predict

CARD, MODEL_CARD = "card.json", "MODEL_CARD.md"
EXPLAINER = Explainer(steps=50, rule="midpoint")
NODES_PER_PASS, IMAGES_PER_PASS = 25, 8


def export(
    classifier: keras.Model,
    folder: str | os.PathLike,
    *,
    explainer: Explainer = EXPLAINER,
    nodes_per_pass: int = NODES_PER_PASS,
    images_per_pass: int = IMAGES_PER_PASS,
    pixels: str | PixelFn = "auto",
    outputs: str = "auto",
    output_name: str | None = None,
    provenance: cards.Provenance | None = None,
) -> pathlib.Path:
    """Writes a SavedModel with the endpoints below, card.json and MODEL_CARD.md.

    serve            image -> logits, probabilities, class (also `serving_default`)
    attribute        image -> the same, attribution, saliency, completeness_error, valid; of the
                     predicted class, from a black baseline
    attribute_label  image, label, baseline -> the same; label -1 is the predicted class
    serve_bytes      image_bytes -> the results of serve; only for models with 1 or 3 channels
    classes          -> class_names [classes] strings; only where the names are known

    Shapes, units and results for invalid images: `endpoints.predict`, `endpoints.attribute`,
    `endpoints.decode`. The batch size is free; at most `nodes_per_pass * images_per_pass` images
    are in the network at once.

    Args:
      classifier: any Keras classifier. The endpoints take images in [0, 1] whatever pixels it
        takes, and the card names the conversion.
      folder: folder to write; for TensorFlow Serving its last part is the version number. An
        earlier export there is replaced.
      explainer: integrated gradients that `attribute` computes.
      nodes_per_pass: quadrature nodes of one image in one pass of the classifier.
      images_per_pass: images in one pass of the classifier.
      pixels: pixels that the classifier takes, see `models.Convention`.
      outputs: kind of the classifier's outputs, see `models.to_logits`.
      output_name: name of the output that classifies, of a classifier with several.
      provenance: known facts about the classifier, for the card.

    Returns:
      The folder.

    Raises:
      ValueError: a classifier without known input shape, class names of another number than its
        classes, or a folder with other files.
    """
    folder = pathlib.Path(folder)
    check_count("nodes_per_pass", nodes_per_pass)
    check_count("images_per_pass", images_per_pass)
    if explainer.method != "integrated_gradients":
        raise ValueError(
            "explainer must be of method integrated_gradients to be exported. "
            f"Received: method={explainer.method!r}"
        )
    if folder.exists() and not _is_replaceable(folder):
        raise ValueError(
            f"folder must be new, empty or an earlier export. Received: {folder}, which holds "
            "other files"
        )
    adapted = adapt(classifier, Convention(pixels, outputs, output_name))
    network, shape = adapted.model, _image_shape(adapted.model)
    _check_names(provenance, network.output_shape[-1])
    card = cards.model_card(network, adapted.conversions, provenance) | cards.endpoint_facts(
        explainer, nodes_per_pass, images_per_pass
    )
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        resize = (provenance and provenance.preset or {}).get("resize") or "stretch"
        endpoints = _Endpoints(
            network, explainer, nodes_per_pass, images_per_pass, resize, card["class_names"]
        )
        _archive(endpoints, shape, temporary)
        cards.write(card, temporary / CARD, temporary / MODEL_CARD)
        _replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


@dataclasses.dataclass(frozen=True)
class _Endpoints:
    """Functions that the SavedModel serves, see `export`."""

    network: keras.Model
    explainer: Explainer
    nodes_per_pass: int
    images_per_pass: int
    resize: str
    class_names: list[str] | None

    def classes(self) -> dict[str, tf.Tensor]:
        return {"class_names": tf.constant(self.class_names, tf.string)}

    def serve(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        # As many images in one pass as for the attribution.
        rows = self.nodes_per_pass * self.images_per_pass
        return in_blocks(lambda image: predict(self.network, image), (image,), rows)

    def attribute_label(
        self, image: tf.Tensor, label: tf.Tensor, baseline: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        def block(image: tf.Tensor, label: tf.Tensor, baseline: tf.Tensor) -> dict[str, tf.Tensor]:
            return attribute(
                self.network, image, label, baseline, self.explainer, self.nodes_per_pass
            )

        return in_blocks(block, (image, label, baseline), self.images_per_pass)

    def attribute(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        # Checked before label and baseline are made from it, so that an error names the image.
        image = tf.ensure_shape(image, image.shape)
        label = tf.fill(tf.shape(image)[:1], -1)
        baseline = tf.fill(tf.shape(image), self.explainer.baseline)
        return self.attribute_label(image, label, baseline)


def _archive(endpoints: _Endpoints, shape: tuple[int, int, int], path: pathlib.Path) -> None:
    image = tf.TensorSpec([None, *shape], tf.float32, "image")
    label = tf.TensorSpec([None], tf.int32, "label")
    baseline = tf.TensorSpec([None, *shape], tf.float32, "baseline")
    archive = keras.export.ExportArchive()
    # Endpoints track their variables; `archive.track` would store them a second time. The first
    # endpoint is also `serving_default`.
    archive.add_endpoint("serve", endpoints.serve, [image])
    archive.add_endpoint("attribute", endpoints.attribute, [image])
    archive.add_endpoint("attribute_label", endpoints.attribute_label, [image, label, baseline])
    if shape[-1] in (1, 3):
        encoded = tf.TensorSpec([None], tf.string, "image_bytes")
        archive.add_endpoint(
            "serve_bytes",
            lambda image_bytes: endpoints.serve(decode(image_bytes, shape, endpoints.resize)),
            [encoded],
        )
    if endpoints.class_names is not None:
        # A signature without inputs.
        archive.add_endpoint("classes", tf.function(endpoints.classes, input_signature=[]), [])
    archive.write_out(path, verbose=False)


def _image_shape(classifier: keras.Model) -> tuple[int, int, int]:
    shape = getattr(classifier, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or None in shape[1:]:
        raise ValueError(
            "classifier must take images [B, H, W, C] of one known shape. "
            f"Received: input_shape={shape}"
        )
    return shape[1:]


def _check_names(provenance: cards.Provenance | None, classes: int) -> None:
    names = provenance and provenance.class_names
    if names and len(names) != classes:
        raise ValueError(
            f"class names must be {classes}, as the classifier has classes. Received: "
            f"{len(names)}: {', '.join(names)}"
        )


def _is_replaceable(folder: pathlib.Path) -> bool:
    if not folder.is_dir():
        return False
    return not any(folder.iterdir()) or all(
        (folder / name).is_file() for name in ("saved_model.pb", CARD)
    )


def _replace(new: pathlib.Path, folder: pathlib.Path) -> None:
    """Replaces `folder` by `new`; a reader never sees a part of an export."""
    old = folder.with_name(f"{new.name}.old")
    if folder.exists():
        os.replace(folder, old)
    os.replace(new, folder)
    shutil.rmtree(old, ignore_errors=True)
