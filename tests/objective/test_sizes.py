"""Size functions in closed form."""

import numpy as np
import pytest
import tensorflow as tf

from rar_tf.objective import sizes

A = tf.constant([[[[1.0], [-2.0]], [[0.5], [0.0]]], [[[-1.0], [-1.0]], [[-3.0], [0.0]]]])


@pytest.mark.parametrize(
    ("size", "values"),
    [
        (sizes.l1, [3.5, 5.0]),
        (sizes.total, [-0.5, -5.0]),
        (sizes.abs_total, [0.5, 5.0]),
        (sizes.lq_power(1), [3.5, 5.0]),
        (sizes.lq_power(2), [5.25, 11.0]),
    ],
)
def test_values(size, values):
    np.testing.assert_allclose(size(A), values)


def test_q_below_one_is_refused():
    with pytest.raises(ValueError, match="q must be >= 1. Received: q=0.5"):
        sizes.lq_power(0.5)
