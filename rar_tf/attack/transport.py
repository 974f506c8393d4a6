"""TransportPenalty: the Lagrangian of distributional robustness, a cost in place of a ball."""

import dataclasses
import math

import tensorflow as tf

from rar_tf.attack.threats import check_bounds, clip
from rar_tf.attribution.noise import uniform_rows


@dataclasses.dataclass(frozen=True)
class TransportPenalty:
    """Allows every image within the bounds at the cost gamma * c(x, x_adv).

    sup_{z'} { d_IG(z, z') - gamma c(z, z') }     [RAR eq. 7; SND18]

    c is infinite where the label changes, so labels stay. Ascent is by plain gradients
    times the step size: on a linear score <c, x> with the squared cost it settles at
    x + c / (2 gamma) where step_size < 1 / gamma.

    Attributes:
      gamma: factor of the cost, in units of the score per unit of cost, > 0.
      bounds: (lowest, highest) pixel value, or None for no bounds.
      cost: "squared_l2" ([SND18], the default) or "l2" ([RAR sec. 3.2]'s example).
      start_radius: l_inf distance within which random starts are uniform, for scores with a
        zero gradient at x.
    """

    gamma: float
    bounds: tuple[float, float] | None = (0.0, 1.0)
    cost: str = "squared_l2"
    start_radius: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.gamma < math.inf:
            raise ValueError(f"gamma must be finite and > 0. Received: gamma={self.gamma}")
        if self.cost not in ("squared_l2", "l2"):
            raise ValueError(f'cost must be "squared_l2" or "l2". Received: cost={self.cost!r}')
        if not 0 <= self.start_radius < math.inf:
            raise ValueError(
                f"start_radius must be finite and >= 0. Received: start_radius={self.start_radius}"
            )
        check_bounds(self.bounds)

    def start(self, x: tf.Tensor, seed: tf.Tensor, first_row: tf.Tensor | int = 0) -> tf.Tensor:
        """A random point, uniform within `start_radius` of x."""
        uniform = tf.cast(uniform_rows(tf.shape(x), seed, first_row), x.dtype)
        return x + self.start_radius * (2 * uniform - 1)

    def ascend(self, x_adv: tf.Tensor, gradient: tf.Tensor, step: tf.Tensor | float) -> tf.Tensor:
        """A plain gradient step, as in [SND18 Algorithm 1]."""
        return x_adv + step * gradient

    def project(self, x_adv: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """Clip to the bounds."""
        return clip(x_adv, self.bounds)

    def penalty(self, x_adv: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """gamma * c(x, x_adv), [B]; its gradient at x_adv = x is zero."""
        squared = tf.reduce_sum(tf.square(x_adv - x), list(range(1, x.shape.rank)))
        if self.cost == "squared_l2":
            return self.gamma * squared
        # The slope of a root at zero is infinite: keep it out of the gradient.
        moved = squared > 0
        return self.gamma * tf.where(moved, tf.sqrt(tf.where(moved, squared, 1.0)), 0.0)
