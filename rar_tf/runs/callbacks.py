"""Keras callbacks of a run: divergence, progress, checkpoints and stopping."""

import math
import pathlib
from typing import Any

import keras

from rar_tf import progress
from rar_tf.runs import checkpoints
from rar_tf.runs.interrupts import StopRequest

WINDOW = 50  # steps over which the shown training metrics are averaged


class Divergence(Exception):
    """A loss or gradient is not finite; the last good checkpoint is kept."""


class GuardFinite(keras.callbacks.Callback):
    """Stops training at the first non-finite loss, term or gradient.

    Must be the first callback, so that no later one saves a step that is not finite.
    """

    def __init__(self, checkpoint_folder: pathlib.Path) -> None:
        super().__init__()
        self._folder = checkpoint_folder

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        metrics = {name: float(value) for name, value in logs.items()}
        names = [name for name, value in metrics.items() if not math.isfinite(value)]
        if not names:
            return
        good = checkpoints.available(self._folder)
        raise Divergence(
            f"{', '.join(names)} not finite at step {checkpoints.step(self.model)}: "
            + ", ".join(f"{name}={value:.6g}" for name, value in metrics.items())
            + f". Last good checkpoint: {good[-1] if good else 'none'}. Choose a lower "
            "--learning_rate, --weight or --epsilon, and a new --workdir"
        )


class Progress(keras.callbacks.Callback):
    """Progress of a training; the shown means run over a short window of steps."""

    def __init__(self, name: str, first_step: int, max_steps: int, batch_size: int) -> None:
        super().__init__()
        self._name, self._first, self._max = name, first_step, max_steps
        self._batch_size = batch_size
        self._progress: progress.Progress | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._progress = progress.Progress(
            self._name, self._max, self._first, unit="step", smoothing=0.1
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        def values(rate: float) -> dict[str, str]:
            means = {name: f"{float(logs[name]):.3f}" for name in ("loss", "term", "accuracy")}
            return means | {"examples/s": f"{rate * self._batch_size:.0f}"}

        if self._progress is not None:
            self._progress.advance(1, values)
        if (batch + 1) % WINDOW == 0:
            self.model.reset_metrics()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal clean, also after an error."""
        if self._progress is not None:
            self._progress.close()


class Checkpoints(keras.callbacks.Callback):
    """Saves a checkpoint every `every` steps, at the last one and on a stop request; then stops."""

    def __init__(
        self,
        folder: pathlib.Path,
        every: int,
        max_steps: int,
        stop: StopRequest,
        *,
        keep: int,
        data: str,
    ) -> None:
        super().__init__()
        self._folder, self._every, self._max, self._stop = folder, every, max_steps, stop
        self._keep, self._data = keep, data

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = checkpoints.step(self.model)
        stop = self._stop.poll()
        if step % self._every == 0 or step == self._max or stop:
            checkpoints.save(self._folder, self.model, keep=self._keep, data=self._data)
        if stop:
            self.model.stop_training = True
