"""Seeded partitions of a data set that keep the classes' shares."""

import numpy as np

from rar_tf.datasets.splits import Examples, Split


def hold_out(
    labels: np.ndarray, fraction: float, *, seed: int, groups: np.ndarray | None = None
) -> np.ndarray:
    """Draw about `fraction` of each class, at least one example and never all of them.

    Args:
      labels: [N] integers.
      fraction: share of each class, in (0, 1).
      seed: seed of the draw, >= 0, a function of (labels, fraction, seed, groups).
      groups: [N] integers; examples of one class and group stay together (such as frames
        of one track). By default every example is its own group.

    Returns:
      bool [N], True where drawn.

    Raises:
      ValueError: if a class has a single group, so that it cannot be on both sides.
    """
    groups = np.arange(len(labels)) if groups is None else groups
    drawn = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.unique(groups[labels == label])
        if len(members) < 2:
            raise ValueError(
                "each class must have at least 2 examples (or groups of examples) to hold out "
                f"from. Received: class {label} with {len(members)}"
            )
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        # One generator a class: adding a class does not change the draws of the others.
        chosen = np.random.default_rng((seed, int(label))).permutation(members)[:count]
        drawn |= (labels == label) & np.isin(groups, chosen)
    return drawn


def shuffle_if_sorted(examples: Examples | None, seed: int) -> Examples | None:
    """Examples in a seeded order if they are sorted by class; unchanged otherwise.

    The first images of a split are then a sample of it, not its first classes.
    """
    if not isinstance(examples, Split):
        return examples
    labels = examples.labels
    if len(labels) == len(np.unique(labels)) or np.any(np.diff(labels) < 0):
        return examples
    order = np.random.default_rng(seed).permutation(len(labels))
    return examples.take(order)
