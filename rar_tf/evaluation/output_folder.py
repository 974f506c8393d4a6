"""OutputFolder: the files of an evaluation, from which a stopped one goes on."""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from rar_tf import folder_lock
from rar_tf.evaluation.examples import AttackedExample, ExampleMetrics, ExamplesFile
from rar_tf.evaluation.identity import differences
from rar_tf.evaluation.report import MEASUREMENT, Accuracy, Report
from rar_tf.files import write_atomically

_UNFINISHED = r"(?:settings|accuracy|report)\.json"
_T = TypeVar("_T")


@contextlib.contextmanager
def output_folder(
    path: str | pathlib.Path | None, identity: dict[str, Any]
) -> Iterator["OutputFolder"]:
    """Context with the output folder of an evaluation, which no other evaluation uses meanwhile.

    Args:
      path: the folder, made if it does not exist; None keeps nothing.
      identity: what must be the same for rows to be of this evaluation, see `identity`.

    Raises:
      ValueError: the folder is in use, or holds another evaluation or a damaged one; no file of
        it is changed.
    """
    with contextlib.ExitStack() as stack:
        if path is not None:
            root = pathlib.Path(path)
            root.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(folder_lock.locked(root, _UNFINISHED))
            except folder_lock.FolderInUse as error:
                raise ValueError(
                    f"output {root} is in use by {error}; wait for it to end, stop it, or choose "
                    "another output folder"
                ) from error
        yield OutputFolder(path, identity)


class OutputFolder:
    """The folder of an evaluation; without a path, nothing is kept. See `output_folder`."""

    def __init__(self, path: str | pathlib.Path | None, identity: dict[str, Any]):
        self._root = None if path is None else pathlib.Path(path)
        self._identity = identity
        self._kept: tuple[dict[str, Any], dict[str, Accuracy | None]] | None = None
        if self._root is None:
            return
        self._examples = ExamplesFile(self._root / "examples.csv")
        self._kept = self._claim(self._root)
        (self._root / "pictures").mkdir(exist_ok=True)

    def _claim(
        self, root: pathlib.Path
    ) -> tuple[dict[str, Any], dict[str, Accuracy | None]] | None:
        """(settings, accuracies) of accuracy.json, after a check of what the folder holds."""
        file = root / "settings.json"
        if not file.exists():
            self._refuse_rows_without_settings(root)
            write_atomically(file, (json.dumps(self._identity, indent=2) + "\n").encode())
            return None
        self._check(_read(file, _as_object), file)
        file = root / "accuracy.json"
        if not file.exists():
            return None
        identity, settings, values = _read(file, _as_accuracies)
        self._check(identity, file)
        return settings, values

    def _refuse_rows_without_settings(self, root: pathlib.Path) -> None:
        names = ("examples.csv", "accuracy.json", "report.json")
        present = [name for name in names if (root / name).exists()]
        if any((root / "pictures").glob("*")):
            present.append("pictures")
        if present:
            raise ValueError(
                "output must be a new folder or hold an evaluation with its settings.json, as rows "
                f"without settings cannot be attributed. Received: {root}, with "
                f"{', '.join(present)} and no settings.json; choose a new folder"
            )

    def _check(self, identity: dict[str, Any], file: pathlib.Path) -> None:
        """Raise ValueError unless a file of the folder is of this evaluation."""
        version = identity.get("measurement", 1)
        if version != MEASUREMENT:
            raise ValueError(
                f"output must hold measurements of version {MEASUREMENT}. Received: {file}, of "
                f"version {version}, whose figures are not comparable; choose a new folder"
            )
        if changed := differences(identity, self._identity):
            raise ValueError(
                f"output must be a new folder or hold this evaluation. Received: {file.parent}, "
                f"which holds one with another {', '.join(changed)}"
            )

    def count(self) -> int:
        """Number of images that an earlier run has attacked."""
        return 0 if self._root is None else len(self._examples.rows())

    def rows(self, indices: np.ndarray) -> list[ExampleMetrics]:
        """Rows of the first of `indices` that an earlier run has written.

        Raises:
          ValueError: the rows are those of other images.
        """
        rows = [] if self._root is None else self._examples.rows()
        if [row.index for row in rows] != list(indices[: len(rows)]):
            raise ValueError(
                f"{self._root}/examples.csv must hold the first of the correctly classified "
                "images. Received: others, as of another machine; choose a new output folder"
            )
        return rows

    def add(self, rows: list[ExampleMetrics], pictures: list[AttackedExample]) -> None:
        """Write rows and pictures of further images."""
        if self._root is None:
            return
        for picture in pictures:
            path = self._root / "pictures" / f"{picture.index:06d}.npz"
            np.savez_compressed(path, **dataclasses.asdict(picture))
        self._examples.append(rows)

    def accuracies(
        self, settings: dict[str, Any], compute: Callable[[], dict[str, Accuracy | None]]
    ) -> dict[str, Accuracy | None]:
        """Accuracies that an earlier run with these settings has written, else computed ones."""
        if self._root is None:
            return compute()
        if self._kept is not None and self._kept[0] == settings:
            return self._kept[1]
        accuracies = compute()
        values = {name: value and dataclasses.asdict(value) for name, value in accuracies.items()}
        content = {"identity": self._identity, "settings": settings, "values": values}
        path = self._root / "accuracy.json"
        write_atomically(path, f"{json.dumps(content, indent=2)}\n".encode())
        return accuracies

    def finish(self, report: Report) -> None:
        """Write report.json."""
        if self._root is not None:
            report.save(self._root / "report.json")


def _read(path: pathlib.Path, parse: Callable[[Any], _T]) -> _T:
    """Parsed content of a JSON file.

    Raises:
      ValueError: the file is damaged.
    """
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path} must be a complete {path.name} of an evaluation. Received: {error!r}; restore "
            "the file or choose a new output folder"
        ) from error


def _as_object(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise TypeError(f"expected an object, came {type(content).__name__}")
    return content


def _as_accuracies(
    content: Any,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Accuracy | None]]:
    """(identity, settings, accuracies) of accuracy.json."""
    values = {name: value and Accuracy(**value) for name, value in content["values"].items()}
    return _as_object(content.get("identity", {})), _as_object(content["settings"]), values
