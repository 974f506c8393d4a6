"""Faults of a process, each at a given point of a training run."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from rar_tf import files
from rar_tf.runs import callbacks, checkpoints, interrupts, run, validation_callback, workdir
from rar_tf.training import loop

SIGNALS = {
    "kill": signal.SIGKILL,
    "term": signal.SIGTERM,
    "int": signal.SIGINT,
    "stop": signal.SIGSTOP,
}
_WATCHED = (callbacks, checkpoints, files, interrupts, loop, run, validation_callback, workdir)


def arrange(fault: str) -> None:
    """Patch this process so that the fault happens at the given point.

    Args:
      fault: "kill:N", "term:N", "int:N" or "stop:N", that signal after step N; "write:N", SIGKILL
        inside the N-th checkpoint write; "call:N", SIGKILL at the N-th call by or of a function
        that steps or writes while the run holds its workdir, its name on stderr; "count", the
        number of those calls on stderr at the end; "clock", clocks that run backwards; "none".

    Raises:
      ValueError: something else.
    """
    kind, _, number = fault.partition(":")
    if kind in SIGNALS:
        _after_step(int(number), SIGNALS[kind])
    elif kind == "write":
        _in_write(int(number))
    elif kind in ("call", "count"):
        _at_call(int(number or 0))
    elif kind == "clock":
        _clock_backwards()
    elif kind != "none":
        raise ValueError(f"fault must name a fault. Received: fault={fault!r}")


def _after_step(number: int, signum: int) -> None:
    original = callbacks.GuardFinite.on_train_batch_end

    def end(self: callbacks.GuardFinite, batch: int, logs: dict | None = None) -> None:
        if checkpoints.step(self.model) == number:
            os.kill(os.getpid(), signum)
        original(self, batch, logs)

    callbacks.GuardFinite.on_train_batch_end = end  # type: ignore[method-assign]


def _in_write(number: int) -> None:
    replace, seen = os.replace, list[str]()

    def patched(source: Any, target: Any) -> None:
        if "step-" in str(target):
            seen.append(str(target))
            if len(seen) == number:
                os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = patched  # type: ignore[assignment]


def _at_call(number: int) -> None:
    watched, seen = {module.__file__ for module in _WATCHED}, 0

    def hook(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal seen
        if event not in ("call", "c_call") or frame.f_code.co_filename not in watched:
            return
        seen += 1
        if seen == number:
            callee = "" if event == "call" else f", calling {arg.__name__}"
            os.write(2, f"died in {frame.f_code.co_qualname}{callee}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    original = workdir.Workdir.locked.__wrapped__  # type: ignore[attr-defined]

    @contextlib.contextmanager
    def locked(self: workdir.Workdir) -> Iterator[None]:
        sys.setprofile(hook)
        yield from original(self)
        sys.setprofile(None)
        os.write(2, f"calls: {seen}\n".encode())

    workdir.Workdir.locked = locked  # type: ignore[method-assign]


def _clock_backwards() -> None:
    now = 2e9

    def clock() -> float:
        nonlocal now
        now -= 1000
        return now

    time.time = time.monotonic = time.perf_counter = clock
