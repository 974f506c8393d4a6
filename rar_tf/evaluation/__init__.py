"""How steady the explanations of any Keras classifier are: metrics, reports, pictures."""

from rar_tf.evaluation.accuracy import correct, withstands
from rar_tf.evaluation.classifier import logits_of
from rar_tf.evaluation.evaluate import evaluate
from rar_tf.evaluation.examples import ExamplesFile, Picture, Row
from rar_tf.evaluation.explanation import Explanation, explain
from rar_tf.evaluation.explanation_figure import explanation_figure
from rar_tf.evaluation.protocols import ATTACKS, PROTOCOLS, Pgd, Protocol, protocol
from rar_tf.evaluation.publish import publish
from rar_tf.evaluation.report import Accuracy, Interval, Report, load_report
from rar_tf.evaluation.robustness import attack_maps
from rar_tf.evaluation.selection import Selection
from rar_tf.evaluation.tables import PUBLISHED, Result, find_results, markdown, summary

__all__ = [
    "ATTACKS",
    "PROTOCOLS",
    "PUBLISHED",
    "Accuracy",
    "ExamplesFile",
    "Explanation",
    "Interval",
    "Pgd",
    "Picture",
    "Protocol",
    "Report",
    "Result",
    "Row",
    "Selection",
    "attack_maps",
    "correct",
    "evaluate",
    "explain",
    "explanation_figure",
    "find_results",
    "load_report",
    "logits_of",
    "markdown",
    "protocol",
    "publish",
    "summary",
    "withstands",
]
