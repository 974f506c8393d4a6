"""scripts/get_data.sh: what it finds, what it would install, what it says, with stand-in tools."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "get_data.sh"
FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


@pytest.fixture
def machine(tmp_path):
    """A machine without network or data: stand-ins for curl, sudo, id and apt-get on the path."""
    tools = tmp_path / "bin"
    tools.mkdir()
    install(tools, "curl", "exit 6")
    install(tools, "sudo", "exit 1")
    install(tools, "id", "echo 1000")
    install(tools, "apt-get", 'echo "apt-get $*" >> "$LOG"; exit 100')
    return tmp_path


def install(tools: pathlib.Path, name: str, body: str) -> None:
    (tools / name).write_text(f"#!/bin/sh\n{body}\n")
    (tools / name).chmod(0o755)


def get_data(machine: pathlib.Path, *arguments: str) -> tuple[int, str, str]:
    """(exit status, its output, what it asked of apt-get)."""
    environment = {
        "PATH": f"{machine / 'bin'}:{os.environ['PATH']}",
        "HOME": str(machine),
        "LOG": str(machine / "log"),
        "FASHION_MNIST_DIR": str(machine / "system"),
    }
    result = subprocess.run(
        [SCRIPT, *arguments], env=environment, capture_output=True, text=True, timeout=60
    )
    log = machine / "log"
    return result.returncode, result.stderr, log.read_text() if log.exists() else ""


def put_files(folder: pathlib.Path, names=FILES, ending=".gz") -> None:
    folder.mkdir()
    for name in names:
        (folder / f"{name}-ubyte{ending}").touch()


@pytest.mark.parametrize("ending", [".gz", ""])
def test_system_copy_is_enough(machine, ending):
    put_files(machine / "system", ending=ending)
    assert get_data(machine, "fashion_mnist") == (0, "", "")


def test_half_a_system_copy_is_not(machine):
    put_files(machine / "system", FILES[:3])
    assert get_data(machine, "fashion_mnist")[0] == 1


def test_copy_that_tfds_prepared_is_enough(machine):
    (machine / "tensorflow_datasets" / "fashion_mnist").mkdir(parents=True)
    assert get_data(machine, "fashion_mnist") == (0, "", "")


def test_network_is_enough(machine):
    install(machine / "bin", "curl", "exit 0")
    assert get_data(machine, "fashion_mnist") == (0, "", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("gtsrb",),
        ("fashion_mnist", "--manual_dir=/mine"),
        ("fashion_mnist", "--ig_steps=3", "--data_dir", "/mine"),
    ],
)
def test_other_data_is_left_to_its_owner(machine, arguments):
    assert get_data(machine, *arguments) == (0, "", "")


def test_without_root_it_says_what_to_do(machine):
    status, output, asked = get_data(machine, "fashion_mnist")
    assert (status, asked) == (1, "")
    assert "installing dataset-fashion-mnist takes root" in output
    assert "sudo apt-get update && sudo apt-get install dataset-fashion-mnist" in output
    assert "--manual_dir=FOLDER" in output


def test_dry_run_only_says_what_it_would_install(machine):
    install(machine / "bin", "id", "echo 0")
    status, output, asked = get_data(machine, "--dry-run", "fashion_mnist")
    assert (status, asked) == (0, "")
    assert "dry run: env apt-get install -y --no-install-recommends dataset-fashion-mnist" in output


@pytest.mark.parametrize(
    ("tool", "body"), [("id", "echo 0"), ("sudo", '[ "$1" = -n ] && shift && exec "$@"')]
)
def test_updates_the_lists_when_the_package_is_unknown(machine, tool, body):
    install(machine / "bin", tool, body)
    package = 'mkdir "$FASHION_MNIST_DIR"; for f in ' + " ".join(FILES)
    package += '; do : > "$FASHION_MNIST_DIR/$f-ubyte.gz"; done'
    known = '[ -e "$HOME/lists" ] || exit 100'
    verbs = f'case " $* " in *" update "*) : > "$HOME/lists" ;; *) {known}; {package} ;; esac'
    install(machine / "bin", "apt-get", f'echo "$*" >> "$LOG"; {verbs}')
    status, output, asked = get_data(machine, "fashion_mnist")
    assert status == 0, output
    assert "installing Debian's package dataset-fashion-mnist" in output
    verbs_asked = [("update" if "update" in line else "install") for line in asked.splitlines()]
    assert verbs_asked == ["install", "update", "install"]


def test_a_failing_apt_get_is_reported(machine):
    install(machine / "bin", "id", "echo 0")
    status, output, asked = get_data(machine, "fashion_mnist")
    assert status == 1
    assert "apt-get could not install dataset-fashion-mnist" in output
    assert len(asked.splitlines()) == 2  # install, update; no second install without lists
