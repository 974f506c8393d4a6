"""Outcome of a run: its first and last validation."""

import math
from typing import Any

from rar_tf.chance import is_above_chance
from rar_tf.runs.validation_callback import read_metrics
from rar_tf.runs.workdir import Workdir


def summary(workdir: Workdir) -> dict[str, dict]:
    """The first and last row of metrics.csv, as {"start": ..., "end": ...}; {} without rows."""
    rows = read_metrics(workdir.metrics)
    return {"start": rows[0], "end": rows[-1]} if rows else {}


def below_chance(row: dict[str, Any]) -> str | None:
    """Remark on a row of metrics.csv whose accuracy is not above chance; None for others.

    Chance is always answering the most frequent class, see `is_above_chance`.
    """
    share = row.get("majority_share", math.nan)
    if math.isnan(share):  # A row of a version that did not write it.
        return None
    accuracy, count = row["natural_accuracy"], row["num_examples"]
    if is_above_chance(accuracy, count, share):
        return None
    return (
        f"validation accuracy {accuracy:.4f} of {count} images is not above always answering the "
        f"most frequent class ({share:.4f})"
    )
