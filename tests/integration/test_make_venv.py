"""scripts/make_venv.sh: which interpreter it takes, and what it says where there is none."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "make_venv.sh"
INTERPRETERS = ("python3.11", "python3.12", "python3.13", "python3")


@pytest.fixture
def machine(tmp_path):
    """A machine whose every Python is a version manager's stub with nothing behind it."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in INTERPRETERS:
        install(tools, name, "echo stub >&2; exit 127")
    (tmp_path / "requirements.txt").touch()
    return tmp_path


def install(tools: pathlib.Path, name: str, body: str) -> None:
    (tools / name).write_text(f"#!/bin/sh\n{body}\n")
    (tools / name).chmod(0o755)


def make_venv(machine: pathlib.Path, python: str = "") -> tuple[int, str]:
    path = f"{machine / 'bin'}:{os.environ['PATH']}"
    result = subprocess.run(
        [SCRIPT, machine / "venv", machine / "requirements.txt"],
        env={"PATH": path, "HOME": str(machine), "PYTHON": python},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return result.returncode, result.stdout


def test_no_interpreter_of_a_supported_version(machine):
    status, output = make_venv(machine)
    assert status == 1
    assert "Expected Python 3.11, 3.12 or 3.13. Found: stub" in output
    assert "apt install python3 python3-venv" in output
    assert not (machine / "venv").exists()


def test_an_interpreter_without_ensurepip(machine):
    real = sys.executable
    refuse = f'case "$2" in *ensurepip*) exit 1 ;; *) exec "{real}" "$@" ;; esac'
    install(machine / "bin", "python3", refuse)
    status, output = make_venv(machine)
    assert status == 1
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert "python3 lacks the modules venv and ensurepip" in output
    assert f"apt install python{version}-venv" in output


def test_the_named_interpreter_is_taken_and_old_packages_go(machine):
    stale = machine / "venv" / "lib" / "stale.py"
    stale.parent.mkdir(parents=True)
    stale.touch()
    status, output = make_venv(machine, python=sys.executable)
    assert status == 0, output
    prefix = "import sys; print(sys.prefix)"
    python = machine / "venv" / "bin" / "python"
    output = subprocess.run([python, "-c", prefix], capture_output=True, text=True, check=True)
    assert pathlib.Path(output.stdout.strip()).samefile(machine / "venv")
    assert not stale.exists()
