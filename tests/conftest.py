"""The environment of every test: quiet, on the CPU, with two logical devices.

A machine's other accelerators stay out, so that the numbers that tests demand do not depend on
them; `CUDA_VISIBLE_DEVICES=0 pytest ...` lets one in.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["KERAS_BACKEND"] = "tensorflow"

import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402  The variables above are read at import.

from tests.support import commands  # noqa: E402

# Must come before TensorFlow starts its devices; MirroredStrategy tests need two.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()],
)


@pytest.fixture(scope="session")
def cli():
    """Run a command of this project: `cli("train.main", "--flag=...", cwd=folder)`."""
    return commands.run
