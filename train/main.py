"""Train a classifier whose attributions are robust: `python -m train.main --help`."""

from rar_tf.cli import train

if __name__ == "__main__":
    train.main()
