"""How steady the explanations of any Keras classifier are: metrics, reports, pictures."""

from rar_tf.evaluation.accuracy import correct, withstands
from rar_tf.evaluation.classifier import load_classifier, logits_of
from rar_tf.evaluation.evaluate import evaluate
from rar_tf.evaluation.examples import ExamplesFile, Picture, Row
from rar_tf.evaluation.protocols import ATTACKS, PROTOCOLS, Pgd, Protocol, protocol
from rar_tf.evaluation.report import Accuracy, Interval, Report, load_report
from rar_tf.evaluation.robustness import attack_maps
from rar_tf.evaluation.selection import Selection

__all__ = [
    "ATTACKS",
    "PROTOCOLS",
    "Accuracy",
    "ExamplesFile",
    "Interval",
    "Pgd",
    "Picture",
    "Protocol",
    "Report",
    "Row",
    "Selection",
    "attack_maps",
    "correct",
    "evaluate",
    "load_classifier",
    "load_report",
    "logits_of",
    "protocol",
    "withstands",
]
