"""Accuracies of an evaluation: natural, under PGD and under the strong attack."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from rar_tf.datasets import Examples, ImageData, duplicates
from rar_tf.evaluation import identity
from rar_tf.evaluation.accuracy import Predictions, correct, withstands
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.output_folder import OutputFolder
from rar_tf.evaluation.prediction_attacks import PredictionAttack
from rar_tf.evaluation.protocols import Protocol
from rar_tf.evaluation.report import Accuracy


def _duplicates(
    dataset: ImageData | Examples | tuple[np.ndarray, np.ndarray],
    split: str,
    accuracy_set: EvaluationSet | None,
) -> list[int] | None:
    """Numbers of the accuracies' images that are training images too; None without any."""
    if accuracy_set is None or not isinstance(dataset, ImageData) or split == "train":
        return None
    repeated = duplicates(dataset, split)
    if repeated is None:
        return None
    return [int(i) for i in repeated if i < len(accuracy_set)] or None


def kept_accuracies(
    folder: OutputFolder,
    network: keras.Model,
    images: tuple[ImageData | Examples | tuple[np.ndarray, np.ndarray], str, int | None],
    strong_set: EvaluationSet | None,
    protocol: Protocol,
    seed: int,
    *,
    batch_size: int,
) -> dict[str, Any]:
    """Fields of the report on accuracy, from the folder where an earlier run has written them.

    Args:
      folder: the output folder.
      network: images -> logits.
      images: (data set, split, number of images; None for all, 0 for none) of natural and PGD
        accuracy.
      strong_set: images of the strong attack on predictions; None to skip it.
      protocol: protocol of the measurement.
      seed: seed of random starts.
      batch_size: number of images in a batch.
    """
    dataset, split, count = images
    accuracy_set = None
    if count != 0:
        accuracy_set = EvaluationSet(dataset, split=split, num_examples=count)
    repeated = _duplicates(dataset, split, accuracy_set)
    settings: dict[str, Any] = {
        "accuracy_examples": count,
        "strong_pgd": strong_set is not None,
        **(identity.data_digests(accuracy_set) if accuracy_set else {}),
    }
    accuracies = folder.accuracies(
        settings | ({"duplicates": repeated} if repeated else {}),
        lambda: _accuracies(
            network, accuracy_set, strong_set, protocol, seed, repeated, batch_size
        ),
    )
    return {**accuracies, "duplicates": repeated}


def _accuracies(
    network: keras.Model,
    accuracy_set: EvaluationSet | None,
    strong_set: EvaluationSet | None,
    protocol: Protocol,
    seed: int,
    repeated: list[int] | None,
    batch_size: int,
) -> dict[str, Accuracy | None]:
    """Accuracies by field of the report; None where there is no set of images."""

    def under(images: EvaluationSet | None, attack: PredictionAttack) -> Predictions | None:
        if images is None:
            return None
        return withstands(
            network, images, protocol.threat, attack, seed=seed, batch_size=batch_size
        )

    natural = (
        None if accuracy_set is None else correct(network, accuracy_set, batch_size=batch_size)
    )
    pgd = under(accuracy_set, (protocol.pgd,))
    return {
        "natural_accuracy": _share(natural),
        "pgd_accuracy": _share(pgd),
        "strong_pgd_accuracy": _share(under(strong_set, protocol.strong_attack)),
        "natural_accuracy_without_duplicates": _share(natural, repeated) if repeated else None,
        "pgd_accuracy_without_duplicates": _share(pgd, repeated) if repeated else None,
    }


def _share(predictions: Predictions | None, left_out: Sequence[int] = ()) -> Accuracy | None:
    """Accuracy without the images `left_out` and the unattacked ones; None without an image."""
    if predictions is None:
        return None
    kept = np.ones(len(predictions.hits), bool)
    kept[list(left_out)] = False
    if not kept.any():
        return None
    unattacked = predictions.unattacked & kept
    counted = kept & ~unattacked
    is_figure = not unattacked.any() or (predictions.attacked & counted).any()
    return Accuracy(
        float(predictions.hits[counted].mean()) if is_figure else None,
        int(counted.sum()),
        int(unattacked.sum()),
        int((predictions.non_finite & kept).sum()),
    )
