"""Quadrature rules: exactness, order of convergence, errors."""

import numpy as np
import pytest

from rar_tf.attribution import RULES, nodes_and_weights


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_weights_sum_to_one_and_nodes_ascend_in_the_unit_interval(rule, steps):
    nodes, weights = nodes_and_weights(rule, steps)
    assert weights.sum() == pytest.approx(1, abs=1e-6)
    assert (np.diff(nodes) > 0).all() and nodes[0] >= 0 and nodes[-1] <= 1


def test_nodes_of_each_rule():
    expected = {
        "left": [0, 0.25, 0.5, 0.75],
        "right": [0.25, 0.5, 0.75, 1],
        "midpoint": [0.125, 0.375, 0.625, 0.875],
        "trapezoid": [0, 0.25, 0.5, 0.75, 1],
    }
    for rule, nodes in expected.items():
        np.testing.assert_allclose(nodes_and_weights(rule, 4)[0], nodes)
    np.testing.assert_allclose(nodes_and_weights("trapezoid", 2)[1], [0.25, 0.5, 0.25])


@pytest.mark.parametrize(("rule", "degree"), [("midpoint", 1), ("trapezoid", 1)])
def test_exact_for_linear_functions(rule, degree):
    nodes, weights = nodes_and_weights(rule, 3)
    assert weights @ nodes == pytest.approx(0.5, abs=1e-6)


def test_gauss_legendre_is_exact_to_degree_2m_minus_1():
    nodes, weights = nodes_and_weights("gauss_legendre", 3)
    for degree in range(6):
        assert weights @ nodes**degree == pytest.approx(1 / (degree + 1), abs=1e-6)
    assert abs(weights @ nodes**6 - 1 / 7) > 1e-4


@pytest.mark.parametrize(
    ("rule", "order"), [("left", 1), ("right", 1), ("midpoint", 2), ("trapezoid", 2)]
)
def test_error_falls_with_the_order_of_the_rule(rule, order):
    def error(steps):
        nodes, weights = nodes_and_weights(rule, steps)
        return abs(float(weights @ np.exp(nodes)) - (np.e - 1))

    assert np.log2(error(4) / error(8)) == pytest.approx(order, abs=0.1)


def test_errors():
    with pytest.raises(ValueError, match=r"rule must be one of .*Received: rule='simpson'"):
        nodes_and_weights("simpson", 3)
    for steps in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match=rf"steps must be (an integer )?>= 1.*steps={steps}"):
            nodes_and_weights("right", steps)
