"""Accuracies of a report: natural, under the paper's PGD and under the strong attack."""

from collections.abc import Sequence

import keras
import numpy as np

from rar_tf.evaluation.accuracy import Predictions, correct, withstands
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.prediction_attacks import PredictionAttack
from rar_tf.evaluation.protocols import Protocol
from rar_tf.evaluation.report import Accuracy


def accuracy_fields(
    network: keras.Model,
    accuracy_set: EvaluationSet | None,
    strong_set: EvaluationSet | None,
    protocol: Protocol,
    seed: int,
    repeated: list[int] | None,
) -> dict[str, Accuracy | None]:
    """Accuracies by field of the report; None where there is no set of images.

    Args:
      network: images -> logits.
      accuracy_set: images of natural and PGD accuracy; None to skip them.
      strong_set: images of the strong attack on predictions; None to skip it.
      protocol: protocol of the measurement.
      seed: seed of random starts.
      repeated: numbers of images of `accuracy_set` that are training images too; None without any.
    """

    def under(images: EvaluationSet | None, attack: PredictionAttack) -> Predictions | None:
        if images is None:
            return None
        return withstands(network, images, protocol.threat, attack, seed=seed)

    natural = None if accuracy_set is None else correct(network, accuracy_set)
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
