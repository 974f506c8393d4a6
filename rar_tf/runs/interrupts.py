"""Ctrl-C and SIGTERM as a wish to stop after the current step."""

import signal
import threading
from collections.abc import Callable


class Interrupted(Exception):
    """The run was asked to stop and has saved all; the same command goes on."""

    def __init__(self, signum: int, message: str):
        super().__init__(message)
        self.signum = signum


class StopRequest:
    """Context manager: a SIGINT or SIGTERM becomes the wish to stop; a second one acts.

    Outside the main thread, where Python takes no handlers, it never notes anything.

    Attributes:
      signum: the signal that all workers stop for, known from the `poll` that found it on.
    """

    def __init__(self, any_worker: Callable[[bool], bool] = bool):
        """
        Args:
          any_worker: (this process's wish) -> whether any worker wishes to stop.
        """
        self.signum: int | None = None
        self._any_worker = any_worker
        self._noted: int | None = None
        self._previous: dict = {}

    def poll(self) -> bool:
        """Whether to stop. All workers ask after the same step, and get the same answer."""
        if self._any_worker(self._noted is not None):
            self.signum = self._noted or signal.SIGTERM
        return self.signum is not None

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._previous[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def _note(self, signum: int, frame: object) -> None:
        self._noted = signum
        self._restore()

    def _restore(self) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        self._previous = {}
