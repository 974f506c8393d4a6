"""Trained classifiers by name: small weights and a card each, architectures from code."""

import json
import os
import pathlib
from typing import Any

import keras
import numpy as np

from rar_tf.files import read_npz
from rar_tf.models import build
from rar_tf.naming import check_name
from rar_tf.serving import card as cards

# Beside the package in a checkout; a wheel does not contain it.
_CHECKOUT = pathlib.Path(__file__).resolve().parents[2] / "zoo"
_WEIGHTS, _CARD, _TEXT = "weights.npz", "card.json", "MODEL_CARD.md"
_DAMAGE = (OSError, ValueError, KeyError, TypeError)


def names(root: str | os.PathLike | None = None) -> tuple[str, ...]:
    """Names of the entries, such as `fashion_mnist/ig_norm`."""
    folder = _CHECKOUT if root is None else pathlib.Path(root)
    return tuple(sorted(str(path.parent.relative_to(folder)) for path in folder.rglob(_WEIGHTS)))


def load(name: str, *, root: str | os.PathLike | None = None) -> keras.Model:
    """A trained classifier, images [B, H, W, C] in [0, 1] -> logits.

    Weights are kept as float16, which moves each by at most 2^-11 of itself (2^-25 below
    2^-14), and used as float32.

    Args:
      name: DATASET/OBJECTIVE, one of `names(root)`.
      root: the zoo's folder; None for that of the checkout.

    Raises:
      ValueError: no such entry, or files that do not fit each other.
    """
    folder = _entry(name, root)
    described = card(name, root=root)
    try:
        arrays = read_npz(folder / _WEIGHTS)
        weights = [arrays[f"{k:03d}"].astype("float32") for k in range(len(arrays))]
        classifier = build(
            described["architecture"],
            num_classes=described["num_classes"],
            input_shape=tuple(described["image_shape"]),
        )
        classifier.set_weights(weights)
    except _DAMAGE as error:
        raise _unfit(folder, error) from error
    return classifier


def card(name: str, *, root: str | os.PathLike | None = None) -> dict[str, Any]:
    """Card of an entry: its settings, training and measured figures.

    Args:
      name: DATASET/OBJECTIVE, one of `names(root)`.
      root: the zoo's folder; None for that of the checkout.

    Raises:
      ValueError: no such entry, or a damaged card.
    """
    folder = _entry(name, root)
    try:
        return dict(json.loads((folder / _CARD).read_text(encoding="utf-8")))
    except _DAMAGE as error:
        raise _unfit(folder, error) from error


def _entry(name: str, root: str | os.PathLike | None) -> pathlib.Path:
    folder = _CHECKOUT if root is None else pathlib.Path(root)
    entries = names(folder)
    if not entries:
        raise ValueError(f"root must be a folder with entries of a zoo. Received: {folder}")
    check_name("name", name, entries, context=f" in {folder}")
    return folder / name


def _unfit(folder: pathlib.Path, error: Exception) -> ValueError:
    return ValueError(
        f"{folder} must hold {_WEIGHTS} and {_CARD} that fit each other. Received: {error}"
    )


def save(classifier: keras.Model, folder: str | os.PathLike, described: dict[str, Any]) -> None:
    """Writes an entry of a zoo: weights.npz, card.json, MODEL_CARD.md.

    Args:
      classifier: model of `models.ARCHITECTURES`.
      folder: folder of the entry, ROOT/DATASET/OBJECTIVE.
      described: model card, see `card.model_card`; its architecture, image shape and classes
        define the model.

    Raises:
      ValueError: weights that are not those of the card's architecture, or too large for
        float16.
    """
    expected = build(
        described["architecture"],
        num_classes=described["num_classes"],
        input_shape=tuple(described["image_shape"]),
    )
    shapes = [weight.shape for weight in classifier.weights]
    if shapes != [weight.shape for weight in expected.weights]:
        raise ValueError(
            f"classifier must be a {described['architecture']} as the card says. Received: "
            f"{classifier.name} with weights {shapes}"
        )
    weights = classifier.get_weights()
    largest = max(float(np.abs(weight).max()) for weight in weights)
    if not largest <= float(np.finfo(np.float16).max):
        raise ValueError(f"weights must be finite in float16. Received: one of size {largest:g}")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"{k:03d}": weight.astype(np.float16) for k, weight in enumerate(weights)}
    np.savez_compressed(folder / _WEIGHTS, **arrays)
    cards.write(described, folder / _CARD, folder / _TEXT)
