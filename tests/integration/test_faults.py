"""`python -m train.main` and what happens to it: whatever does, nothing is lost.

After each fault the same command ends with the weights of the run that met none, or an error
says what to do.
"""

import io
import os
import random
import re
import signal
import time
import zipfile

import h5py
import numpy as np
import pytest

from tests.support import mounts

FLAGS = (
    "--architecture=small_cnn",
    "--init_from=scratch",
    "--batch_size=6",
    "--max_steps=9",
    "--attack_steps=1",
    "--ig_steps=1",
    "--validate_every=4",
    "--checkpoint_every=3",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "mine.npz"
    generator = np.random.default_rng(0)
    labels = np.arange(36) % 3
    images = generator.integers(0, 100, (36, 8, 8, 1)) + 50 * labels[:, None, None, None]
    np.savez(path, images=images.astype("uint8"), labels=labels)
    return path


@pytest.fixture(scope="module")
def train(cli, data):
    """(folder, fault, *flags) -> the completed `train.main` in that folder with that fault."""

    def train(folder, fault="none", *flags):
        return cli("train.main", *command(data), *flags, fault=fault, cwd=folder)

    return train


def command(data):
    return f"--dataset=npz:{data}", "--workdir=run", *FLAGS


@pytest.fixture(scope="module")
def undisturbed(train, tmp_path_factory):
    """(weights, number of calls a run makes) of a run that meets no fault."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run = train(folder, "count")
    assert run.returncode == 0, run.stderr
    calls = int(run.stderr.partition("calls: ")[2].split()[0])
    return weights(folder / "run" / "model.keras"), calls


def weights(path):
    """Every variable of a `.keras` file by its name, and each validation's numbers beside it."""
    found = {"metrics.csv": (path.parent / "metrics.csv").read_bytes()}
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None
            )
        )
    assert len(found) > 8
    return found


def assert_same_end(train, folder, undisturbed):
    """The same command again ends where the undisturbed run did, and leaves no litter."""
    run = train(folder)
    assert run.returncode == 0, run.stderr
    assert weights(folder / "run" / "model.keras") == undisturbed[0]
    assert not [*folder.rglob("*.tmp")]
    return run


def checkpoints(folder):
    return sorted(path.name for path in (folder / "run" / "checkpoints").glob("*"))


def kill_points(count, calls):
    """Points spread over the whole run, each at random in its share of it."""
    generator = random.Random(0)
    return [int((i + generator.random()) * calls / count) + 1 for i in range(count)]


def assert_killed_anywhere_ends_the_same(train, folder, undisturbed, count):
    places = [f"call:{number}" for number in kill_points(count - 1, undisturbed[1])]
    for number, where in enumerate([*places, "write:2"]):
        path = folder / str(number)
        path.mkdir()
        killed = train(path, where)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        place = killed.stderr.rpartition("died in ")[2].strip() if "call" in where else "a write"
        print(f"{where}: {place}; checkpoints {checkpoints(path)}")
        assert_same_end(train, path, undisturbed)


def test_killed_at_random_points_a_run_ends_the_same(train, tmp_path, undisturbed):
    assert_killed_anywhere_ends_the_same(train, tmp_path, undisturbed, 3)


@pytest.mark.slow
def test_killed_at_20_random_points_a_run_ends_the_same(train, tmp_path, undisturbed):
    assert_killed_anywhere_ends_the_same(train, tmp_path, undisturbed, 20)


def test_asked_to_stop_it_saves_and_says_how_to_go_on(train, tmp_path, undisturbed):
    for where, status in (("int:2", 130), ("term:5", 143)):
        stopped = train(tmp_path, where)
        assert stopped.returncode == status
        message = f"stopped at step {where[-1]} of 9, all saved in run; the same command resumes"
        assert message in stopped.stderr and "Traceback" not in stopped.stderr
    assert checkpoints(tmp_path) == ["step-00000003.npz", "step-00000005.npz"]
    assert_same_end(train, tmp_path, undisturbed)


def test_asked_to_stop_in_the_last_step_of_the_natural_start_it_stops(train, tmp_path):
    flags = ("--init_from=natural", "--natural_steps=2", "--max_steps=3")
    for where, status in (("int:2", 130), ("term:2", 143)):
        folder = tmp_path / where.partition(":")[0]
        folder.mkdir()
        stopped = train(folder, where, *flags)
        assert stopped.returncode == status, stopped.stderr
        assert "stopped at step 2 of 2, all saved in run/natural" in stopped.stderr
        assert not (folder / "run" / "model.keras").exists()
        again = train(folder, "none", *flags)
        assert again.returncode == 0, again.stderr
        assert (folder / "run" / "model.keras").exists()


def test_a_truncated_newest_checkpoint_gives_way_to_the_one_before(train, tmp_path, undisturbed):
    assert train(tmp_path, "kill:8").returncode == -signal.SIGKILL
    older, newer = sorted((tmp_path / "run" / "checkpoints").iterdir())
    whole = older.read_bytes()
    for path in (older, newer):
        os.truncate(path, path.stat().st_size // 2)
    lost = train(tmp_path)
    assert lost.returncode == 1
    assert "error: no checkpoint could be read; restore a complete one, or start" in lost.stderr
    assert older.name in lost.stderr and "Traceback" not in lost.stderr
    older.write_bytes(whole)
    os.utime(newer, (0, 0))  # Age is a matter of steps, not of clocks.
    run = assert_same_end(train, tmp_path, undisturbed)
    assert f"{newer.name} is damaged" in run.stderr and "trying the one before" in run.stderr
    assert "resuming at step 3" in run.stderr


@pytest.mark.skipif(not mounts.PERMITTED, reason="no mount namespaces on this system")
@pytest.mark.parametrize(
    "size",
    [
        8_000,
        pytest.param(1_000_000, marks=pytest.mark.slow),
        pytest.param(7_000_000, marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_loses_nothing(data, tmp_path, undisturbed, size):
    """Full at the first files, at the first checkpoint, and at a later one."""
    (tmp_path / "run").mkdir()
    script = f"""
        mount -t tmpfs -o size={size} tmpfs run
        train full
        cp -r run copy
        mount -o remount,size=64m run
        train again
        cp run/model.keras run/metrics.csv .
    """
    full, again = mounts.run(script, ("full", "again"), command(data), cwd=tmp_path)
    assert full.returncode == 1, full.stderr
    error = full.stderr[full.stderr.index("error: ") :]
    assert "error: workdir run cannot be written" in error and "No space left on device" in error
    assert "free space there, and the same command resumes" in error
    assert "Traceback" not in full.stderr
    for path in (tmp_path / "copy" / "checkpoints").glob("*"):
        with np.load(path) as file:
            assert all(file[name].size for name in file.files)
    assert again.returncode == 0, again.stderr
    assert weights(tmp_path / "model.keras") == undisturbed[0]


@pytest.mark.skipif(not mounts.PERMITTED, reason="no mount namespaces on this system")
def test_a_read_only_workdir_says_what_to_do(data, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    script = "mount --bind run run; mount -o remount,ro,bind run; train refused"
    (refused,) = mounts.run(script, ("refused",), command(data), cwd=tmp_path)
    assert refused.returncode == 1
    assert "error: workdir run cannot be written: [Errno 30] Read-only file" in refused.stderr
    assert "make it writable, or choose another --workdir" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not [*run.iterdir()]


def test_a_second_run_in_a_workdir_is_refused_and_a_dead_one_leaves_no_lock(
    cli, train, data, tmp_path, undisturbed
):
    first = cli.start("train.main", *command(data), fault="stop:5", cwd=tmp_path)
    until = time.monotonic() + 60
    while not checkpoints(tmp_path) and time.monotonic() < until:
        time.sleep(0.05)
    second = train(tmp_path)
    assert second.returncode == 1
    assert f"error: workdir run is in use by process {first.pid} on " in second.stderr
    assert "choose another --workdir" in second.stderr
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait().returncode == -signal.SIGKILL
    assert "resuming at step 3" in assert_same_end(train, tmp_path, undisturbed).stderr


def test_clocks_that_run_backwards_change_nothing(train, tmp_path, undisturbed):
    run = train(tmp_path, "clock", "--keep_checkpoints=1")
    assert run.returncode == 0, run.stderr
    assert weights(tmp_path / "run" / "model.keras") == undisturbed[0]
    assert checkpoints(tmp_path) == ["step-00000009.npz"]
    assert "step 9 of 9" in run.stderr
    assert not re.search(r"(examples/s|,) -\d", run.stderr)


def test_at_least_one_checkpoint_must_stay(train, tmp_path):
    refused = train(tmp_path, "none", "--keep_checkpoints=0")
    assert refused.returncode == 1
    assert "error: keep_checkpoints must be >= 1. Received: keep_checkpoints=0" in refused.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_corrupted_data_archive_is_named(train, data, tmp_path, damage):
    content = bytearray(data.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 3] ^= 1
    mine = tmp_path / "mine.npz"
    mine.write_bytes(content)
    run = train(tmp_path, "none", f"--dataset=npz:{mine}")
    assert run.returncode == 1
    assert "error: " in run.stderr and str(mine) in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "run").exists()
