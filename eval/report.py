"""Makes a page of finished evaluations: table, figures, pictures.

    python -m eval.report --results='runs/**/eval/*/report.json' --output=report

Writes table.md, figure_1_*.png, figure_2_*.png and report.html, which opens from disk.
"""

from absl import flags

from cli.command import FLAGS, start, topic
from rar_tf import evaluation

topic("What to read and where to write")
flags.DEFINE_string("results", "runs/**/eval/*/report.json", "Glob of report.json files.")
flags.DEFINE_string("output", "report", "Folder to write to.")


def run() -> str:
    """One library call."""
    page = evaluation.publish(FLAGS.results, FLAGS.output)
    return f"report: {page}, with table.md and the figures beside it; next: open it in a browser"


if __name__ == "__main__":
    start(run)
