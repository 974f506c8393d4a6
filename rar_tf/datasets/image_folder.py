"""Listing of a folder of images: splits, classes, files, and what is left out."""

import collections
import dataclasses
import os
import pathlib

from rar_tf.datasets.class_order import plain_name
from rar_tf.datasets.image_files import SUFFIXES

# Names of a split's folder or of a manifest's split, in lower case.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
# Files and folders of operating systems and programs, in lower case, beside those with a dot.
_SYSTEM = frozenset(
    {
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "__macosx",
        "__pycache__",
        "@eadir",
        "$recycle.bin",
        "system volume information",
        "lost+found",
    }
)
# File in a folder of images that gives the order of its classes.
CLASS_FILE = "classes.txt"
_OUTSIDE = "images outside the class folders"


@dataclasses.dataclass
class Listing:
    """Files of a folder.

    Attributes:
      splits: by split, by class, the paths of the images in their order.
      left_out: numbers of other files by kind.
    """

    splits: dict[str, dict[str, list[pathlib.Path]]]
    left_out: collections.Counter[str]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was left out, in one phrase; () if nothing was."""
        parts = [f"{count:,} {kind}" for kind, count in sorted(self.left_out.items())]
        return (f"left out: {', '.join(parts)}",) if parts else ()


def list_folder(root: pathlib.Path) -> Listing:
    """List the images of ROOT/CLASS/... or ROOT/SPLIT/CLASS/..., at any depth below a class.

    Folders are splits if their names say so (`SPLIT_NAMES`, in any case) and folders with images
    lie in them; a folder named train with images directly in it, beside others, is a class.
    Hidden files, files of operating systems and files that are no images are left out. Links are
    followed, but for those to a folder that is being read already.

    Raises:
      ValueError: folders that could be classes as well as splits, or two of one split.
    """
    left_out: collections.Counter[str] = collections.Counter()
    folders = _children(root, left_out)
    images = {folder: _images(folder, left_out) for folder in folders}
    splits = _split_folders(root, images)
    if not splits:
        return Listing({"train": _by_class({f: images[f] for f in folders})}, left_out)
    for folder in folders:
        if folder not in splits.values() and images[folder]:
            left_out[f"images in {folder.name}"] += len(images[folder])
    listed = {}
    for split, folder in splits.items():
        # Counted by the walk over the whole split already.
        classes = _children(folder, collections.Counter())
        left_out[_OUTSIDE] += sum(path.parent == folder for path in images[folder])
        of_folder: dict[pathlib.Path, list[pathlib.Path]] = {c: [] for c in classes}
        for path in images[folder]:
            if path.parent != folder:
                of_folder[folder / path.relative_to(folder).parts[0]].append(path)
        of_class = _by_class(of_folder)
        if any(of_class.values()) or split == "train":
            listed[split] = of_class
    return Listing(listed, +left_out)


def _by_class(
    images: dict[pathlib.Path, list[pathlib.Path]],
) -> dict[str, list[pathlib.Path]]:
    """Images by name of the class, of images by folder."""
    folders: dict[str, pathlib.Path] = {}
    for folder in images:
        name = plain_name(folder.name)
        if name in folders:
            raise ValueError(
                f"{folder.parent} must have one folder for class {name}. Received: "
                f"{folders[name].name!r} and {folder.name!r}"
            )
        folders[name] = folder
    return {name: images[folder] for name, folder in folders.items()}


def _children(folder: pathlib.Path, left_out: collections.Counter[str]) -> list[pathlib.Path]:
    """Visible folders in a folder, in order; its files are counted."""
    folders = []
    for path in sorted(folder.iterdir()):
        if _is_hidden(path.name):
            left_out["hidden or of the system"] += 1
        elif path.is_dir():
            folders.append(path)
        elif path.name != CLASS_FILE:
            left_out[_OUTSIDE if _is_image(path) else _kind(path)] += 1
    return folders


def _images(folder: pathlib.Path, left_out: collections.Counter[str]) -> list[pathlib.Path]:
    """Paths of the images in a folder at any depth, in order."""
    result: list[pathlib.Path] = []

    def walk(folder: pathlib.Path, open_folders: frozenset[str]) -> None:
        real = os.path.realpath(folder)
        if real in open_folders:
            left_out["links to a folder around them"] += 1
            return
        for path in sorted(folder.iterdir()):
            if _is_hidden(path.name):
                left_out["hidden or of the system"] += 1
            elif path.is_dir():
                walk(path, open_folders | {real})
            elif _is_image(path):
                result.append(path)
            else:
                left_out[_kind(path)] += 1

    walk(folder, frozenset({os.path.realpath(folder.parent)}))
    return result


def _split_folders(
    root: pathlib.Path, images: dict[pathlib.Path, list[pathlib.Path]]
) -> dict[str, pathlib.Path]:
    """Folders of the splits by split; {} if the folders are classes."""
    named = [folder for folder in images if folder.name.lower() in SPLIT_NAMES]
    others = [folder.name for folder in images if folder not in named and images[folder]]
    with_classes = [f for f in named if any(path.parent != f for path in images[f])]
    if not named or (others and not with_classes):
        return {}
    if others and len(named) == 1:
        raise ValueError(
            f"{root} must hold folders of classes or of splits. Received: {named[0].name}, with "
            f"folders of images in it, beside {', '.join(others)}; move one or the other, or list "
            "the images in a file for csv:FILE"
        )
    splits: dict[str, pathlib.Path] = {}
    for folder in named:
        split = SPLIT_NAMES[folder.name.lower()]
        if split in splits:
            raise ValueError(
                f"{root} must have one folder for {split}. Received: {splits[split].name} and "
                f"{folder.name}"
            )
        splits[split] = folder
    return splits


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM


def _is_image(path: pathlib.Path) -> bool:
    # A link to nowhere is an image that cannot be read, which is an error.
    return path.suffix.lower() in SUFFIXES and (path.is_file() or path.is_symlink())


def _kind(path: pathlib.Path) -> str:
    suffix = path.suffix.lower()
    if suffix in (".heic", ".heif"):
        return f"{suffix} (convert them to JPEG)"
    return suffix or "without an ending"
