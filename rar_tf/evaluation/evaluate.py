"""One call from a classifier and data to a report."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from absl import logging

from rar_tf import environment, models
from rar_tf.attack import Ifia
from rar_tf.checks import check_count
from rar_tf.datasets import Examples, ImageData, duplicates
from rar_tf.evaluation import report as reports
from rar_tf.evaluation.accuracy import correct, withstands
from rar_tf.evaluation.classifier import logits_of
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.examples import AttackedExample, ExampleMetrics, ExamplesFile
from rar_tf.evaluation.map_robustness import attack_maps
from rar_tf.evaluation.protocols import Protocol
from rar_tf.evaluation.protocols import protocol as named_protocol
from rar_tf.evaluation.report import Accuracy, Report
from rar_tf.files import write_atomically
from rar_tf.naming import plain


def evaluate(
    classifier: keras.Model,
    dataset: ImageData | Examples | tuple[np.ndarray, np.ndarray],
    *,
    protocol: Protocol | str = "rar",
    attack: str | Sequence[Ifia] = "default",
    split: str = "test",
    num_examples: int | None = 500,
    accuracy_examples: int | None = None,
    strong_pgd: bool = True,
    outputs: str = "auto",
    output: str | pathlib.Path | None = None,
    batch_size: int = 32,
    nodes_per_pass: int | None = 10,
    seed: int = 0,
    num_pictures: int = 24,
    model_info: dict[str, Any] | None = None,
) -> Report:
    """Measures accuracy, PGD accuracy and attribution robustness of any Keras classifier.

    The maps of the first `num_examples` images are attacked, of those that the classifier gets
    right; the others are skipped and counted. With an output folder, examples.csv grows by a
    row an image: the same call again goes on where a stopped one ended.

    Args:
      classifier: images [B, H, W, C] in [0, 1] -> logits or probabilities [B, classes].
      dataset: an ImageData, a split of one, or (images, labels).
      protocol: "rar", "far" or a `Protocol`.
      attack: "original", "default", "strongest" or "module:function" of one's own, see
        `Protocol.searches`.
      split: of an ImageData.
      num_examples: images whose maps are attacked, and of the strong PGD; None for all.
      accuracy_examples: images of natural and PGD accuracy; None for all, 0 to skip them.
      strong_pgd: whether to run the stronger PGD too.
      outputs: "auto", "logits" or "probabilities": what the classifier puts out.
      output: folder for report.json, examples.csv and pictures/; None keeps nothing.
      batch_size: images at once.
      nodes_per_pass: nodes of a map at once; None for all. Memory grows with batch_size * nodes_per_pass.
      seed: of random starts.
      num_pictures: of how many attacked images to keep pictures.
      model_info: what to say of the model in the report, such as its preset.

    Raises:
      ValueError: a model, data, names or numbers that do not fit; or an output folder that
        holds another evaluation.
    """
    for name, value in (("batch_size", batch_size), ("nodes_per_pass", nodes_per_pass)):
        if value is not None:
            check_count(name, value)
    selection = EvaluationSet(dataset, split=split, num_examples=num_examples)
    if isinstance(protocol, str):
        protocol = named_protocol(protocol, selection.name, selection.image_shape)
    searches = protocol.searches(attack) if isinstance(attack, str) else tuple(attack)
    attack = attack if isinstance(attack, str) else "own"
    network, how = logits_of(classifier, selection, outputs)
    described = _describe(classifier, how, model_info, selection, protocol, searches, attack, seed)
    folder = _Folder(output, described)
    hits = correct(network, selection)
    indices = np.flatnonzero(hits)
    rows = folder.rows(indices)
    batches = attack_maps(
        network,
        selection,
        indices,
        protocol,
        attack,
        done=len(rows),
        seed=seed,
        batch_size=batch_size,
        nodes_per_pass=nodes_per_pass,
        searches=searches,
    )
    for new_rows, pictures in batches:
        folder.add(new_rows, pictures[: max(num_pictures - len(rows), 0)])
        rows += new_rows
    everything = None
    if accuracy_examples != 0:
        everything = EvaluationSet(dataset, split=split, num_examples=accuracy_examples)
    twice = _duplicates(dataset, split, everything)
    first = selection if strong_pgd else None
    accuracies: dict[str, Any] = folder.accuracies(
        {"accuracy_examples": accuracy_examples, "strong_pgd": strong_pgd}
        | ({"duplicates": twice} if twice else {}),
        lambda: _accuracies(network, everything, first, protocol, seed, twice),
    )
    report = Report(
        **described,
        batch_size=batch_size,
        nodes_per_pass=nodes_per_pass,
        duplicates=twice,
        **accuracies,
        **reports.summarize(rows, misclassified=int((~hits).sum())),
        hardware=environment.hardware(),
        versions=environment.versions(),
    )
    folder.finish(report)
    return report


def _duplicates(dataset, split, everything) -> list[int] | None:
    """Of the images of the accuracies; None where there are none, or nothing to compare with."""
    if everything is None or not isinstance(dataset, ImageData) or split == "train":
        return None
    found = duplicates(dataset, split)
    return None if found is None else [int(i) for i in found if i < len(everything)] or None


def _accuracies(network, everything, first, protocol, seed, twice) -> dict[str, Accuracy | None]:
    """Of all images, and of the first by the strong PGD; None where there is no selection."""

    def pgd_hits(selection, pgd):
        return selection and withstands(network, selection, protocol.threat, pgd, seed=seed)

    def share(hits, left_out=None):
        if hits is not None and left_out is not None:
            hits = np.delete(hits, left_out)
        return Accuracy(float(np.mean(hits)), len(hits)) if hits is not None and len(hits) else None

    natural = everything and correct(network, everything)
    pgd = pgd_hits(everything, protocol.pgd)
    return {
        "natural_accuracy": share(natural),
        "pgd_accuracy": share(pgd),
        "strong_pgd_accuracy": share(pgd_hits(first, protocol.strong_pgd)),
        "natural_accuracy_without_duplicates": share(natural, twice) if twice else None,
        "pgd_accuracy_without_duplicates": share(pgd, twice) if twice else None,
    }


def _describe(classifier, how, info, selection, protocol, searches, attack, seed) -> dict[str, Any]:
    """What decides the rows of an evaluation, as plain data."""
    described = {
        "model": _describe_model(classifier, how, info),
        "dataset": {
            "name": selection.name,
            "source": selection.source,
            "split": selection.split,
            "images": f"the first {len(selection)}",
            "num_examples": len(selection),
            "class_names": selection.class_names,
        },
        "protocol": dataclasses.asdict(protocol),
        "attack": attack,
        "searches": [dataclasses.asdict(search) for search in searches],
        "seed": seed,
    }
    return json.loads(
        json.dumps(described, default=plain)
    )  # tuples become lists, as when read again


def _describe_model(classifier, how, info):
    relus = models.count_relus(classifier)
    if relus == 0:
        logging.warning(
            "no ReLU was found in the model: if its own code applies ReLU out of sight, the attack "
            "on its maps lacks second derivatives and is too weak to tell anything"
        )
    digest = hashlib.sha256()
    for weight in classifier.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return {
        "name": classifier.name,
        "outputs": how,
        "parameters": int(classifier.count_params()),
        "relus": relus,
        "weights_sha256": digest.hexdigest(),
        **(info or {}),
    }


class _Folder:
    """The output folder; without one, nothing is kept."""

    def __init__(self, path: str | pathlib.Path | None, settings: dict[str, Any]):
        self._root = None if path is None else pathlib.Path(path)
        if self._root is None:
            return
        (self._root / "pictures").mkdir(parents=True, exist_ok=True)
        self._examples = ExamplesFile(self._root / "examples.csv")
        # Where the same weights and images lie does not matter.
        model = settings["model"]["weights_sha256"]
        data = {name: value for name, value in settings["dataset"].items() if name != "source"}
        settings = settings | {"model": model, "dataset": data}
        there = self._root / "settings.json"
        if not there.exists():
            write_atomically(there, (json.dumps(settings, indent=2) + "\n").encode())
            return
        before = json.loads(there.read_text(encoding="utf-8"))
        changed = [name for name in settings if before.get(name) != settings[name]]
        if changed:
            raise ValueError(
                f"output must be a new folder or hold this evaluation. Received: {self._root}, "
                f"which holds one with another {', '.join(changed)}"
            )

    def rows(self, indices: np.ndarray) -> list[ExampleMetrics]:
        """What an earlier run found of the first of `indices`."""
        rows = [] if self._root is None else self._examples.rows()
        if [row.index for row in rows] != list(indices[: len(rows)]):
            raise ValueError(
                f"{self._root}/examples.csv must hold the first of the correctly classified "
                "images. Received: others, as of another machine; choose a new output folder"
            )
        return rows

    def add(self, rows: list[ExampleMetrics], pictures: list[AttackedExample]) -> None:
        if self._root is None:
            return
        for picture in pictures:
            path = self._root / "pictures" / f"{picture.index:06d}.npz"
            np.savez_compressed(path, **dataclasses.asdict(picture))
        self._examples.append(rows)

    def accuracies(
        self, settings: dict[str, Any], compute: Callable[[], dict[str, Accuracy | None]]
    ) -> dict[str, Accuracy | None]:
        """Those that an earlier run with these settings kept, else this one's."""
        if self._root is None:
            return compute()
        path = self._root / "accuracy.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if kept.get("settings") == settings:
            return {n: value and Accuracy(**value) for n, value in kept["values"].items()}
        found = compute()
        values = {name: value and dataclasses.asdict(value) for name, value in found.items()}
        text = json.dumps({"settings": settings, "values": values}, indent=2)
        write_atomically(path, f"{text}\n".encode())
        return found

    def finish(self, report: Report) -> None:
        if self._root is not None:
            report.save(self._root / "report.json")
