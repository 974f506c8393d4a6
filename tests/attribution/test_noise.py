"""Random numbers keyed by (seed, row)."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from rar_tf.attribution import normal_rows, uniform_rows

SEED = tf.constant([3, 4])


@pytest.mark.parametrize("draw", [uniform_rows, normal_rows])
@pytest.mark.parametrize("row_shape", [(5,), (4, 4, 3), ()])
def test_a_part_of_the_rows_is_what_it_is_in_the_whole(draw, row_shape):
    full = draw([10, *row_shape], SEED)
    for first, count in ((0, 3), (3, 5), (9, 1)):
        part = draw([count, *row_shape], SEED, first)
        np.testing.assert_array_equal(part, full[first : first + count])


def test_seeds_and_rows_differ():
    a, b = uniform_rows([2, 8], SEED), uniform_rows([2, 8], tf.constant([3, 5]))
    assert (a[0] != a[1]).numpy().all() and (a != b).numpy().all()


def test_distributions():
    uniform = uniform_rows([100, 50], SEED).numpy().ravel()
    normal = normal_rows([100, 50], SEED).numpy().ravel()
    assert scipy.stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert scipy.stats.kstest(normal, "norm").pvalue > 1e-3
