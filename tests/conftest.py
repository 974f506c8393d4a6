"""The environment of every test: quiet, on the CPU, with two logical devices.

A machine's other accelerators stay out, so that the numbers that tests demand do not depend on
them; `CUDA_VISIBLE_DEVICES=0 pytest ...` lets one in.
"""

import os
from collections.abc import Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["KERAS_BACKEND"] = "tensorflow"

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker process computes with one thread; tests that compare bits need a fixed number.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402  The variables above are read at import.

from tests.support.cli import CommandLine  # noqa: E402

# Must come before TensorFlow starts its devices; MirroredStrategy tests need two.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()],
)


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """Runs the project's commands, see `tests.support.cli`."""
    command_line = CommandLine(tmp_path_factory.mktemp("commands"))
    yield command_line
    command_line.kill_all()
