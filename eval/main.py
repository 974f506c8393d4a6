"""Measure how robust a classifier's attributions are: `python -m eval.main --help`."""

from rar_tf.cli import evaluate

if __name__ == "__main__":
    evaluate.main()
