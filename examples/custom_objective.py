"""A custom objective in one function; `train.main` takes it by name.

    python -m train.main --objective=examples.custom_objective:smooth_loss --max_steps=50

The size of the integrated gradients is the squared 2-norm in place of the 1-norm of `ig_norm`:
`l(x) + weight * max ||IG(x, x_adv)||_2^2`.
"""

import tensorflow as tf

from rar_tf.objective import Objective, ig_norm


def smooth_loss(weight: float = 10.0, *, ig_steps: int = 3, attack_ig_steps: int = 1) -> Objective:
    """`ig_norm` with another size function; the arguments' defaults are the preset's values."""

    def squared(attribution: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(attribution**2, [1, 2, 3])

    return ig_norm(weight, size=squared, ig_steps=ig_steps, attack_ig_steps=attack_ig_steps)
