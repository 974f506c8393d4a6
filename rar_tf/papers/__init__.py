"""Data of the papers: hyperparameters, protocol constants and published tables."""

from rar_tf.papers import far, rar

# (protocol, data set, objective) -> NA, AA, IN, CO as printed.
PUBLISHED = {("rar", *key): row for key, row in rar.TABLE_2.items()}
PUBLISHED |= {("far", *key): row for key, row in far.TABLE_1.items()}

__all__ = ["PUBLISHED", "far", "rar"]
