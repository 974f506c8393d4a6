"""Ctrl-C and SIGTERM as a wish to stop after the current step."""

import signal
import threading


class Interrupted(Exception):
    """The run was asked to stop and has saved all; the same command goes on."""

    def __init__(self, signum: int, message: str):
        super().__init__(message)
        self.signum = signum


class StopRequest:
    """Context manager: the first SIGINT or SIGTERM is noted in `signum`, a second one acts.

    Outside the main thread, where Python takes no handlers, it never notes anything.
    """

    def __init__(self):
        self.signum: int | None = None
        self._previous: dict = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._previous[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *exception):
        self._restore()

    def _note(self, signum, frame):
        self.signum = signum
        self._restore()

    def _restore(self):
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        self._previous = {}
