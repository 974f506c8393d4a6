"""Evaluation: accuracy and attribution robustness of any Keras classifier."""

from rar_tf.evaluation.accuracy import Predictions, correct, withstands
from rar_tf.evaluation.attacks import CUSTOM_ATTACK
from rar_tf.evaluation.description import described_search
from rar_tf.evaluation.evaluate import evaluate
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.examples import AttackedExample, ExampleMetrics, ExamplesFile
from rar_tf.evaluation.explain import Explanation, explain
from rar_tf.evaluation.logits import logits_of
from rar_tf.evaluation.map_robustness import attack_maps
from rar_tf.evaluation.prediction_attacks import Pgd, PredictionAttack
from rar_tf.evaluation.protocols import ATTACKS, PROTOCOLS, Protocol, protocol
from rar_tf.evaluation.remarks import Remark, remarks_of
from rar_tf.evaluation.report import Accuracy, Interval, Report, load_report

__all__ = [
    "ATTACKS",
    "CUSTOM_ATTACK",
    "PROTOCOLS",
    "Accuracy",
    "ExamplesFile",
    "Explanation",
    "Interval",
    "Pgd",
    "PredictionAttack",
    "Predictions",
    "AttackedExample",
    "Protocol",
    "Remark",
    "Report",
    "ExampleMetrics",
    "EvaluationSet",
    "attack_maps",
    "correct",
    "described_search",
    "evaluate",
    "explain",
    "load_report",
    "logits_of",
    "protocol",
    "remarks_of",
    "withstands",
]
