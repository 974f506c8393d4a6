"""Commands of this project as processes: `python -m MODULE FLAGS`.

A command is a child of a fork server that has imported TensorFlow: it starts in milliseconds and is
a process of its own to any signal.
"""

import contextlib
import dataclasses
import multiprocessing
import multiprocessing.forkserver
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from multiprocessing.context import ForkServerProcess
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
_TIMEOUT = 300.0
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.support.preload"])


class Completed(NamedTuple):
    """Result of a command; `returncode` is minus the signal's number where one ended it."""

    returncode: int
    stdout: str
    stderr: str


@dataclasses.dataclass(frozen=True)
class Running:
    """A command that has been started."""

    process: ForkServerProcess
    outputs: tempfile.TemporaryDirectory

    @property
    def pid(self) -> int:
        """Process number."""
        assert self.process.pid is not None
        return self.process.pid

    def wait(self, timeout: float = _TIMEOUT) -> Completed:
        """Wait for the end; a command that takes longer is killed."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        returncode = self.process.exitcode
        assert returncode is not None
        with self.outputs as folder:
            texts = [pathlib.Path(folder, name).read_text() for name in ("stdout", "stderr")]
        return Completed(returncode, *texts)


def start(
    module: str,
    *flags: str,
    cwd: str | os.PathLike = ROOT,
    env: Mapping[str, str] | None = None,
    fault: str = "none",
) -> Running:
    """Start `python -m module flags` with a fault of `tests.support.faults`."""
    outputs = tempfile.TemporaryDirectory(prefix="command-")
    arguments = (module, flags, os.fspath(cwd), dict(env or {}), fault, outputs.name)
    with _importable():
        process = _CONTEXT.Process(target=_run, args=arguments)
        process.start()
    return Running(process, outputs)


def run(
    module: str,
    *flags: str,
    cwd: str | os.PathLike = ROOT,
    env: Mapping[str, str] | None = None,
    fault: str = "none",
    timeout: float = _TIMEOUT,
) -> Completed:
    """`start` and wait."""
    return start(module, *flags, cwd=cwd, env=env, fault=fault).wait(timeout)


def run_fresh(
    *arguments: str,
    cwd: str | os.PathLike = ROOT,
    env: Mapping[str, str] | None = None,
    timeout: float = _TIMEOUT,
) -> Completed:
    """Run `python arguments` in a new interpreter, where the start itself is tested."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Completed(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def _importable() -> Iterator[None]:
    """Within it, a fork server that starts finds this project wherever it stands."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)
    try:
        multiprocessing.forkserver.ensure_running()
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _run(
    module: str,
    flags: tuple[str, ...],
    cwd: str,
    env: dict[str, str],
    fault: str,
    outputs: str,
) -> None:
    """What the interpreter does with `python -m module flags`, in the child."""
    from tests.support.faults import arrange

    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(f"{outputs}/{name}", os.O_WRONLY | os.O_CREAT), descriptor)
    sys.stdin = open(os.devnull)
    os.environ.update(env)
    os.chdir(cwd)
    sys.path.insert(0, cwd)
    sys.argv = [module, *flags]
    arrange(fault)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
