"""Command lines: train, export, evaluate, explain, report, study, each with its flags."""

# First, before any other module imports TensorFlow.
from rar_tf.cli import silence as silence
