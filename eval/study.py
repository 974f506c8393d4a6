"""Run the studies of FAR: `python -m eval.study --help`."""

from rar_tf.cli import study

if __name__ == "__main__":
    study.main()
