"""Accuracies against always answering the most frequent class."""

import numpy as np
import pytest

from rar_tf.chance import is_above_chance, majority_share


def test_majority_share_by_hand():
    assert majority_share(np.array([2, 0, 2, 1])) == 0.5
    assert majority_share(np.array([7])) == 1.0


@pytest.mark.parametrize(
    ("hits", "count", "share", "above"),
    [
        (4, 4, 0.25, True),  # 1/256
        (3, 3, 0.25, False),  # 1/64
        (7, 7, 0.5, True),  # 1/128
        (6, 6, 0.5, False),  # 1/64
        (36, 100, 0.5, False),
        (10, 10, 1.0, False),
        (62, 100, 0.5, False),
        (63, 100, 0.5, True),
    ],
)
def test_above_chance_by_the_binomial_law(hits, count, share, above):
    assert is_above_chance(hits / count, count, share) == above
