"""The only ascent loop of the project."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from rar_tf.attack.threats import Threat

# x_adv [B, ...] -> [B]: what an attack ascends.
ScoreFn = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Attack:
    """How to search: the allowed set, the number and the size of the steps.

    Attributes:
      threat: the allowed set around an image.
      steps: gradient steps, >= 0.
      step_size: in pixel units, > 0.
      random_start: start at a random point of the threat rather than at x.
    """

    threat: Threat
    steps: int
    step_size: float
    random_start: bool = True

    def __post_init__(self):
        _check_steps(self.steps, self.step_size)

    def __call__(self, score: ScoreFn, x: tf.Tensor, *, seed, **options) -> tf.Tensor:
        """`maximize` with these settings; the seed is not used without a random start."""
        return maximize(
            score,
            x,
            self.threat,
            steps=self.steps,
            step_size=self.step_size,
            seed=seed if self.random_start else None,
            **options,
        )


def maximize(
    score: ScoreFn,
    x: tf.Tensor,
    threat: Threat,
    *,
    steps: int,
    step_size: float,
    seed: tf.Tensor | None,
    first_row: tf.Tensor | int = 0,
    flat_at_x: bool = False,
    select: ScoreFn | None = None,
) -> tf.Tensor:
    """Projected gradient ascent on `score(x_adv) - threat.penalty(x_adv, x)`, per example.

    x_adv <- project(ascend(x_adv, d score / d x_adv, step_size))      [MMS17; FAR Alg. 1, 2]

    Args:
      score: x_adv [B, ...] -> [B]; examples must not depend on each other.
      x: [B, ...] float32, pixels in [0, 1].
      threat: the allowed set.
      steps: number of steps, >= 0.
      step_size: in pixel units, > 0.
      seed: int [2], for a random start; None starts at x.
      first_row: number of the first row among all rows that share the seed.
      flat_at_x: the score's gradient at x_adv = x is zero, as that of ||IG(x, x_adv)||_1:
        without a random start such a search could not move, and is refused.
      select: x_adv -> [B], -inf or NaN for a point that does not count; the iterate (the
        start and x among them) with the largest value is returned. None returns the last.

    Returns:
      x_adv [B, ...], inside the threat; no gradient flows through it.

    Raises:
      ValueError: bad steps or step_size, or a start at x for a score that is flat there.
    """
    _check_steps(steps, step_size)
    if seed is None and flat_at_x:
        raise ValueError(
            "this score has a zero gradient at x_adv = x and needs a random start. "
            "Received: seed=None"
        )
    x = tf.convert_to_tensor(x)
    # The first gradient is taken at the raw start; bounds apply from the first step on.
    x_adv = x if seed is None else threat.start(x, tf.convert_to_tensor(seed), first_row)

    def step(i, x_adv):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x_adv)
            value = score(x_adv) - threat.penalty(x_adv, x)
        gradient = tape.gradient(value, x_adv, unconnected_gradients="zero")
        return i + 1, threat.project(threat.ascend(x_adv, gradient, step_size), x)

    if select is None:
        if steps == 0:
            return tf.stop_gradient(threat.project(x_adv, x))
        _, x_adv = tf.while_loop(
            lambda i, _: i < steps, step, (tf.constant(0), x_adv), parallel_iterations=1
        )
        return tf.stop_gradient(x_adv)

    def step_and_keep(i, x_adv, best, value):
        i, x_adv = step(i, x_adv)
        return i, x_adv, *_keep(select, x_adv, best, value)

    best, value = _keep(select, x, x, tf.fill(tf.shape(x)[:1], -float("inf")))
    if seed is not None:
        best, value = _keep(select, threat.project(x_adv, x), best, value)
    best = tf.while_loop(
        lambda i, *_: i < steps,
        step_and_keep,
        (tf.constant(0), x_adv, best, value),
        parallel_iterations=1,
    )[2]
    return tf.stop_gradient(best)


def _keep(select, x_adv, best, value):
    """The better of x_adv and best, per example; NaN never wins."""
    candidate = tf.ensure_shape(select(x_adv), value.shape)
    better = candidate > value
    ones = tf.ones(x_adv.shape.rank - 1, tf.int32)
    mask = tf.reshape(better, tf.concat([tf.shape(value), ones], 0))
    return tf.where(mask, x_adv, best), tf.where(better, candidate, value)


def _check_steps(steps, step_size):
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps must be an integer >= 0. Received: steps={steps!r}")
    if not step_size > 0:
        raise ValueError(f"step_size must be > 0. Received: step_size={step_size}")
