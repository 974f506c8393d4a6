"""Quadrature on [0, 1]: rule name and number of steps -> nodes and weights."""

import numpy as np

from rar_tf.checks import check_count

# Limits of memory; the roots of Legendre polynomials need the square of their number.
_MAX_STEPS, _MAX_ROOTS = 100_000, 1000
RULES = ("left", "right", "midpoint", "trapezoid", "gauss_legendre")


def nodes_and_weights(rule: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes t_k and weights w_k with `int_0^1 f(t) dt ~ sum_k w_k f(t_k)`.

    `right` (t_k = k/m, k = 1..m) is the rule of the original implementation, `left`
    (k = 0..m-1) that of [RAR eq. 3]. The error falls as 1/m for these two, as 1/m^2
    for `midpoint` and `trapezoid`; `gauss_legendre` is exact for polynomials of degree
    2m - 1.

    Args:
      rule: one of `RULES`.
      steps: m, the number of intervals; the trapezoid rule has m + 1 nodes, the others m.

    Returns:
      (nodes, weights): float32 arrays of equal length, ascending nodes, weights of sum 1.

    Raises:
      ValueError: an unknown rule, or steps that are not an integer >= 1 or exceed the limit.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {RULES}. Received: rule={rule!r}")
    check_count("steps", steps)
    limit = _MAX_ROOTS if rule == "gauss_legendre" else _MAX_STEPS
    if steps > limit:
        raise ValueError(f"steps of rule {rule} must be <= {limit}. Received: steps={steps}")
    weights = np.full(steps, 1.0 / steps)
    if rule == "left":
        nodes = np.arange(steps) / steps
    elif rule == "right":
        nodes = np.arange(1, steps + 1) / steps
    elif rule == "midpoint":
        nodes = (np.arange(steps) + 0.5) / steps
    elif rule == "trapezoid":
        nodes = np.arange(steps + 1) / steps
        weights = np.full(steps + 1, 1.0 / steps)
        weights[[0, -1]] /= 2
    else:
        roots, gauss = np.polynomial.legendre.leggauss(steps)
        nodes, weights = (roots + 1) / 2, gauss / 2
    return nodes.astype(np.float32), weights.astype(np.float32)
