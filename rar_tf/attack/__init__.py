"""Threat models, the search inside them, and attacks on explanations."""

from rar_tf.attack.ifia import ALGORITHMS, Ifia
from rar_tf.attack.ifia_score import SCORES
from rar_tf.attack.map_attack import MapAttack, Ranking, Search
from rar_tf.attack.maximize import DECAYS, Attack, ScoreFn, StepSize, decaying, maximize
from rar_tf.attack.networks import SECOND_DERIVATIVES, Networks
from rar_tf.attack.perturbations import FAMILIES, random_point, random_signs
from rar_tf.attack.random_search import GradientFreeSearch, LocalSearch, RandomSearch
from rar_tf.attack.selection import AttackResult
from rar_tf.attack.square import Square
from rar_tf.attack.threats import LpBall, Threat
from rar_tf.attack.transport import TransportPenalty
from rar_tf.attribution import normal_rows, uniform_rows

__all__ = [
    "ALGORITHMS",
    "DECAYS",
    "FAMILIES",
    "GradientFreeSearch",
    "SCORES",
    "SECOND_DERIVATIVES",
    "Attack",
    "AttackResult",
    "Ifia",
    "LocalSearch",
    "LpBall",
    "MapAttack",
    "Networks",
    "RandomSearch",
    "Ranking",
    "ScoreFn",
    "Search",
    "Square",
    "StepSize",
    "Threat",
    "TransportPenalty",
    "decaying",
    "maximize",
    "normal_rows",
    "random_point",
    "random_signs",
    "uniform_rows",
]
