"""Faults that a process of ours can be told to meet, each at a given point of a training run."""

import contextlib
import os
import signal
import sys
import time

from rar_tf import files
from rar_tf.runs import callbacks, checkpoints, run, workdir
from rar_tf.runs import interrupts as stopping
from rar_tf.training import loop

SIGNALS = {
    "kill": signal.SIGKILL,
    "term": signal.SIGTERM,
    "int": signal.SIGINT,
    "stop": signal.SIGSTOP,
}


_WATCHED = (callbacks, checkpoints, files, loop, run, stopping, workdir)


def arrange(where: str) -> None:
    """Patches this process so that the fault comes where it is told.

    Args:
      where: "kill:N", "term:N", "int:N" or "stop:N", that signal after step N; "write:N", SIGKILL
        inside the N-th checkpoint write; "call:N", SIGKILL at the N-th call that a function which
        steps or writes makes or gets while the run holds its workdir, saying which on stderr;
        "count", their number on stderr at the end; "clock", clocks that run backwards; "none".

    Raises:
      ValueError: something else.
    """
    kind, _, number = where.partition(":")
    if kind in SIGNALS:
        _after_step(int(number), SIGNALS[kind])
    elif kind == "write":
        _in_write(int(number))
    elif kind in ("call", "count"):
        _at_call(int(number or 0))
    elif kind == "clock":
        _clock_backwards()
    elif kind != "none":
        raise ValueError(f"where must name a fault. Received: where={where!r}")


def _after_step(number, signum):
    original = callbacks.GuardFinite.on_train_batch_end

    def end(self, batch, logs=None):
        if checkpoints.step(self.model) == number:
            os.kill(os.getpid(), signum)
        original(self, batch, logs)

    callbacks.GuardFinite.on_train_batch_end = end


def _in_write(number):
    replace, seen = os.replace, []

    def patched(source, target):
        if "step-" in str(target):
            seen.append(target)
            if len(seen) == number:
                os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = patched


def _at_call(number):
    watched, seen = {module.__file__ for module in _WATCHED}, 0

    def hook(frame, event, arg):
        nonlocal seen
        if event not in ("call", "c_call") or frame.f_code.co_filename not in watched:
            return
        seen += 1
        if seen == number:
            callee = "" if event == "call" else f", calling {arg.__name__}"
            os.write(2, f"died in {frame.f_code.co_qualname}{callee}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    original = workdir.Workdir.locked.__wrapped__

    @contextlib.contextmanager
    def locked(self):
        sys.setprofile(hook)
        yield from original(self)
        sys.setprofile(None)
        os.write(2, f"calls: {seen}\n".encode())

    workdir.Workdir.locked = locked


def _clock_backwards():
    now = 2e9

    def clock():
        nonlocal now
        now -= 1000
        return now

    time.time = time.monotonic = time.perf_counter = clock
