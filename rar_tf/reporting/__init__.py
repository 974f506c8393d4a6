"""Tables, figures and pages of finished evaluations."""

from rar_tf.reporting.explanation_figure import explanation_figure
from rar_tf.reporting.publish import publish
from rar_tf.reporting.summary import summary
from rar_tf.reporting.tables import Result, find_results, markdown

__all__ = [
    "Result",
    "explanation_figure",
    "find_results",
    "markdown",
    "publish",
    "summary",
]
