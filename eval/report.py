"""Make a page of finished evaluations: `python -m eval.report --help`."""

from rar_tf.cli import report

if __name__ == "__main__":
    report.main()
