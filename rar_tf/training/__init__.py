"""Training: RobustModel and its steps, validation, weight averaging, devices."""

from rar_tf.training.determinism import make_deterministic
from rar_tf.training.distribution import Distribution, WorkerLost
from rar_tf.training.population import PopulationStatistics
from rar_tf.training.robust_model import RobustModel
from rar_tf.training.tf_config import DISTRIBUTIONS, distribute
from rar_tf.training.validation import Validation, Validator

__all__ = [
    "DISTRIBUTIONS",
    "Distribution",
    "PopulationStatistics",
    "RobustModel",
    "Validation",
    "Validator",
    "WorkerLost",
    "distribute",
    "make_deterministic",
]
