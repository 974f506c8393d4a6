"""maximize: known optima by coordinates, selection, starts, tracing, errors."""

import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import Attack, LpBall, maximize

SEED = tf.constant([5, 6])
X = tf.constant([[0.5, 0.5, 0.05], [0.2, 0.9, 0.5]])
C = tf.constant([1.0, -2.0, -0.5])
linear = lambda x_adv: tf.linalg.matvec(x_adv, C)  # noqa: E731


def test_linear_score_on_the_linf_ball_ends_in_the_corner_within_bounds():
    expected = np.clip(X + 0.1 * np.sign(C), 0, 1)
    for seed in (None, SEED):
        x_adv = maximize(linear, X, LpBall("inf", 0.1), steps=20, step_size=0.03, seed=seed)
        np.testing.assert_allclose(x_adv, expected, atol=1e-6)


def test_linear_score_on_the_l2_ball_ends_on_the_ray():
    x_adv = maximize(linear, X, LpBall(2, 0.1, bounds=None), steps=60, step_size=0.05, seed=SEED)
    np.testing.assert_allclose(x_adv, X + 0.1 * C / np.linalg.norm(C), atol=1e-3)


def test_concave_score_with_its_peak_inside_the_ball():
    peak = X + tf.constant([[0.05, -0.02, 0.03]])
    x_adv = maximize(
        lambda p: -tf.reduce_sum((p - peak) ** 2, -1),
        X,
        LpBall("inf", 0.1),
        steps=200,
        step_size=0.001,
        seed=None,
    )
    np.testing.assert_allclose(x_adv, peak, atol=2e-3)


def test_selection_returns_the_best_point_met_and_never_one_below_the_start():
    """A score whose steps overshoot: the last iterate is worse than the best."""
    peak = X + 0.01

    def score(p):
        return -tf.reduce_max(tf.abs(p - peak), -1)

    options = {"steps": 7, "step_size": 0.05, "seed": None}
    last = maximize(score, X, LpBall("inf", 0.1), **options)
    best = maximize(score, X, LpBall("inf", 0.1), select=score, **options)
    assert (score(best) >= score(X)).numpy().all()
    assert (score(best) >= score(last)).numpy().all()
    assert (score(last) < score(X)).numpy().any()


def test_selection_among_a_recorded_trajectory():
    """Every iterate is offered once, in order; the kept one is the maximum of those."""
    met = []

    def select(p):
        met.append(p.numpy())
        return tf.sin(40 * p[:, 0])

    best = maximize(
        linear, X, LpBall("inf", 0.1), steps=5, step_size=0.02, seed=SEED, select=select
    ).numpy()
    assert len(met) == 7  # x, the start, five steps
    values = np.sin(40 * np.stack(met)[:, :, 0])
    for row in range(2):
        np.testing.assert_array_equal(best[row], met[values[:, row].argmax()][row])


def test_nan_and_minus_infinity_never_win():
    def select(p):
        return tf.where(p[:, 0] > 0.5, [float("nan"), 1.0], [-float("inf")] * 2)

    x_adv = maximize(
        linear, X, LpBall("inf", 0.4), steps=3, step_size=0.2, seed=None, select=select
    )
    np.testing.assert_array_equal(x_adv[0], X[0])
    assert x_adv[1, 0] > 0.5


def test_eager_equals_graph_and_the_second_call_does_not_retrace():
    traces = []

    @tf.function
    def run(x, seed):
        traces.append(1)
        return maximize(
            lambda p: tf.reduce_sum(tf.sin(7 * p), -1),
            x,
            LpBall("inf", 0.1),
            steps=5,
            step_size=0.02,
            seed=seed,
        )

    eager = run.python_function(X, SEED)
    np.testing.assert_allclose(run(X, SEED), eager, atol=1e-6)
    assert len(traces) == 2
    run(X + 0.01, SEED + 1)
    assert len(traces) == 2


def test_start_depends_on_seed_and_row_alone():
    options = {"steps": 0, "step_size": 0.1}
    ball = LpBall("inf", 0.1)
    whole = maximize(linear, X, ball, seed=SEED, **options)
    np.testing.assert_array_equal(
        maximize(linear, X[1:], ball, seed=SEED, first_row=1, **options), whole[1:]
    )
    assert (maximize(linear, X, ball, seed=SEED + 1, **options) != whole).numpy().any()
    np.testing.assert_array_equal(maximize(linear, X, ball, seed=None, **options), X)


def test_no_gradient_flows_through_the_attack():
    with tf.GradientTape() as tape:
        tape.watch(C)
        value = tf.reduce_sum(maximize(linear, X, LpBall(), steps=2, step_size=0.1, seed=None))
    assert tape.gradient(value, C) is None


def test_a_score_that_closes_over_x_keeps_it_fixed():
    """Starting at x, the tape must not take x itself for what moves."""
    x_adv = maximize(
        lambda p: linear(p - X), X, LpBall("inf", 0.1), steps=1, step_size=0.01, seed=None
    )
    np.testing.assert_allclose(x_adv - X, 0.01 * np.sign(C) * np.ones_like(X), atol=1e-6)


def test_attack_without_random_start_ignores_its_seed():
    attack = Attack(LpBall(), steps=0, step_size=0.1, random_start=False)
    np.testing.assert_array_equal(attack(linear, X, seed=SEED), X)


def test_errors():
    with pytest.raises(ValueError, match="zero gradient at x_adv = x and needs a random start"):
        maximize(linear, X, LpBall(), steps=1, step_size=0.1, seed=None, needs_random_start=True)
    for steps in (-1, 1.5, True):
        with pytest.raises(ValueError, match=f"steps must be (an integer )?>= 0.*steps={steps}"):
            Attack(LpBall(), steps=steps, step_size=0.1)
    for step_size in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=f"step_size must be > 0.*step_size={step_size}"):
            Attack(LpBall(), steps=1, step_size=step_size)


def test_decaying_steps_shrink_linearly_to_zero():
    search = Attack(LpBall("inf", 0.3, None), 4, 0.1, random_start=False, decay="linear")
    # 0.1 (1 + 3/4 + 1/2 + 1/4) along the sign of the gradient, which for `linear` is constant.
    moved = search(linear, X, seed=None) - X
    np.testing.assert_allclose(np.abs(moved), 0.25, rtol=1e-6)
    with pytest.raises(ValueError, match="decay must be.*constant, linear"):
        Attack(LpBall("inf", 0.3), 4, 0.1, decay="cosine")
