"""Registry of data sets: `load` by name."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from rar_tf.checks import is_count
from rar_tf.datasets import (
    arrays,
    cifar10,
    custom_data,
    gtsrb,
    mnist,
    oxford_flowers17,
    restricted_imagenet,
)
from rar_tf.datasets.class_order import given_classes
from rar_tf.datasets.partition import shuffle_if_sorted
from rar_tf.datasets.read_files import Form
from rar_tf.datasets.splits import ImageData
from rar_tf.datasets.summary import summary
from rar_tf.naming import call_custom, check_name, find, is_custom, parameters

# Name -> side length, for data sets of images of one fixed size.
_FIXED_SIZE = {"mnist": 28, "fashion_mnist": 28, "cifar10": 32}
_SCALED = {
    "gtsrb": gtsrb.load_gtsrb,
    "oxford_flowers17": oxford_flowers17.load_oxford_flowers17,
    "restricted_imagenet": restricted_imagenet.load_restricted_imagenet,
}
# Forms of names for custom data.
CUSTOM = ("folder:PATH", "csv:FILE", "npz:PATH", "tfds:NAME", "MODULE:FUNCTION")
_FILES = {
    "folder": custom_data.load_folder,
    "csv": custom_data.load_csv,
    "npz": arrays.load_npz,
}


def names() -> tuple[str, ...]:
    """Names of the data sets that `load` accepts beside those of `CUSTOM`."""
    return (*_FIXED_SIZE, *_SCALED)


def load(
    name: str,
    *,
    data_dir: str | os.PathLike | None = None,
    manual_dir: str | os.PathLike | None = None,
    image_size: int | Sequence[int] | None = None,
    resize: str | None = None,
    channels: int | None = None,
    classes: str | os.PathLike | Sequence[str] | None = None,
    seed: int = 0,
) -> ImageData:
    """Load a data set; the log names its source, splits, classes and what was left out.

    Args:
      name: one of `names()`, or "folder:PATH", "csv:FILE", "npz:PATH" or "tfds:NAME" for custom
        data; or "module:function", a function that returns an `ImageData`. It gets those of the
        arguments below that it accepts.
      data_dir: folder of prepared TFDS data; None for the default.
      manual_dir: folder of the data set's own files, placed by hand. If given, no other source is
        read.
      image_size: (height, width) in pixels to scale to, or the side of a square; None for the
        data set's size.
      resize: way of scaling custom data, "stretch", "crop" or "pad", see `pixels.resize_tensor`;
        None for "stretch".
      channels: 1 to read custom data as gray, 3 as RGB; None for 3, or what arrays have.
      classes: names of custom data's classes in the order that numbers them, or a text file with
        a name in each line; None for the order of numbers if all names are, else of text.
      seed: seed of splits and warps that the data set draws.

    Raises:
      ValueError: an unknown name, an invalid size, or files of unexpected content.
      FileNotFoundError: if no source is available, with the options; if `manual_dir` is not a
        folder.
    """
    sides = image_sides(image_size)
    if seed < 0:
        raise ValueError(f"seed must be >= 0. Received: seed={seed}")
    if manual_dir is not None:
        manual_dir = pathlib.Path(manual_dir).expanduser()
        if not manual_dir.is_dir():
            raise FileNotFoundError(f"manual_dir must be a folder. Received: {manual_dir}")
    given = {"resize": resize, "channels": channels, "classes": given_classes(classes)}
    data = _load(name, data_dir, manual_dir, sides, given, seed)
    data = dataclasses.replace(
        data,
        validation=shuffle_if_sorted(data.validation, seed),
        test=shuffle_if_sorted(data.test, seed),
    )
    logging.info("%s: %s", name, data.source)
    for line in (summary(data), *data.remarks):
        logging.info("%s: %s", name, line)
    return data


def check_custom_settings(name: str, settings: Mapping[str, Any]) -> None:
    """Raise ValueError if a setting of custom data is given for another data set.

    Args:
      name: name of the data set.
      settings: settings by name; None where not given.
    """
    for setting, value in settings.items():
        if value is not None and name in names():
            raise ValueError(
                f"{setting} applies to custom data ({', '.join(CUSTOM)}), not to {name}. "
                f"Received: {setting}={value}"
            )


def image_sides(image_size: int | Sequence[int] | None) -> tuple[int, int] | None:
    """Height and width of an image size.

    Args:
      image_size: (height, width), or the side of a square; None for no size.

    Raises:
      ValueError: neither of these, or a side < 1.
    """
    if image_size is None:
        return None
    sides = tuple(image_size) if isinstance(image_size, (list, tuple)) else (image_size,)
    if len(sides) not in (1, 2) or not all(is_count(side) and side >= 1 for side in sides):
        raise ValueError(
            f"image_size must be one or two numbers >= 1. Received: image_size={_text(sides)}"
        )
    return sides[0], sides[-1]


def _load(
    name: str,
    data_dir: str | os.PathLike | None,
    manual_dir: pathlib.Path | None,
    image_size: tuple[int, int] | None,
    given: dict[str, Any],
    seed: int,
) -> ImageData:
    kind, _, location = name.partition(":")
    folders = {"data_dir": data_dir, "manual_dir": manual_dir}
    if is_custom(name) and kind not in (*_FILES, "tfds"):
        return _load_custom(name, **folders, image_size=image_size, **given, seed=seed)
    if location and kind in (*_FILES, "tfds"):
        form = Form(image_size, given["resize"] or "stretch", given["channels"])
        settings: dict[str, Any] = {"form": form, "classes": given["classes"], "seed": seed}
        if kind == "tfds":
            return custom_data.load_tfds(
                location, data_dir=data_dir, manual_dir=manual_dir, **settings
            )
        return _FILES[kind](location, **settings)
    check_custom_settings(name, given)
    if name in _SCALED:
        return _SCALED[name](**folders, image_size=image_size, seed=seed)
    if name not in _FIXED_SIZE:
        check_name("dataset", name, (*names(), *CUSTOM))
    side = _FIXED_SIZE[name]
    if image_size not in (None, (side, side)):
        raise ValueError(
            f"image_size of {name} must be {side}. Received: image_size={_text(image_size)}"
        )
    if name == "cifar10":
        return cifar10.load_cifar10(**folders)
    return mnist.load_mnist(name, **folders)


def _text(sides: Sequence[Any]) -> str:
    return ",".join(map(str, sides))


def _load_custom(name: str, **settings: Any) -> ImageData:
    function = find(
        "dataset", name, {}, prefixes=(*names(), *(kind.partition(":")[0] for kind in CUSTOM))
    )
    accepted = parameters(function)
    for setting, value in settings.items():
        if setting not in accepted and value is not None and setting != "seed":
            raise ValueError(
                f"dataset={name} must take {setting} for it to be given. "
                f"Received: {setting}={value}"
            )
    arguments = {setting: value for setting, value in settings.items() if setting in accepted}
    return dataclasses.replace(
        call_custom("dataset", name, function, ImageData, **arguments), name=name
    )
