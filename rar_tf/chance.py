"""Comparison of an accuracy with that of always answering the most frequent class."""

import numpy as np
import scipy.stats

_LEVEL = 0.01


def majority_share(labels: np.ndarray) -> float:
    """Share of the most frequent class among integer labels [N], N >= 1."""
    _, counts = np.unique(np.asarray(labels), return_counts=True)
    return float(counts.max() / counts.sum())


def is_above_chance(accuracy: float, num_examples: int, share: float) -> bool:
    """Whether an accuracy is above the share of the most frequent class.

    One-sided binomial test: the probability of at least as many right predictions, were each
    right with probability `share`, is below 0.01.

    Args:
      accuracy: share of right predictions, in [0, 1].
      num_examples: number of images, >= 1.
      share: share of the most frequent class, in (0, 1].
    """
    hits = round(accuracy * num_examples)
    test = scipy.stats.binomtest(hits, num_examples, share, alternative="greater")
    return bool(test.pvalue < _LEVEL)
