"""Summary of a report as text for a terminal."""

from rar_tf.evaluation import Accuracy, Interval, Remark, Report


def summary(report: Report) -> str:
    """Summary of one report as text for a terminal."""
    lines = []
    if descriptions := (report.model.get("input_convention") or {}).get("descriptions"):
        lines.append(f"model: {'; '.join(descriptions)}")
    for name, words in (
        ("natural_accuracy", "natural accuracy"),
        ("pgd_accuracy", "PGD accuracy"),
        ("strong_pgd_accuracy", "accuracy under the strong attack"),
    ):
        accuracy = getattr(report, name)
        if accuracy:
            lines.append(f"{words}: {_accuracy_words(accuracy)}")
    natural = report.natural_accuracy_without_duplicates
    if report.duplicates and natural and natural.value is not None:
        lines.append(
            f"natural accuracy without the {len(report.duplicates)} that are training images too: "
            f"{natural.value:.4f} ({natural.num_examples} images)"
        )
    for name in ("top_k", "kendall", "spearman"):
        lines.append(f"{name}: {_figure(report.metrics[name])}")
    lines += _chance_and_completeness(report)
    lines.append(", ".join(f"{name} {count}" for name, count in report.counts.items()))
    if report.images_per_second:
        lines.append(f"attack {report.attack}: {report.images_per_second:.3f} images/s")
    lines += [Remark(**remark).line for remark in report.remarks]
    return "\n".join(lines)


def _figure(metric: Interval) -> str:
    """Mean, interval and median of a metric for a terminal; "-" without a figure."""
    if metric.mean is None:
        return "-"
    bounds = "" if metric.low is None else f" [{metric.low:.4f}, {metric.high:.4f}]"
    text = f"{metric.mean:.4f}{bounds}, median {metric.median:.4f} ({_images(metric.num_examples)})"
    if metric.mean_with_ones is None:
        return text
    return f"{text}; with images without candidate as unchanged {metric.mean_with_ones:.4f}"


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _chance_and_completeness(report: Report) -> list[str]:
    parts = []
    if report.pixels:
        k = report.protocol["k"]
        parts.append(f"top_k by chance: {k / report.pixels:.4f} (k={k} of {report.pixels} pixels)")
    error = report.completeness.get("mean_error")
    if error is not None:
        parts.append(
            f"completeness: mean error {error:.4g} of a mean change of the logit of "
            f"{report.completeness['mean_output_change']:.4g}"
        )
    return ["; ".join(parts)] if parts else []


def _accuracy_words(accuracy: Accuracy) -> str:
    """The share, the number of images behind it, and those that are left out or not finite."""
    counts = [f"{accuracy.num_examples} images"]
    if accuracy.unattacked:
        counts.append(f"{accuracy.unattacked} without loss gradient not attacked")
    if accuracy.non_finite:
        counts.append(f"{accuracy.non_finite} with logits that are not finite")
    value = "-" if accuracy.value is None else f"{accuracy.value:.4f}"
    return f"{value} ({'; '.join(counts)})"
