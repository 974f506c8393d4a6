"""Makes a page of finished evaluations: table, figures, pictures.

    python -m eval.report --results='runs/**/eval/*/report.json' --output=report

Writes table.md, figure_1_*.png, figure_2_*.png and report.html, which opens from disk.
"""

import sys

from absl import app, flags

from rar_tf import evaluation

FLAGS = flags.FLAGS

flags.DEFINE_string("results", "runs/**/eval/*/report.json", "Glob of report.json files.")
flags.DEFINE_string("output", "report", "Folder to write to.")


def main(argv):
    """Exit status 0 only on success."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    try:
        print(evaluation.publish(FLAGS.results, FLAGS.output))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
