"""Training inside a mount namespace of its own, where a test may mount full or read-only disks."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence

from tests.support.cli import Completed
from tests.support.paths import ROOT

_NAMESPACE = ("unshare", "--mount", "--map-root-user")
# train NAME: trains with $FLAGS and leaves NAME.status, NAME.out and NAME.err.
_TRAIN = """
train() {
  name=$1; status=0
  "$PYTHON" -m train.main $FLAGS >"$name.out" 2>"$name.err" </dev/null || status=$?
  echo $status >"$name.status"
}
"""


def _is_permitted() -> bool:
    try:
        return not subprocess.run([*_NAMESPACE, "true"], capture_output=True).returncode
    except OSError:
        return False


PERMITTED = _is_permitted()


def run(
    script: str, names: Sequence[str], flags: Sequence[str], *, cwd: pathlib.Path
) -> list[Completed]:
    """Run a shell script that mounts, and trains with `train NAME`, in a new mount namespace.

    Args:
      script: for `sh`, in which `train NAME` runs `python -m train.main` with the flags.
      names: the names that the script gives its trainings.
      flags: of `train.main`, without spaces.
      cwd: working directory.

    Returns:
      The completed trainings by name.
    """
    variables = {"PYTHON": sys.executable, "FLAGS": " ".join(flags), "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [*_NAMESPACE, "sh", "-euc", _TRAIN + script],
        cwd=cwd,
        env={**os.environ, **variables},
        check=True,
        timeout=300,
    )
    return [
        Completed(
            int((cwd / f"{name}.status").read_text()),
            *((cwd / f"{name}.{end}").read_text() for end in ("out", "err")),
        )
        for name in names
    ]
