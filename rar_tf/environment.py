"""Facts about the machine and the libraries that a result was computed with."""

import importlib.metadata
import os
import pathlib
import platform
from typing import Any

import tensorflow as tf

from rar_tf.version import __version__


def hardware() -> dict[str, Any]:
    """Hardware that this process may use."""
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that figures depend on."""
    names = ("tensorflow", "keras", "numpy", "scipy")
    base = {"rar_tf": __version__, "python": platform.python_version()}
    return base | {name: importlib.metadata.version(name) for name in names}


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
