"""What pushes an explanation: threat models, the search inside them, the attribution attack."""

from rar_tf.attack.criteria import METRICS, metric_function
from rar_tf.attack.ifia import ALGORITHMS, SCORES, SECOND_DERIVATIVES, Found, Ifia
from rar_tf.attack.label_map import ATTRIBUTIONS, LabelMap
from rar_tf.attack.search import DECAYS, Attack, ScoreFn, StepSize, maximize
from rar_tf.attack.threats import LpBall, Threat
from rar_tf.attack.transport import TransportPenalty
from rar_tf.attribution import normal_rows, uniform_rows

__all__ = [
    "ALGORITHMS",
    "ATTRIBUTIONS",
    "DECAYS",
    "METRICS",
    "SCORES",
    "SECOND_DERIVATIVES",
    "Attack",
    "Found",
    "Ifia",
    "LabelMap",
    "LpBall",
    "ScoreFn",
    "StepSize",
    "Threat",
    "TransportPenalty",
    "maximize",
    "metric_function",
    "normal_rows",
    "uniform_rows",
]
