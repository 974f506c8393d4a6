"""What training minimizes."""

from rar_tf.objective import sizes, terms
from rar_tf.objective.catalogue import CATALOGUE, ig_norm, ig_sum_norm, madry, natural
from rar_tf.objective.objective import Batch, Objective, Parts, Term
from rar_tf.objective.sizes import SizeFn

__all__ = [
    "CATALOGUE",
    "Batch",
    "Objective",
    "Parts",
    "SizeFn",
    "Term",
    "ig_norm",
    "ig_sum_norm",
    "madry",
    "natural",
    "sizes",
    "terms",
]
