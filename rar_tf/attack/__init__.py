"""What pushes an explanation: threat models and the search inside them."""

from rar_tf.attack.search import Attack, ScoreFn, maximize
from rar_tf.attack.threats import LpBall, Threat
from rar_tf.attack.transport import TransportPenalty
from rar_tf.attribution import normal_rows, uniform_rows

__all__ = [
    "Attack",
    "LpBall",
    "ScoreFn",
    "Threat",
    "TransportPenalty",
    "maximize",
    "normal_rows",
    "uniform_rows",
]
