"""Commands of this project as processes: `cli("train.main", "--max_steps=3", cwd=folder)`.

A fork server of the standard library imports TensorFlow once; each command is a child that it
forks, with its own arguments, environment, working directory, output files and signals.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import pathlib
import runpy
import sys
from collections.abc import Mapping
from typing import NamedTuple

from tests.support.paths import ROOT

# `silence` imports TensorFlow without its messages; the commands, which define flags, are left out.
PRELOAD = [
    "rar_tf.cli.silence",
    "rar_tf.runs",
    "rar_tf.evaluation",
    "rar_tf.reporting",
    "rar_tf.serving",
]
TIMEOUT = 300.0


class Completed(NamedTuple):
    """A finished command; `returncode` is the negative number of the signal that ended it."""

    returncode: int
    stdout: str
    stderr: str


class Command:
    """A command that has been started."""

    def __init__(self, process: multiprocessing.process.BaseProcess, output: pathlib.Path):
        """Output goes to the files `output`.out and `output`.err."""
        self._process, self._output = process, output

    @property
    def pid(self) -> int:
        """Process id."""
        pid = self._process.pid
        if pid is None:
            raise RuntimeError("the command has not been started")
        return pid

    def wait(self, timeout: float = TIMEOUT) -> Completed:
        """Wait for the end, and kill the process if it takes longer than `timeout` seconds.

        Raises:
          TimeoutError: it took longer.
        """
        self._process.join(timeout)
        returncode = self._process.exitcode
        self.kill()
        out, err = (self._output.with_suffix(end).read_text() for end in (".out", ".err"))
        if returncode is None:
            raise TimeoutError(f"{self._process.name} ran for {timeout} s:\n{out}{err}")
        return Completed(returncode, out, err)

    def kill(self) -> None:
        """End the process if it still runs."""
        self._process.kill()
        self._process.join()


class CommandLine:
    """Runs modules as `python -m` does; the fixture `cli`."""

    def __init__(self, folder: pathlib.Path):
        """`folder` takes the files of the commands' output."""
        self._folder, self._commands = folder, list[Command]()
        self._context = multiprocessing.get_context("forkserver")

    def __call__(
        self,
        module: str,
        *flags: str | os.PathLike[str],
        cwd: os.PathLike[str] = ROOT,
        env: Mapping[str, str] | None = None,
        fault: str = "none",
        timeout: float = TIMEOUT,
    ) -> Completed:
        """Run `python -m module flags` to its end; arguments as for `start` and `wait`."""
        return self.start(module, *flags, cwd=cwd, env=env, fault=fault).wait(timeout)

    def start(
        self,
        module: str,
        *flags: str | os.PathLike[str],
        cwd: os.PathLike[str] = ROOT,
        env: Mapping[str, str] | None = None,
        fault: str = "none",
    ) -> Command:
        """Start `python -m module flags`.

        Args:
          module: to run as `__main__`.
          *flags: its arguments.
          cwd: working directory, searched for modules first.
          env: variables beside those of this process; TensorFlow, already imported, does not
            notice those that it reads at import.
          fault: a fault of `tests.support.faults`.
        """
        self._start_server()
        output = self._folder / f"command-{len(self._commands)}"
        arguments = (module, *(os.fspath(flag) for flag in flags))
        environment = {**os.environ, **(env or {})}
        process = self._context.Process(
            name=" ".join(arguments),
            target=_run,
            args=(arguments, os.fspath(cwd), environment, fault, str(output)),
        )
        process.start()
        self._commands.append(Command(process, output))
        return self._commands[-1]

    def kill_all(self) -> None:
        """End every command that still runs."""
        for command in self._commands:
            command.kill()

    def _start_server(self) -> None:
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = str(ROOT)  # python/cpython issue 117378: sys.path is not passed
        try:
            self._context.set_forkserver_preload(PRELOAD)
            multiprocessing.forkserver.ensure_running()
        finally:
            if before is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = before


def _run(
    arguments: tuple[str, ...], cwd: str, environment: dict[str, str], fault: str, output: str
) -> None:
    """What the interpreter does with `python -m module flags`, in the child."""
    for end, descriptor in ((".out", 1), (".err", 2)):
        file = os.open(output + end, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.path.insert(0, cwd)
    if fault != "none":
        from tests.support import faults

        faults.arrange(fault)
    sys.argv = list(arguments)
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
