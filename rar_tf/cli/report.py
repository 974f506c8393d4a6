"""Makes tables, figures and a page of finished evaluations.

    python -m eval.report --results='runs/**/eval/*/report.json' --output=report

Writes table.md, figure_1_*.png, figure_2_*.png and report.html, which opens from disk.
"""

from absl import flags

from rar_tf import reporting
from rar_tf.cli.command import FLAGS, flag_topic, start

flag_topic("Results and output")
flags.DEFINE_string(
    "results", "runs/**/eval/*/report.json", "Glob of the report.json files to show."
)
flags.DEFINE_string("output", "report", "Folder to write the page to.")


def run() -> str:
    """Publish the results that the flags name."""
    page = reporting.publish(FLAGS.results, FLAGS.output)
    return f"report: {page}, with table.md and the figures beside it; next: open it in a browser"


def main() -> None:
    """Run the command line."""
    start(run, __doc__)
