"""maximize: projected gradient ascent, the only ascent loop of the project."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from rar_tf.attack.threats import Threat
from rar_tf.checks import check_count, float_images
from rar_tf.naming import check_name
from rar_tf.not_inlined import not_inlined

# x_adv [B, ...] -> [B]: the score that an attack ascends.
ScoreFn = Callable[[tf.Tensor], tf.Tensor]
# In pixel units, > 0; a function of the step's number (int32 scalar from 0) for a schedule.
StepSize = float | Callable[[tf.Tensor], tf.Tensor]
DECAYS = ("constant", "linear")
# The loop's state, number of the next step first.
_State = tuple[tf.Tensor, ...]


@dataclasses.dataclass(frozen=True)
class Attack:
    """Settings of an attack: the allowed set, the number and the size of the steps.

    Attributes:
      threat: allowed set around an image.
      steps: number of gradient steps, >= 0.
      step_size: size of a step, in pixel units, > 0.
      random_start: start at a random point of the threat rather than at x.
      decay: "constant", or "linear" for steps that shrink from `step_size` to 0: see
        `decaying`.
    """

    threat: Threat
    steps: int
    step_size: float
    random_start: bool = True
    decay: str = "constant"

    def __post_init__(self) -> None:
        _check_steps(self.steps, self.step_size)
        check_name("decay", self.decay, DECAYS)

    def __call__(
        self, score: ScoreFn, x: tf.Tensor, *, seed: tf.Tensor | None, **options: Any
    ) -> tf.Tensor:
        """Run `maximize` with these settings; the seed is not used without a random start."""
        return maximize(
            score,
            x,
            self.threat,
            steps=self.steps,
            step_size=decaying(self.step_size, self.steps, self.decay),
            seed=seed if self.random_start else None,
            **options,
        )


def decaying(step_size: float, steps: int, decay: str) -> StepSize:
    """The step size of each step: constant, or `step_size (1 - i / steps)` for "linear".

    The first steps cross the ball, the last ones converge: see `benchmarks/adversary.py`.
    """
    if decay == "constant":
        return step_size
    return lambda i: step_size * (1 - tf.cast(i, tf.float32) / steps)


def maximize(
    score: Callable[..., tf.Tensor],
    x: tf.Tensor,
    threat: Threat,
    *,
    steps: int,
    step_size: StepSize,
    seed: tf.Tensor | None,
    first_row: tf.Tensor | int = 0,
    needs_random_start: bool = False,
    momentum: float = 0.0,
    keep: Callable[[tf.Tensor], tf.Tensor] | None = None,
    select: Callable[[tf.Tensor], tf.Tensor] | None = None,
    select_every: int = 1,
    by_step: bool = False,
) -> tf.Tensor:
    """Projected gradient ascent on `score(x_adv) - threat.penalty(x_adv, x)`, per example.

    x_adv <- project(ascend(x_adv, d score / d x_adv, step_size))      [MMS17; FAR Alg. 1, 2]

    Args:
      score: x_adv [B, ...] -> [B]; examples must not depend on each other.
      x: [B, ...] float32, pixels in [0, 1].
      threat: the allowed set.
      steps: number of steps, >= 0.
      step_size: in pixel units, > 0; or a function of the step's number.
      seed: int [2], for a random start; None starts at x.
      first_row: number of the first row among all rows that share the seed.
      needs_random_start: the score's gradient at x_adv = x is zero, as that of ||IG(x, x_adv)||_1:
        without a random start such a search is refused, as it could not move.
      momentum: mu in [0, 1) of `v <- mu v + gradient / ||gradient||_1`, along which the step
        goes [Dong et al. 2018, Algorithm 1]; 0 follows the gradient itself.
      keep: x_adv -> bool [B]. An example stops for good before the first step that would end
        where this is false; a random start where it is false is replaced by x.
      select: x_adv -> [B], -inf or NaN for a point that does not count; the iterate (the
        start and x among them) with the largest value is returned. For several criteria at
        once x_adv -> [B, M], each with its own best iterate. None returns the last.
      select_every: steps between two calls of `select`; the last step always has one.
      by_step: the score is called as (x_adv, i), i the step's number (int32 scalar from 0), and
        may be another function at each step.

    Returns:
      x_adv [B, ...], inside the threat; [B, M, ...] for several criteria. No gradient flows
      through it.

    Raises:
      ValueError: bad numbers, or a start at x for a score that is flat there.
    """
    _check_steps(steps, step_size)
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must be in [0, 1). Received: momentum={momentum}")
    check_count("select_every", select_every)
    if seed is None and needs_random_start:
        raise ValueError(
            "this score has a zero gradient at x_adv = x and needs a random start. "
            "Received: seed=None"
        )
    x = float_images(x)
    # The first gradient is taken at the raw start; bounds apply from the first step on. The
    # start is a copy of x: a score may close over x, which is to stay fixed.
    start = (
        tf.identity(x) if seed is None else threat.start(x, tf.convert_to_tensor(seed), first_row)
    )
    if keep is not None and seed is not None:
        start = _where(keep(threat.project(start, x)), start, x)

    @not_inlined
    def score_gradient(x_adv: tf.Tensor, i: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x_adv)
            value = score(x_adv, i) if by_step else score(x_adv)
            value = tf.cast(value, x.dtype) - threat.penalty(x_adv, x)
        return tape.gradient(value, x_adv, unconnected_gradients="zero")

    def step(i: tf.Tensor, x_adv: tf.Tensor, velocity: tf.Tensor, moving: tf.Tensor) -> _State:
        gradient = score_gradient(x_adv, i)
        velocity = momentum * velocity + _unit_l1(gradient) if momentum else gradient
        size = step_size(i) if callable(step_size) else step_size
        stepped = threat.project(threat.ascend(x_adv, velocity, size), x)
        if keep is not None:
            moving &= keep(stepped)
            stepped = _where(moving, stepped, x_adv)
        return i + 1, stepped, velocity, moving

    state = (tf.constant(0), start, tf.zeros_like(x), tf.ones(tf.shape(x)[:1], tf.bool))
    if select is None:
        if steps == 0:
            return tf.stop_gradient(threat.project(start, x))
        return tf.stop_gradient(_loop(steps, step, state)[1])

    select = not_inlined(select)
    value = select(x)
    value = tf.where(tf.math.is_nan(value), -float("inf"), value)
    best = x if value.shape.rank == 1 else tf.repeat(x[:, tf.newaxis], tf.shape(value)[1], 1)
    if seed is not None:
        best, value = keep_better(select, threat.project(start, x), best, value)

    def step_and_keep(
        i: tf.Tensor,
        x_adv: tf.Tensor,
        velocity: tf.Tensor,
        moving: tf.Tensor,
        best: tf.Tensor,
        value: tf.Tensor,
    ) -> _State:
        i, x_adv, velocity, moving = step(i, x_adv, velocity, moving)
        if select_every == 1:
            best, value = keep_better(select, x_adv, best, value)
        else:
            best, value = tf.cond(
                (i % select_every == 0) | (i == steps),
                lambda: keep_better(select, x_adv, best, value),
                lambda: (best, value),
            )
        return i, x_adv, velocity, moving, best, value

    return tf.stop_gradient(_loop(steps, step_and_keep, (*state, best, value))[4])


def _loop(steps: int, body: Callable[..., _State], state: _State) -> _State:
    return tf.while_loop(lambda i, *_: i < steps, body, state, parallel_iterations=1)


def keep_better(
    select: ScoreFn, x_adv: tf.Tensor, best: tf.Tensor, value: tf.Tensor, *, ties: bool = False
) -> tuple[tf.Tensor, tf.Tensor]:
    """The better of x_adv and best, per example and criterion; NaN never wins.

    Args:
      select: x_adv [B, ...] -> values [B] or [B, M].
      x_adv: [B, ...], the new points.
      best: [B, ...] or [B, M, ...], the best points so far.
      value: [B] or [B, M], their values.
      ties: whether x_adv replaces a point of the same finite value.
    """
    candidate = tf.ensure_shape(select(x_adv), value.shape)
    better = candidate > value
    if ties:
        better |= (candidate == value) & tf.math.is_finite(value)
    point = x_adv if value.shape.rank == 1 else x_adv[:, tf.newaxis]
    return _where(better, point, best), tf.where(better, candidate, value)


def _where(condition: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """`tf.where` by the first axes of y."""
    ones = tf.ones(y.shape.rank - condition.shape.rank, tf.int32)
    return tf.where(tf.reshape(condition, tf.concat([tf.shape(condition), ones], 0)), x, y)


def _unit_l1(x: tf.Tensor) -> tf.Tensor:
    axes = list(range(1, x.shape.rank))
    return tf.math.divide_no_nan(x, tf.reduce_sum(tf.abs(x), axes, keepdims=True))


def _check_steps(steps: int, step_size: StepSize) -> None:
    check_count("steps", steps, 0)
    if not callable(step_size) and not step_size > 0:
        raise ValueError(f"step_size must be > 0. Received: step_size={step_size}")
