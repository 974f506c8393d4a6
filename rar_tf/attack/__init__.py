"""What pushes an explanation: threat models, the search inside them, the attribution attack."""

from rar_tf.attack.ifia import ALGORITHMS, SCORES, SECOND_DERIVATIVES, AttackResult, Ifia
from rar_tf.attack.maximize import DECAYS, Attack, ScoreFn, StepSize, maximize
from rar_tf.attack.threats import LpBall, Threat
from rar_tf.attack.transport import TransportPenalty
from rar_tf.attribution import normal_rows, uniform_rows

__all__ = [
    "ALGORITHMS",
    "DECAYS",
    "SCORES",
    "SECOND_DERIVATIVES",
    "Attack",
    "AttackResult",
    "Ifia",
    "LpBall",
    "ScoreFn",
    "StepSize",
    "Threat",
    "TransportPenalty",
    "maximize",
    "normal_rows",
    "uniform_rows",
]
