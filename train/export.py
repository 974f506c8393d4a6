"""Export a classifier as a SavedModel: `python -m train.export --help`."""

from rar_tf.cli import export

if __name__ == "__main__":
    export.main()
