"""evaluate: from a classifier and data to a report."""

import math
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rar_tf import environment
from rar_tf.attack import MapAttack, Search
from rar_tf.chance import majority_share
from rar_tf.checks import check_count
from rar_tf.datasets import Examples, ImageData, duplicates
from rar_tf.evaluation import identity
from rar_tf.evaluation import report as reports
from rar_tf.evaluation.accuracy import Predictions, correct, withstands
from rar_tf.evaluation.attacks import CUSTOM_ATTACK, for_map
from rar_tf.evaluation.description import describe, describe_model
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.logits import logits_of, randomness
from rar_tf.evaluation.map_robustness import attack_maps
from rar_tf.evaluation.output_folder import OutputFolder, output_folder
from rar_tf.evaluation.precision import with_precision
from rar_tf.evaluation.prediction_attacks import PredictionAttack
from rar_tf.evaluation.protocols import ATTACKS, Protocol
from rar_tf.evaluation.protocols import protocol as named_protocol
from rar_tf.evaluation.remarks import with_remarks
from rar_tf.evaluation.report import Accuracy, Report


def evaluate(
    classifier: keras.Model,
    dataset: ImageData | Examples | tuple[np.ndarray, np.ndarray],
    *,
    protocol: Protocol | str = "rar",
    attack: str | MapAttack | Sequence[Search] = "worst_case",
    split: str = "test",
    num_examples: int | None = 500,
    accuracy_examples: int | None = None,
    strong_pgd: bool = True,
    outputs: str = "auto",
    output: str | pathlib.Path | None = None,
    batch_size: int = 32,
    nodes_per_pass: int | None = 10,
    precision: str = "auto",
    seed: int = 0,
    num_pictures: int = 24,
    model_info: dict[str, Any] | None = None,
) -> Report:
    """Measure accuracy, PGD accuracy and attribution robustness of any Keras classifier.

    The maps of the first `num_examples` images are attacked, of those that the classifier gets
    right; the others are skipped and counted. With an output folder, examples.csv grows by a
    row for each image: the same call again continues a stopped one.

    Args:
      classifier: images [B, H, W, C] in [0, 1] -> logits or probabilities [B, classes].
      dataset: an ImageData, a split of one, or (images, labels).
      protocol: "rar", "far" or a `Protocol`.
      attack: attack on maps: a name of `Protocol.attack`, a `MapAttack` or its searches. Of a map
        without gradient only searches that need none run.
      split: split of an ImageData: "train", "validation" or "test".
      num_examples: number of images whose maps are attacked, and of the strong attack on
        predictions; None for all.
      accuracy_examples: number of images of natural and PGD accuracy; None for all, 0 to skip
        them.
      strong_pgd: whether to run the strong attack on predictions too.
      outputs: "auto", "logits" or "probabilities": the classifier's outputs.
      output: folder for report.json, examples.csv and pictures/; None keeps nothing.
      batch_size: number of images in a batch of the attack on maps.
      nodes_per_pass: nodes of a map in one pass; None for all. Memory grows with
        batch_size * nodes_per_pass.
      precision: precision of the searches' networks, one of `models.PRECISIONS`, or "auto": a
        named attack takes its coarse maps in bfloat16 where a trial on this processor shows that
        it works and is faster, else in float32. The measured maps are computed in float32.
      seed: seed of random starts.
      num_pictures: number of attacked images to keep pictures of.
      model_info: further facts on the model for the report, such as its preset.

    Raises:
      ValueError: a model, data, names or numbers that do not fit; or an output folder that
        is in use or holds another evaluation.
    """
    check_count("batch_size", batch_size)
    check_count("nodes_per_pass", 1 if nodes_per_pass is None else nodes_per_pass)
    attacked_set = EvaluationSet(dataset, split=split, num_examples=num_examples)
    protocol = _as_protocol(protocol, attacked_set)
    attack = _as_attack(attack, protocol)
    is_named = attack.name in ATTACKS and attack == protocol.attack(attack.name)
    network, outputs = logits_of(classifier, attacked_set, outputs)
    attack = with_precision(
        attack,
        network,
        precision,
        is_named=is_named,
        image_shape=attacked_set.image_shape,
        output=output,
    )
    attack = for_map(
        attack, protocol.explainer, network, *map(tf.constant, attacked_set.read(np.arange(1)))
    )
    model = describe_model(classifier, outputs, model_info)
    described = describe(model, attacked_set, protocol, attack, seed)
    probe, code = identity.probe(network, attacked_set), identity.code_digest(protocol, attack)
    with output_folder(output, identity.of_evaluation(described, probe, code)) as folder:
        clean = correct(network, attacked_set)
        is_correct = clean.hits
        indices = np.flatnonzero(is_correct)
        rows = folder.rows(indices)
        for new_rows, pictures in attack_maps(
            network,
            attacked_set,
            indices,
            protocol,
            attack,
            done=len(rows),
            seed=seed,
            batch_size=batch_size,
            nodes_per_pass=nodes_per_pass,
        ):
            folder.add(new_rows, pictures[: max(num_pictures - len(rows), 0)])
            rows += new_rows
        strong_set = attacked_set if strong_pgd else None
        accuracies = _kept_accuracies(
            folder, network, (dataset, split, accuracy_examples), strong_set, protocol, seed
        )
        report = Report(
            **described,
            batch_size=batch_size,
            nodes_per_pass=nodes_per_pass,
            **accuracies,
            **reports.summarize(
                rows,
                misclassified=int((~is_correct).sum()),
                non_finite=int(clean.non_finite.sum()),
                counts_unchanged=attack.counts_unchanged,
            ),
            pixels=math.prod(attacked_set.image_shape[:2]),
            majority_share=_majority_share(dataset, split, accuracy_examples, attacked_set),
            randomness=randomness(network, attacked_set),
            hardware=environment.hardware(),
            versions=environment.versions(),
        )
        report = with_remarks(report)
        folder.finish(report)
    return report


def _majority_share(
    dataset: ImageData | Examples | tuple[np.ndarray, np.ndarray],
    split: str,
    count: int | None,
    attacked_set: EvaluationSet,
) -> float:
    """Share of the most frequent class of natural accuracy's images, else of the attacked set's."""
    images = attacked_set
    if count != 0:
        images = EvaluationSet(dataset, split=split, num_examples=count)
    return majority_share(np.concatenate([y for _, y in images.batches()]))


def _as_protocol(protocol: str | Protocol, evaluation_set: EvaluationSet) -> Protocol:
    if isinstance(protocol, Protocol):
        return protocol
    return named_protocol(protocol, evaluation_set.name, evaluation_set.image_shape)


def _as_attack(attack: str | MapAttack | Sequence[Search], protocol: Protocol) -> MapAttack:
    if isinstance(attack, str):
        return protocol.attack(attack)
    if isinstance(attack, MapAttack):
        return attack
    return MapAttack(CUSTOM_ATTACK, tuple(attack))


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


def _kept_accuracies(
    folder: OutputFolder,
    network: keras.Model,
    images: tuple[ImageData | Examples | tuple[np.ndarray, np.ndarray], str, int | None],
    strong_set: EvaluationSet | None,
    protocol: Protocol,
    seed: int,
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
        lambda: _accuracies(network, accuracy_set, strong_set, protocol, seed, repeated),
    )
    return {**accuracies, "duplicates": repeated}


def _accuracies(
    network: keras.Model,
    accuracy_set: EvaluationSet | None,
    strong_set: EvaluationSet | None,
    protocol: Protocol,
    seed: int,
    repeated: list[int] | None,
) -> dict[str, Accuracy | None]:
    """Accuracies by field of the report; None where there is no set of images."""

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
