"""Names of classes: their form, and their order, which numbers them."""

import os
import pathlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

_NUMBER = re.compile(r"[+-]?\d+")


def plain_name(name: str) -> str:
    """A name without surrounding space, in composed Unicode: file systems differ in it."""
    return unicodedata.normalize("NFC", name).strip()


def given_classes(
    classes: str | os.PathLike | Sequence[str] | None,
) -> tuple[str, ...] | None:
    """Names of classes in their order, from a list or a text file with a name in each line.

    Args:
      classes: names; a path of a text file, alone or as the only item; or None.

    Raises:
      FileNotFoundError: no such file.
      ValueError: fewer than two names, one twice, or a file that is not text.
    """
    if classes is None:
        return None
    items = [classes] if isinstance(classes, (str, os.PathLike)) else list(classes)
    if not all(isinstance(item, (str, os.PathLike)) for item in items):
        raise ValueError(f"classes must be names. Received: classes={items}")
    names = [os.fspath(item) for item in items]
    if len(names) == 1 and (names[0].endswith(".txt") or pathlib.Path(names[0]).is_file()):
        names = read_class_file(pathlib.Path(names[0]).expanduser())
    names = [plain_name(name) for name in names]
    if len(names) < 2 or not all(names):
        raise ValueError(
            "classes must be at least 2 names, or a .txt file with one in each line. "
            f"Received: classes={','.join(names)}"
        )
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"classes must be different. Received: {', '.join(repeated)} repeatedly")
    return tuple(names)


def read_class_file(path: pathlib.Path) -> list[str]:
    """Names in the lines of a text file, without empty lines.

    Raises:
      FileNotFoundError: no such file.
      ValueError: a file that is not UTF-8.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 text, a class in each line. {error}") from error
    return [plain_name(line) for line in lines if line.strip()]


def class_order(
    names: Iterable[str], classes: tuple[str, ...] | None, origin: str
) -> tuple[str, ...]:
    """Names in the order that numbers the classes.

    Args:
      names: names of the classes of the data.
      classes: the order, see `given_classes`; None for numbers in their order if all names are
        integers, else the order of text.
      origin: name of the data in errors.

    Raises:
      ValueError: `classes` are not the names.
    """
    names = set(names)
    if classes is None:
        if all(_NUMBER.fullmatch(name) for name in names):
            return tuple(sorted(names, key=lambda name: (int(name), name)))
        return tuple(sorted(names))
    if names != set(classes):
        missing, unknown = sorted(names - set(classes)), sorted(set(classes) - names)
        parts = [f"without {', '.join(missing)}"] if missing else []
        parts += [f"with {', '.join(unknown)}, which it has not"] if unknown else []
        raise ValueError(
            f"classes must be those of {origin}: {', '.join(class_order(names, None, origin))}. "
            f"Received: classes {' and '.join(parts)}"
        )
    return classes
