"""Command lines: train, export, evaluate, explain, report, study, each with its flags."""

# Before anything else imports TensorFlow.
from rar_tf.cli import silence as silence
