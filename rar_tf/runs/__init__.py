"""Training runs that can be resumed: a preset, a folder and a data set -> a classifier."""

from rar_tf.runs.callbacks import Divergence
from rar_tf.runs.data_files import record_of_model
from rar_tf.runs.interrupts import Interrupted
from rar_tf.runs.natural_start import train_in, workdir_of
from rar_tf.runs.run import train
from rar_tf.runs.workdir import Workdir, WorkdirError

__all__ = [
    "Divergence",
    "Interrupted",
    "Workdir",
    "WorkdirError",
    "record_of_model",
    "train",
    "train_in",
    "workdir_of",
]
