"""Threat models, the search inside them, and attacks on explanations."""

from rar_tf.attack.ifia import ALGORITHMS, AttackResult, Ifia
from rar_tf.attack.ifia_score import SCORES
from rar_tf.attack.map_attack import MapAttack
from rar_tf.attack.maximize import DECAYS, Attack, ScoreFn, StepSize, decaying, maximize
from rar_tf.attack.networks import SECOND_DERIVATIVES, Networks
from rar_tf.attack.square import Square
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
    "MapAttack",
    "Networks",
    "ScoreFn",
    "Square",
    "StepSize",
    "Threat",
    "TransportPenalty",
    "decaying",
    "maximize",
    "normal_rows",
    "uniform_rows",
]
