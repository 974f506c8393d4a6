"""Over which devices and machines a step is spread, and what the machines tell each other."""

import contextlib
import dataclasses
import functools
import json
import pathlib
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from rar_tf.datasets import Examples, training_batches

_MESSAGE = 1 << 20  # numbers sent at once


class WorkerLost(Exception):
    """Another worker died, stopped with an error or no longer answers."""


@dataclasses.dataclass(frozen=True)
class Distribution:
    """A strategy, and this process's place among the workers; by default this process alone.

    Attributes:
      strategy: of TensorFlow; every replica takes an equal part of each global batch.
      worker: number of this process; worker 0 is the chief, whose folder is kept.
      workers: number of processes.
    """

    strategy: tf.distribute.Strategy = dataclasses.field(default_factory=tf.distribute.get_strategy)
    worker: int = 0
    workers: int = 1

    @property
    def replicas(self) -> int:
        """Devices that share a batch, of all workers together."""
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
    ):
        """`datasets.training_batches`, where replica r of R is given the r-th R-th of each batch.

        Returns:
          An iterable over what `strategy.run` takes.
        """
        self.check_batch_size(batch_size)

        def of_worker(context):
            mine = self.replicas // context.num_input_pipelines
            first = context.input_pipeline_id * mine
            batches = training_batches(
                split,
                batch_size=batch_size,
                seed=seed,
                steps=steps,
                first_step=first_step,
                parts=range(first, first + mine),
                num_parts=self.replicas,
            )
            # Where there is an end, TensorFlow lets the replicas agree before every batch
            # whether they have reached it.
            return batches.repeat()

        return self.strategy.distribute_datasets_from_function(of_worker)

    def any_worker(self, flag: bool) -> bool:
        """Whether any worker says so. As below: all workers must ask at the same point."""
        return flag if self.workers == 1 else bool(self._sum(np.array([flag]))[0])

    def broadcast(self, content: bytes) -> bytes:
        """The chief's bytes, at every worker."""
        if self.workers == 1:
            return content
        if self.worker > 0:
            content = b""
        size = np.frombuffer(np.int64(len(content)).tobytes(), "uint16")
        length = int(self._sum(size).astype("uint16").view("int64")[0])
        numbers = np.frombuffer(content.ljust(length + length % 2, b"\0"), "uint16")
        blocks = range(0, len(numbers), _MESSAGE)
        sent = [self._sum(numbers[start : start + _MESSAGE]) for start in blocks]
        return b"".join(block.astype("uint16").tobytes() for block in sent)[:length]

    @contextlib.contextmanager
    def own_folder(
        self, folder: pathlib.Path, files: Sequence[pathlib.Path]
    ) -> Iterator[pathlib.Path]:
        """The chief's `folder`; at other workers a temporary one, with copies of its `files`.

        So all workers run the same program on the same state, and what one of them writes is
        kept. No folder needs to be shared between machines.

        Args:
          folder: the chief's.
          files: the chief's, inside the folder, those that decide how a run goes on.
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
        """Within it, the loss of another worker is a `WorkerLost`; nobody leaves before the last.

        TensorFlow's coordination service expects a sign of life of every worker every few
        seconds, and ends all workers' collective operations when one is silent.
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
                "worker 0 are kept; start all workers again with the same commands to go on. "
                f"TensorFlow says: {_reason(error)}"
            ) from error

    def _sum(self, numbers: np.ndarray) -> np.ndarray:
        """Sum over the workers [n], exact below 2^24."""
        return self._all_reduce(tf.constant(numbers, tf.float32)).numpy()

    @functools.cached_property
    def _all_reduce(self):
        first = self.worker * (self.replicas // self.workers)

        def of_replica(numbers):
            context = tf.distribute.get_replica_context()
            mine = tf.equal(context.replica_id_in_sync_group, first)
            return context.all_reduce("sum", tf.where(mine, numbers, 0.0))

        @tf.function(input_signature=[tf.TensorSpec([None])])
        def all_reduce(numbers):
            results = self.strategy.run(of_replica, args=(numbers,))
            return self.strategy.experimental_local_results(results)[0]

        return all_reduce


# What collective operations fail with when another worker is gone.
_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


def _reason(error: tf.errors.OpError) -> str:
    """The line of TensorFlow's message that says what happened."""
    lines = [line.strip() for line in error.message.splitlines() if line.strip()]
    told = [line for line in lines if "Collective ops is aborted" in line]
    return (told or lines or [type(error).__name__])[0]
