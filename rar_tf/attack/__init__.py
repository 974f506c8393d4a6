"""What pushes an explanation: threat models and the search inside them."""

from rar_tf.attack.noise import normal_rows, uniform_rows
from rar_tf.attack.search import Attack, ScoreFn, maximize
from rar_tf.attack.threats import LpBall, Threat

__all__ = [
    "Attack",
    "LpBall",
    "ScoreFn",
    "Threat",
    "maximize",
    "normal_rows",
    "uniform_rows",
]
