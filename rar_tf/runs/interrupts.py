"""Interrupts: Ctrl-C and SIGTERM as a request to stop after the current step."""

import signal
import threading
from collections.abc import Callable
from typing import Any


class Interrupted(Exception):
    """The run was interrupted after saving its state; the same command resumes it."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.signum = signum


class StopRequest:
    """Context manager that turns a first SIGINT or SIGTERM into a stop request.

    A second signal has its usual effect. Outside the main thread, where Python accepts no signal
    handlers, no request is ever made.

    Attributes:
      signum: signal that the workers stop for; None until `poll` returns True.
    """

    def __init__(self, any_worker: Callable[[bool], bool] = bool) -> None:
        """
        Args:
          any_worker: (request of this process) -> whether any worker has a request.
        """
        self.signum: int | None = None
        self._any_worker = any_worker
        self._received: int | None = None
        self._previous: dict[int, Any] = {}

    def poll(self) -> bool:
        """Whether to stop, equal at all workers; they must call it after the same step."""
        if self._any_worker(self._received is not None):
            self.signum = self._received or signal.SIGTERM
        return self.signum is not None

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._previous[signum] = signal.signal(signum, self._receive)
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def _receive(self, signum: int, frame: object) -> None:
        self._received = signum
        self._restore()

    def _restore(self) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        self._previous = {}
