"""How a classifier is trained: RobustModel for `fit`, presets and resumable runs."""

from rar_tf.training.callbacks import Divergence
from rar_tf.training.cluster import DISTRIBUTIONS, distribute
from rar_tf.training.determinism import make_deterministic
from rar_tf.training.distribution import Distribution, WorkerLost
from rar_tf.training.presets import Preset, applies, natural_start, resolve
from rar_tf.training.robust_model import RobustModel
from rar_tf.training.run import train
from rar_tf.training.starts import train_in, workdir_of
from rar_tf.training.stopping import Interrupted
from rar_tf.training.validation import Validation, Validator
from rar_tf.training.workdir import Workdir, WorkdirError

__all__ = [
    "DISTRIBUTIONS",
    "Distribution",
    "Divergence",
    "Interrupted",
    "Preset",
    "RobustModel",
    "Validation",
    "Validator",
    "Workdir",
    "WorkdirError",
    "WorkerLost",
    "applies",
    "distribute",
    "make_deterministic",
    "natural_start",
    "resolve",
    "train",
    "train_in",
    "workdir_of",
]
