"""Distribution of training steps over devices and machines, and messages between workers."""

import contextlib
import dataclasses
import functools
import json
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from rar_tf.datasets import Examples, training_batches

_NUMBERS_PER_MESSAGE = 1 << 20


class WorkerLost(Exception):
    """Another worker died, stopped with an error or no longer answers."""


@dataclasses.dataclass(frozen=True)
class Distribution:
    """A strategy, and this process's place among the workers; by default this process alone.

    Attributes:
      strategy: TensorFlow's strategy; every replica takes an equal part of each global batch.
      worker: number of this process; worker 0 is the chief, whose folder is kept.
      workers: number of processes.
    """

    strategy: tf.distribute.Strategy = dataclasses.field(default_factory=tf.distribute.get_strategy)
    worker: int = 0
    workers: int = 1

    @property
    def replicas(self) -> int:
        """Number of devices that share a batch, over all workers."""
        return self.strategy.num_replicas_in_sync

    def check_batch_size(self, batch_size: int) -> None:
        """Raises ValueError unless every replica gets the same number of examples."""
        low = batch_size - batch_size % self.replicas
        if low != batch_size:
            fitting = " or ".join(str(size) for size in (low, low + self.replicas) if size)
            raise ValueError(
                f"batch_size must be a multiple of {self.replicas}, the number of devices: "
                f"{fitting}. Received: batch_size={batch_size}"
            )

    def training_batches(
        self, split: Examples, *, batch_size: int, seed: int, steps: int, first_step: int = 0
    ) -> tf.distribute.DistributedDataset:
        """`datasets.training_batches`, where replica r of R gets the r-th of R parts of each batch.

        Returns:
          An iterable over the arguments of `strategy.run`.
        """
        self.check_batch_size(batch_size)

        def worker_batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
            replicas_per_worker = self.replicas // context.num_input_pipelines
            first = context.input_pipeline_id * replicas_per_worker
            batches = training_batches(
                split,
                batch_size=batch_size,
                seed=seed,
                steps=steps,
                first_step=first_step,
                parts=range(first, first + replicas_per_worker),
                num_parts=self.replicas,
            )
            # A finite data set would make TensorFlow synchronize the replicas before every
            # batch, to agree on whether the end is reached.
            return batches.repeat()

        return self.strategy.distribute_datasets_from_function(worker_batches)

    def any_worker(self, flag: bool) -> bool:
        """Whether the flag is set at any worker. All workers must call this at the same point."""
        return flag if self.workers == 1 else bool(self._sum(np.array([flag]))[0])

    def broadcast(self, content: bytes) -> bytes:
        """The chief's bytes, at every worker. All workers must call this at the same point."""
        if self.workers == 1:
            return content
        if self.worker > 0:
            content = b""
        size = np.frombuffer(np.int64(len(content)).tobytes(), "uint16")
        length = int(self._sum(size).astype("uint16").view("int64")[0])
        numbers = np.frombuffer(content.ljust(length + length % 2, b"\0"), "uint16")
        starts = range(0, len(numbers), _NUMBERS_PER_MESSAGE)
        messages = [self._sum(numbers[start : start + _NUMBERS_PER_MESSAGE]) for start in starts]
        return b"".join(message.astype("uint16").tobytes() for message in messages)[:length]

    @contextlib.contextmanager
    def worker_folder(
        self, folder: pathlib.Path, files: Sequence[pathlib.Path]
    ) -> Iterator[pathlib.Path]:
        """The chief's `folder`; at other workers a temporary one, with copies of its `files`.

        All workers then run the same program from the same state, and the files of the chief
        are kept. Machines need not share a file system.

        Args:
          folder: folder of the chief.
          files: files of the chief inside the folder, those that determine how a run continues.
        """
        names = [str(path.relative_to(folder)) for path in files] if self.worker == 0 else []
        names = json.loads(self.broadcast(json.dumps(names).encode()))
        if self.worker == 0:
            if self.workers > 1:
                for name in names:
                    self.broadcast((folder / name).read_bytes())
            yield folder
            return
        with tempfile.TemporaryDirectory(prefix=f"worker-{self.worker}-") as temporary:
            for name in names:
                path = pathlib.Path(temporary, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.broadcast(b""))
            yield pathlib.Path(temporary)

    @contextlib.contextmanager
    def detect_lost_workers(self) -> Iterator[None]:
        """Context that raises `WorkerLost` when a worker is lost, and ends at all workers together.

        TensorFlow's coordination service expects a heartbeat of every worker every few
        seconds, and aborts all workers' collective operations when one is missing.
        """
        try:
            yield
            self.any_worker(False)
        except tf.errors.OpError as error:
            if self.workers == 1 or not isinstance(error, _LOST):
                raise
            raise WorkerLost(
                f"worker {self.worker} of {self.workers} stops: another worker died, stopped with "
                "an error of its own or no longer answers. The checkpoints in the workdir of "
                "worker 0 are kept; start all workers again with the same commands to resume. "
                f"TensorFlow's message: {_reason(error)}"
            ) from error

    def _sum(self, numbers: np.ndarray) -> np.ndarray:
        """Sum over the workers [n], exact below 2^24."""
        return self._all_reduce(tf.constant(numbers, tf.float32)).numpy()

    @functools.cached_property
    def _all_reduce(self) -> Callable[[tf.Tensor], tf.Tensor]:
        first = self.worker * (self.replicas // self.workers)

        def replica_sum(numbers: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            is_first = tf.equal(context.replica_id_in_sync_group, first)
            return context.all_reduce("sum", tf.where(is_first, numbers, 0.0))

        @tf.function(input_signature=[tf.TensorSpec([None])])
        def all_reduce(numbers: tf.Tensor) -> tf.Tensor:
            results = self.strategy.run(replica_sum, args=(numbers,))
            return self.strategy.experimental_local_results(results)[0]

        return all_reduce


# Errors of collective operations when another worker is lost.
_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


def _reason(error: tf.errors.OpError) -> str:
    """The line of TensorFlow's message that names the cause."""
    lines = [line.strip() for line in error.message.splitlines() if line.strip()]
    causes = [line for line in lines if "Collective ops is aborted" in line]
    return (causes or lines or [type(error).__name__])[0]
