"""One call from a classifier and data to a report."""

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

import keras
import numpy as np
from absl import logging

from rar_tf import models
from rar_tf.datasets import Examples, ImageData
from rar_tf.evaluation import report as reports
from rar_tf.evaluation.accuracy import correct, withstands
from rar_tf.evaluation.classifier import logits_of
from rar_tf.evaluation.examples import ExamplesFile, Picture, Row
from rar_tf.evaluation.protocols import Protocol
from rar_tf.evaluation.protocols import protocol as named_protocol
from rar_tf.evaluation.report import Accuracy, Report
from rar_tf.evaluation.robustness import attack_maps
from rar_tf.evaluation.selection import Selection


def evaluate(
    classifier: keras.Model,
    dataset: ImageData | Examples | tuple[np.ndarray, np.ndarray],
    *,
    protocol: Protocol | str = "rar",
    attack: str = "default",
    split: str = "test",
    num_examples: int | None = 500,
    accuracy_examples: int | None = None,
    strong_pgd: bool = True,
    outputs: str = "auto",
    output: str | pathlib.Path | None = None,
    batch_size: int = 32,
    chunk: int | None = 10,
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
      attack: "original", "default" or "strongest", see `Protocol.searches`.
      split: of an ImageData.
      num_examples: images whose maps are attacked, and of the strong PGD; None for all.
      accuracy_examples: images of natural and PGD accuracy; None for all, 0 to skip them.
      strong_pgd: whether to run the stronger PGD too.
      outputs: "auto", "logits" or "probabilities": what the classifier puts out.
      output: folder for report.json, examples.csv and pictures/; None keeps nothing.
      batch_size: images at once.
      chunk: nodes of a map at once; None for all. Memory grows with batch_size * chunk.
      seed: of random starts.
      num_pictures: of how many attacked images to keep pictures.
      model_info: what to say of the model in the report, such as its preset.

    Raises:
      ValueError: a model, data, names or numbers that do not fit; or an output folder that
        holds another evaluation.
    """
    for name, value in (("batch_size", batch_size), ("chunk", chunk)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be >= 1. Received: {name}={value}")
    selection = Selection(dataset, split=split, num_examples=num_examples)
    if isinstance(protocol, str):
        protocol = named_protocol(protocol, selection.name, selection.image_shape)
    searches = protocol.searches(attack)
    network, how = logits_of(classifier, selection, outputs)
    model = _describe(classifier, how, model_info)
    described = _plain(
        {
            "model": model,
            "dataset": _describe_data(selection),
            "protocol": dataclasses.asdict(protocol),
            "attack": attack,
            "searches": [dataclasses.asdict(search) for search in searches],
            "seed": seed,
        }
    )
    folder = _Folder(output, described)
    hits = correct(network, selection)
    indices = np.flatnonzero(hits)
    rows = folder.rows()[: len(indices)]
    batches = attack_maps(
        network,
        selection,
        indices,
        protocol,
        attack,
        done=len(rows),
        seed=seed,
        batch_size=batch_size,
        chunk=chunk,
    )
    for new_rows, pictures in batches:
        folder.add(new_rows, pictures[: max(num_pictures - len(rows), 0)])
        rows += new_rows
    accuracies = folder.once(
        "accuracy.json",
        lambda: _accuracies(
            network,
            Selection(dataset, split=split, num_examples=accuracy_examples or None),
            selection,
            protocol,
            seed,
            table=accuracy_examples != 0,
            strong=strong_pgd,
        ),
    )
    report = Report(
        **described,
        batch_size=batch_size,
        chunk=chunk,
        **{name: value and Accuracy(**value) for name, value in accuracies.items()},
        **reports.summarize(rows, misclassified=int((~hits).sum())),
        hardware=reports.hardware(),
        versions=reports.versions(),
    )
    folder.finish(report)
    return report


def _accuracies(network, everything, selection, protocol, seed, *, table, strong):
    found = dict.fromkeys(("natural_accuracy", "pgd_accuracy", "strong_pgd_accuracy"))

    def share(hits):
        return {"value": float(np.mean(hits)), "num_examples": len(hits)}

    if table:
        found["natural_accuracy"] = share(correct(network, everything))
        hits = withstands(network, everything, protocol.threat, protocol.pgd, seed=seed)
        found["pgd_accuracy"] = share(hits)
    if strong:
        hits = withstands(network, selection, protocol.threat, protocol.strong_pgd, seed=seed)
        found["strong_pgd_accuracy"] = share(hits)
    return found


def _describe(classifier, how, info):
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


def _describe_data(selection):
    return {
        "name": selection.name,
        "source": selection.source,
        "split": selection.split,
        "images": f"the first {len(selection)}",
        "num_examples": len(selection),
        "class_names": selection.class_names,
    }


def _plain(values):
    """What JSON makes of it: tuples become lists."""
    return json.loads(json.dumps(values))


class _Folder:
    """The output folder; without one, nothing is kept."""

    def __init__(self, path: str | pathlib.Path | None, settings: dict[str, Any]):
        self._root = None if path is None else pathlib.Path(path)
        if self._root is None:
            return
        (self._root / "pictures").mkdir(parents=True, exist_ok=True)
        self._examples = ExamplesFile(self._root / "examples.csv")
        there = self._root / "settings.json"
        if not there.exists():
            there.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
            return
        before = json.loads(there.read_text(encoding="utf-8"))
        changed = [name for name in settings if before.get(name) != settings[name]]
        if changed:
            raise ValueError(
                f"output must be a new folder or hold this evaluation. Received: {self._root}, "
                f"which holds one with another {', '.join(changed)}"
            )

    def rows(self) -> list[Row]:
        return [] if self._root is None else self._examples.rows()

    def add(self, rows: list[Row], pictures: list[Picture]) -> None:
        if self._root is None:
            return
        for picture in pictures:
            path = self._root / "pictures" / f"{picture.index:06d}.npz"
            np.savez_compressed(path, **dataclasses.asdict(picture))
        self._examples.append(rows)

    def once(self, name: str, compute):
        """The value of an earlier run, or of this one, which is kept."""
        if self._root is None:
            return compute()
        path = self._root / name
        if not path.exists():
            value = compute()
            path.write_text(json.dumps(value), encoding="utf-8")
        return json.loads(path.read_text(encoding="utf-8"))

    def finish(self, report: Report) -> None:
        if self._root is not None:
            report.save(self._root / "report.json")
