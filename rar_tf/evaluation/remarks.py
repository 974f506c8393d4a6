"""Remarks: what makes the figures of a report doubtful."""

import dataclasses
from collections.abc import Iterator

from absl import logging

from rar_tf.attribution import METHODS
from rar_tf.chance import is_above_chance
from rar_tf.evaluation.report import ACCURACIES, Report

_COMPLETENESS = 0.05
# Below it no accuracy on the attacked images is told from chance.
_CHANCE_EXAMPLES = 10
_GRADIENTS = (
    ("no_loss_gradient", "the gradient of the loss by the pixels is zero, missing or not finite"),
    ("no_logit_gradient", "the gradient of the logit by the pixels is zero, missing or not finite"),
    (
        "no_map_gradient",
        "the gradient of the map by the pixels is zero, missing or far from finite differences, "
        "as of operations without second derivative or of ReLUs inside a layer's own code",
    ),
)


@dataclasses.dataclass(frozen=True)
class Remark:
    """A fact that makes figures of a report doubtful.

    Attributes:
      name: key of the remark.
      text: sentence for a reader of the report.
      masks: whether a figure may be better than the truth.
    """

    name: str
    text: str
    masks: bool

    @property
    def line(self) -> str:
        """The text, after "warning: " if the remark masks, else after "note: "."""
        return f"{'warning' if self.masks else 'note'}: {self.text}"


def remarks_of(report: Report) -> list[Remark]:
    """The remarks that follow from a report's other fields; those that mask first."""
    remarks = [*_of_gradients(report), *_of_model(report), *_of_images(report), *_of_map(report)]
    return sorted(remarks, key=lambda remark: not remark.masks)


def with_remarks(report: Report) -> Report:
    """The report with its remarks; those that mask are also logged as warnings."""
    remarks = remarks_of(report)
    for remark in remarks:
        if remark.masks:
            logging.warning("%s", remark.text)
    return dataclasses.replace(report, remarks=[dataclasses.asdict(part) for part in remarks])


def _of_gradients(report: Report) -> Iterator[Remark]:
    counts = report.counts
    along_gradients = [
        search
        for search in report.searches
        if search["kind"] == "Ifia" and search["score"] != "random"
    ]
    if report.searches and not along_gradients:
        yield Remark(
            "gradient_free",
            "only searches without gradients ran: random and local changes of the image",
            False,
        )
    for name, words in _GRADIENTS:
        if counts.get(name):
            text = f"{words}: {_of_attacked(report, name)}"
            yield Remark(name, f"{text}; attacks along it are too weak", True)
    improved_without = counts.get("not_improved", 0) - counts["no_candidate"]
    if improved_without > 0:
        yield Remark(
            "not_improved",
            f"no search along a gradient found a candidate for {improved_without} of "
            f"{counts['attacked']} images, where searches without gradients did",
            2 * improved_without > counts["attacked"],
        )
    for name in ACCURACIES:
        unattacked = getattr(getattr(report, name), "unattacked", 0)
        if unattacked:
            yield Remark(
                f"{name}_unattacked",
                f"{name.replace('_', ' ')}: {unattacked} images had no loss gradient, so that the "
                "attack did not reach them; they are left out of this figure",
                True,
            )


def _of_model(report: Report) -> Iterator[Remark]:
    if report.randomness:
        yield Remark(
            "random",
            "the classifier is random at inference: two calls on the same images differ by up to "
            f"{report.randomness:.3g} in a logit",
            True,
        )
    accuracies = [getattr(report, name) for name in ACCURACIES]
    non_finite = max(getattr(accuracy, "non_finite", 0) for accuracy in accuracies)
    non_finite = max(non_finite, report.counts.get("non_finite", 0))
    if non_finite:
        yield Remark("non_finite", f"logits are not finite for {non_finite} images", True)
    attacked, natural = report.counts["attacked"], report.natural_accuracy
    accuracy, count = 0.0, 0
    if natural and natural.value is not None:
        accuracy, count = natural.value, natural.num_examples
    if natural is None and attacked + report.counts["misclassified"] >= _CHANCE_EXAMPLES:
        count = attacked + report.counts["misclassified"]
        accuracy = attacked / count
    share = report.majority_share
    if count and share is not None and not is_above_chance(accuracy, count, share):
        yield Remark(
            "chance",
            f"natural accuracy {accuracy:.4f} of {count} images is not above always answering the "
            f"most frequent class ({share:.4f})",
            True,
        )


def _of_images(report: Report) -> Iterator[Remark]:
    counts, figures = report.counts, report.metrics["kendall"].num_examples
    if not figures:
        yield Remark(
            "nothing_attacked",
            f"nothing was measured: none of {counts['attacked']} images has a figure",
            True,
        )
    if counts["constant"]:
        yield Remark(
            "constant",
            f"the clean map is constant: {_of_attacked(report, 'constant')}, which have no figure",
            False,
        )
    if counts["undefined"]:
        yield Remark(
            "undefined",
            f"a metric is not defined for some perturbed map: {_of_attacked(report, 'undefined')}",
            False,
        )
    if counts["no_candidate"] > counts["constant"]:
        yield Remark(
            "no_candidate",
            "no perturbed image of unchanged label: "
            f"{_of_attacked(report, 'no_candidate')}, which have no figure",
            False,
        )
    if figures == 1:
        yield Remark("one_image", "the figures are of one image and have no interval", False)


def _of_map(report: Report) -> Iterator[Remark]:
    k, pixels = report.protocol["k"], report.pixels
    if report.counts.get("few_pixels"):
        yield Remark(
            "few_pixels",
            f"the clean map has fewer than k={k} pixels that are not zero: "
            f"{_of_attacked(report, 'few_pixels')}; IN counts zeros there",
            False,
        )
    if pixels and 2 * k > pixels:
        yield Remark(
            "large_k",
            f"k={k} is more than half of the {pixels} pixels: IN is {k / pixels:.2f} by chance",
            False,
        )
    error = report.completeness["mean_error"]
    change = report.completeness["mean_output_change"]
    has_completeness = report.protocol["explainer"]["method"] == METHODS[0]
    if has_completeness and error is not None and change is not None:
        if error > _COMPLETENESS * change:
            yield Remark(
                "completeness",
                f"the map does not add up: its sum differs by {error:.3g} on average from the "
                f"change of the logit, which is {change:.3g}",
                False,
            )


def _of_attacked(report: Report, name: str) -> str:
    return f"{report.counts[name]} of {report.counts['attacked']} images"
