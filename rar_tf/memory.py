"""Memory that this process may still use: of the machine, of its control group, of a GPU."""

import contextlib
import pathlib
import resource
import threading
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

# Share of the free memory that a computation may plan with.
USABLE = 0.75
_PROC, _CGROUPS = pathlib.Path("/proc"), pathlib.Path("/sys/fs/cgroup")
_SAMPLE_SECONDS = 0.002
_NO_ACTIVATIONS = ("Const", "Identity", "Placeholder", "ReadVariableOp")
# Files of a control group: limit, usage, and the line of memory.stat with what can be reclaimed.
_FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free_bytes() -> int | None:
    """Bytes that are free where a network computes: on the first GPU, else in main memory.

    None where the system does not say.
    """
    if tf.config.list_logical_devices("GPU"):
        return _of_gpu()
    values = [_of_machine(), _of_address_space(), *_of_control_groups()]
    return min((value for value in values if value is not None), default=None)


def text(count: float) -> str:
    """A number of bytes in words, such as "1.5 GiB"."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def resident_bytes() -> int | None:
    """Bytes of main memory that this process occupies; None where the system does not say."""
    try:
        pages = int((_PROC / "self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * resource.getpagesize()


def _of_machine() -> int | None:
    return _lines(_PROC / "meminfo").get("MemAvailable")


def _of_address_space() -> int | None:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    used = _lines(_PROC / "self/status").get("VmSize")
    return None if limit == resource.RLIM_INFINITY or used is None else max(limit - used, 0)


def _of_gpu() -> int | None:
    # TensorFlow's limit of the device, which is less than the device has.
    from tensorflow.python.client import device_lib

    limits = [d.memory_limit for d in device_lib.list_local_devices() if d.device_type == "GPU"]
    if not limits:
        return None
    return max(limits[0] - tf.config.experimental.get_memory_info("GPU:0")["current"], 0)


def _of_control_groups() -> Iterator[int]:
    """Free bytes of this process's control group and of each group around it."""
    try:
        entries = (_PROC / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for entry in entries:
        _, controllers, path = entry.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = _CGROUPS / controllers
        # Inside a container the path may be that of the host: then its own files are at the root.
        place = root / path.lstrip("/")
        for folder in (place, *place.parents):
            if folder == root or root in folder.parents:
                free = _of_control_group(folder, *_FILES[controllers])
                if free is not None:
                    yield free


def _of_control_group(folder: pathlib.Path, limit: str, usage: str, cached: str) -> int | None:
    try:
        most, used = (int((folder / name).read_text()) for name in (limit, usage))
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # No such group, or the limit "max".
        return None
    return max(most - used + int(stat.get(cached, 0)), 0)


def _lines(path: pathlib.Path) -> dict[str, int]:
    """Lines "Name: NUMBER kB" of a file of /proc, in bytes."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split() for line in lines if line.endswith(" kB"))
    return {name.rstrip(":"): int(number) * 1024 for name, number, _ in pairs}


def activation_bytes(function: Callable[[tf.Tensor], tf.Tensor], shape: Sequence[int]) -> int:
    """Bytes of all tensors that a network computes of one input, without its weights.

    They are those of the traced graph, so that any function can be counted. It is not run.

    Args:
      function: [1, *shape] float32 -> outputs.
      shape: shape of one input.
    """
    spec = tf.TensorSpec([1, *shape], tf.float32)
    graph = tf.function(function, autograph=False).get_concrete_function(spec).graph
    sizes = [
        output.dtype.size * output.shape.num_elements()
        for operation in graph.get_operations()
        if operation.type not in _NO_ACTIVATIONS
        for output in operation.outputs
        if output.dtype.is_floating and output.shape.is_fully_defined()
    ]
    return sum(sizes)


@contextlib.contextmanager
def peak_bytes() -> Iterator[list[int]]:
    """Context that puts the peak of memory inside of it into the list that it yields.

    Of a GPU TensorFlow's peak; else of the resident memory of this process, sampled. The list
    stays empty where the system does not say.
    """
    result: list[int] = []
    if tf.config.list_logical_devices("GPU"):
        tf.config.experimental.reset_memory_stats("GPU:0")
        yield result
        result.append(tf.config.experimental.get_memory_info("GPU:0")["peak"])
        return
    samples, stop = [resident_bytes()], threading.Event()

    def sample() -> None:
        while not stop.wait(_SAMPLE_SECONDS):
            samples.append(resident_bytes())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield result
    finally:
        samples.append(resident_bytes())
        stop.set()
        thread.join()
    known = [value for value in samples if value is not None]
    result.extend([max(known)] if known else [])
