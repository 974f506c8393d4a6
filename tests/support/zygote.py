"""A process that has imported everything and run nothing: it forks one child per command.

TensorFlow takes seconds to import; a child of this process starts in milliseconds, and is a process
of its own to any signal. Where the system permits, it lives in a mount namespace of its own.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
_NAMESPACE = ("unshare", "--mount", "--map-root-user")


class Ended(NamedTuple):
    """Of a command: `returncode` as `subprocess` has it, None where it ran out of time."""

    returncode: int | None
    stdout: str
    stderr: str
    seconds: float


class Zygote:
    """The parent's side; a context manager.

    Attributes:
      mounts: whether `shell` may mount, seen by the commands alone.
    """

    def __init__(self, folder: pathlib.Path):
        """`folder` takes the outputs of the commands."""
        permitted = subprocess.run([*_NAMESPACE, "true"], capture_output=True)
        self.mounts = permitted.returncode == 0
        self.refusal = permitted.stderr.decode().strip()
        self._folder, self._count = folder, 0
        self._process = subprocess.Popen(
            [*(_NAMESPACE if self.mounts else ()), sys.executable, "-m", "tests.support.zygote"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def start(self, module: str, *flags: str, where: str = "none", cwd: pathlib.Path) -> int:
        """Start `python -m module flags` with a fault of `tests.support.faults`; its process id."""
        self._count += 1
        output = str(self._folder / f"output-{self._count}")
        return self._ask("start", module=module, flags=flags, where=where, cwd=str(cwd), to=output)

    def wait(self, pid: int, timeout: float = 240) -> Ended:
        """Waits for the end, which comes by SIGKILL after the timeout."""
        return Ended(*self._ask("wait", pid=pid, timeout=timeout))

    def run(self, module: str, *flags: str, where: str = "none", cwd: pathlib.Path) -> Ended:
        """`start` and `wait`."""
        return self.wait(self.start(module, *flags, where=where, cwd=cwd))

    def shell(self, command: str) -> str:
        """Runs a shell command in the zygote's mount namespace.

        Raises:
          RuntimeError: it failed.
        """
        status, output = self._ask("shell", command=command)
        if status:
            raise RuntimeError(f"{command!r} gave {status}: {output}")
        return output

    def _ask(self, what, **arguments):
        self._process.stdin.write(json.dumps({"what": what, **arguments}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class _Server:
    def __init__(self):
        self._children = {}

    def start(self, module, flags, where, cwd, to):
        pid = os.fork()
        if pid:
            self._children[pid] = (to, time.monotonic())
            return pid
        status = 1
        try:
            for name, descriptor in (("out", 1), ("err", 2)):
                os.dup2(os.open(f"{to}.{name}", os.O_WRONLY | os.O_CREAT), descriptor)
            sys.stdin = open(os.devnull)
            os.chdir(cwd)
            status = _main(module, flags, where)
        finally:
            sys.stdout.flush()
            os._exit(status)

    def wait(self, pid, timeout):
        to, started = self._children.pop(pid)
        status = None
        while status is None and time.monotonic() - started < timeout:
            found, wait_status = os.waitpid(pid, os.WNOHANG)
            status = os.waitstatus_to_exitcode(wait_status) if found else None
            time.sleep(0.01)
        seconds = time.monotonic() - started
        if status is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return status, *(pathlib.Path(f"{to}.{n}").read_text() for n in ("out", "err")), seconds

    def shell(self, command):
        done = subprocess.run(["sh", "-ec", command], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


def _main(module, flags, where):
    """What the interpreter does with `python -m module flags`."""
    import runpy

    from tests.support.faults import arrange

    try:
        sys.argv = [module, *flags]
        arrange(where)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def serve():
    """Answers requests, a line of JSON each, until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what imports print is no answer

    import rar_tf.evaluation  # noqa: F401  What every child needs.
    import rar_tf.runs  # noqa: F401

    server = _Server()
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(server, request.pop("what"))(**request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
