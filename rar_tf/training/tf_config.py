"""Distribution by name, and the cluster that TF_CONFIG describes."""

import json
import os
import signal
import threading
from typing import Any

import tensorflow as tf
from absl import logging

from rar_tf.naming import check_name
from rar_tf.training.distribution import Distribution

DISTRIBUTIONS = ("auto", "none", "mirrored", "multi_worker")
_EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
)


def distribute(name: str = "auto") -> Distribution:
    """The distribution of this name; to be called before TensorFlow runs an op.

    Args:
      name: "none"; "mirrored" over the GPUs of this machine, or its logical CPUs if it has no
        GPU; "multi_worker" over the machines of the environment variable TF_CONFIG and all
        their GPUs; or "auto": "multi_worker" if TF_CONFIG names a cluster, else
        "mirrored" if there are several GPUs, else "none".

    Raises:
      ValueError: an unknown name, only one device to mirror over, or a TF_CONFIG without the
        addresses of the workers or the task of this process.
    """
    check_name("distribute", name, DISTRIBUTIONS)
    config = os.environ.get("TF_CONFIG", "")
    if name == "multi_worker" or (name == "auto" and _has_cluster(config)):
        return _multi_worker(config)
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    if name == "mirrored":
        return _mirrored(gpus or [cpu.name for cpu in tf.config.list_logical_devices("CPU")])
    return _mirrored(gpus) if name == "auto" and len(gpus) > 1 else Distribution()


def _mirrored(devices: list[str]) -> Distribution:
    if len(devices) < 2:
        raise ValueError(
            "distribute=mirrored needs two or more GPUs (or logical CPUs). "
            f"Received: {', '.join(devices)}"
        )
    return Distribution(tf.distribute.MirroredStrategy(devices))


def _multi_worker(config: str) -> Distribution:
    addresses, worker = read_tf_config(config)
    logging.info(
        "worker %d of %d, waiting for all of %s", worker, len(addresses), ", ".join(addresses)
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    if threading.current_thread() is threading.main_thread():
        # TensorFlow's coordination service replaces the handler of SIGTERM: restore Python's.
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    return Distribution(strategy, worker, len(addresses))


def _has_cluster(config: str) -> bool:
    """Whether the text names a cluster; true for invalid JSON, which `read_tf_config` refuses."""
    try:
        return bool(json.loads(config or "{}").get("cluster"))
    except (ValueError, AttributeError):
        return True


def read_tf_config(config: str) -> tuple[list[str], int]:
    """Addresses of all workers, the chief's first, and the number of this worker.

    Args:
      config: value of TF_CONFIG.

    Raises:
      ValueError: the text is not JSON of that form.
    """

    def expected(form: str, received: Any) -> ValueError:
        return ValueError(f"TF_CONFIG must be like {_EXAMPLE}: {form}. Received: {received!r}")

    try:
        values = json.loads(config)
    except ValueError as error:
        raise expected(f"JSON ({error})", config) from error
    values = values if isinstance(values, dict) else {}
    cluster, task = values.get("cluster"), values.get("task")
    if not isinstance(cluster, dict) or not cluster or not isinstance(task, dict):
        raise expected('with "cluster" and "task"', config)
    if unknown := sorted(set(cluster) - {"chief", "worker"}):
        raise expected('its cluster of "chief" and "worker" only', unknown)
    tasks: list[tuple[str, int, str]] = []
    for kind in ("chief", "worker"):
        addresses = cluster.get(kind, [])
        if not isinstance(addresses, list):
            raise expected(f'a list of addresses at "{kind}"', addresses)
        tasks.extend((kind, index, address) for index, address in enumerate(addresses))
    for *_, address in tasks:
        port = address.rpartition(":")[2] if isinstance(address, str) else ""
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise expected("addresses HOST:PORT", address)
    if len({address for *_, address in tasks}) < len(tasks):
        raise expected("each address once", [address for *_, address in tasks])
    is_this = [(kind, index) == (task.get("type"), task.get("index")) for kind, index, _ in tasks]
    if not any(is_this):
        raise expected("a task of the cluster", task)
    return [address for *_, address in tasks], is_this.index(True)
