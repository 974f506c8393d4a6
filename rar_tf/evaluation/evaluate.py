"""evaluate: from a classifier and data to a report."""

import math
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rar_tf import environment, models
from rar_tf.attack import MapAttack, Search
from rar_tf.chance import majority_share
from rar_tf.datasets import Examples, ImageData
from rar_tf.evaluation import identity
from rar_tf.evaluation import report as reports
from rar_tf.evaluation.accuracies import kept_accuracies
from rar_tf.evaluation.accuracy import correct
from rar_tf.evaluation.attacks import CUSTOM_ATTACK, for_map
from rar_tf.evaluation.description import describe, describe_model
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.logits import logits_of, randomness
from rar_tf.evaluation.map_robustness import attack_maps
from rar_tf.evaluation.output_folder import output_folder
from rar_tf.evaluation.plan import check_sizes, plan
from rar_tf.evaluation.precision import with_precision
from rar_tf.evaluation.protocols import ATTACKS, Protocol
from rar_tf.evaluation.protocols import protocol as named_protocol
from rar_tf.evaluation.remarks import with_remarks
from rar_tf.evaluation.report import Report
from rar_tf.evaluation.traced import gradient_check


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
    pixels: str | models.PixelFn = "auto",
    outputs: str = "auto",
    output_name: str | None = None,
    output: str | pathlib.Path | None = None,
    batch_size: int | str = "auto",
    nodes_per_pass: int | str | None = "auto",
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
      classifier: any Keras classifier; `models.adapt` makes it images in [0, 1] -> logits.
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
      pixels: pixels that the classifier takes, see `models.Convention`.
      outputs: "auto", "logits" or "probabilities": the classifier's outputs.
      output_name: name of the output that classifies, of a classifier with several.
      output: folder for report.json, examples.csv and pictures/; None keeps nothing.
      batch_size: number of images in a batch of the attack on maps; "auto" for 32, or as many as
        75% of the free memory holds.
      nodes_per_pass: nodes of a map in one pass; None for all, "auto" for 10, or as many as fit.
        Memory grows with batch_size * nodes_per_pass.
      precision: precision of the searches' networks, one of `models.PRECISIONS`, or "auto": a
        named attack takes its coarse maps in bfloat16 where a trial on this processor shows that
        it works and is faster, else in float32. The measured maps are computed in float32.
      seed: seed of random starts.
      num_pictures: number of attacked images to keep pictures of.
      model_info: further facts on the model for the report, such as its preset.

    Raises:
      ValueError: a model, data, names or numbers that do not fit; a model that is clearly better
        on other pixels than it gets; an image too large for the memory; or an output folder that
        is in use or holds another evaluation.
    """
    check_sizes(batch_size, nodes_per_pass)
    attacked_set = EvaluationSet(dataset, split=split, num_examples=num_examples)
    protocol = _as_protocol(protocol, attacked_set)
    attack = _as_attack(attack, protocol)
    is_named = attack.name in ATTACKS and attack == protocol.attack(attack.name)
    convention = models.Convention(pixels, outputs, output_name)
    adapted = logits_of(classifier, attacked_set, convention)
    network = adapted.model
    labelled = EvaluationSet(dataset, split=split)
    models.check_pixels(classifier, adapted, labelled.read, len(labelled))
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
    model = describe_model(classifier, adapted.conversions, model_info)
    described = describe(model, attacked_set, protocol, attack, seed)
    probe = identity.probe(network, attacked_set)
    code = identity.code_digest(protocol, attack, *convention.functions)
    check = gradient_check(network, attacked_set, attack)
    batches = plan(
        network,
        attacked_set,
        protocol,
        attack,
        check,
        batch_size=batch_size,
        nodes_per_pass=nodes_per_pass,
    )
    with output_folder(output, identity.of_evaluation(described, probe, code)) as folder:
        batches.announce(max(len(attacked_set) - folder.count(), 0))
        clean = correct(network, attacked_set, batch_size=batches.prediction_batch)
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
            batch_size=batches.batch_size,
            nodes_per_pass=batches.nodes_per_pass,
            check=check,
        ):
            folder.add(new_rows, pictures[: max(num_pictures - len(rows), 0)])
            rows += new_rows
        strong_set = attacked_set if strong_pgd else None
        accuracies = kept_accuracies(
            folder,
            network,
            (dataset, split, accuracy_examples),
            strong_set,
            protocol,
            seed,
            batch_size=batches.prediction_batch,
        )
        report = Report(
            **described,
            batch_size=batches.batch_size,
            nodes_per_pass=batches.nodes_per_pass,
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
