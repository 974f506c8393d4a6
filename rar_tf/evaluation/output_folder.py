"""OutputFolder: the files of an evaluation, from which a stopped one goes on."""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from rar_tf.evaluation.examples import AttackedExample, ExampleMetrics, ExamplesFile
from rar_tf.evaluation.former_names import upgrade
from rar_tf.evaluation.report import Accuracy, Report
from rar_tf.files import write_atomically


class OutputFolder:
    """The folder of an evaluation; without a path, nothing is kept."""

    def __init__(self, path: str | pathlib.Path | None, settings: dict[str, Any]):
        """
        Args:
          path: the folder, made if it does not exist; None keeps nothing.
          settings: fields of the report that decide the rows of the evaluation.

        Raises:
          ValueError: the folder holds an evaluation with other settings.
        """  # fmt: skip
        self._root = None if path is None else pathlib.Path(path)
        if self._root is None:
            return
        (self._root / "pictures").mkdir(parents=True, exist_ok=True)
        self._examples = ExamplesFile(self._root / "examples.csv")
        # The same weights and images may lie at another place.
        model = settings["model"]["weights_sha256"]
        data = {name: value for name, value in settings["dataset"].items() if name != "source"}
        settings = settings | {"model": model, "dataset": data}
        file = self._root / "settings.json"
        if not file.exists():
            write_atomically(file, (json.dumps(settings, indent=2) + "\n").encode())
            return
        before = upgrade(json.loads(file.read_text(encoding="utf-8")))
        changed = [name for name in settings if before.get(name) != settings[name]]
        if changed:
            raise ValueError(
                f"output must be a new folder or hold this evaluation. Received: {self._root}, "
                f"which holds one with another {', '.join(changed)}"
            )

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
        path = self._root / "accuracy.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if kept.get("settings") == settings:
            return {n: value and Accuracy(**value) for n, value in kept["values"].items()}
        accuracies = compute()
        values = {name: value and dataclasses.asdict(value) for name, value in accuracies.items()}
        text = json.dumps({"settings": settings, "values": values}, indent=2)
        write_atomically(path, f"{text}\n".encode())
        return accuracies

    def finish(self, report: Report) -> None:
        """Write report.json."""
        if self._root is not None:
            report.save(self._root / "report.json")
