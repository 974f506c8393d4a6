"""Two workers on this machine: one stops, however it does, and so does the other; both go on."""

import pathlib
import re
import signal
import time

import pytest

from tests.support import local_workers

pytestmark = pytest.mark.slow


def start(cli, folder, fault="none"):
    """Two workers, of which the second meets the fault."""
    faults = ("none", fault)
    worker = ("tests.support.tiny_worker", str(folder))
    return local_workers.start(cli, [worker] * 2, faults)


def run(cli, folder, fault="none"):
    return local_workers.finish(start(cli, folder, fault))


def seconds_to_the_end_of_the_first(cli, folder, fault):
    """From the signal that the second worker gets; and how the first one ended."""
    first, second = workers = start(cli, folder, fault)
    try:
        wait_until_stopped(second.pid)
        started = time.monotonic()
        completed = first.wait()
        return time.monotonic() - started, completed.returncode, completed.stderr
    finally:
        for worker in workers:
            worker.kill()


def wait_until_stopped(pid):
    """Waits until the process has ended or is stopped by a signal (Linux)."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        try:
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state in "TZX":
            return
        time.sleep(0.05)
    raise TimeoutError(f"process {pid} still runs")


@pytest.fixture(scope="module")
def undisturbed(cli, tmp_path_factory):
    first, second = run(cli, tmp_path_factory.mktemp("whole"))
    assert first[0] == second[0] == 0, first[2] + second[2]
    assert re.fullmatch(r"[0-9a-f]{64}\n", first[1]) and first[1] == second[1]
    return first[1]


@pytest.mark.parametrize("fault", ["kill", "stop"])
def test_a_dead_or_silent_worker_stops_the_other_and_both_go_on(cli, tmp_path, undisturbed, fault):
    """Silent is a machine that hangs, or a network that is cut."""
    seconds, status, err = seconds_to_the_end_of_the_first(cli, tmp_path, f"{fault}:5")
    assert status == 1
    assert "error: worker 0 of 2 stops: another worker died, stopped with an error" in err
    assert "start all workers again" in err
    assert seconds < 90
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000003.npz"]
    for status, out, err in run(cli, tmp_path):
        assert (status, out) == (0, undisturbed), err


def test_asking_one_to_stop_stops_and_saves_all(cli, tmp_path, undisturbed):
    for status, out, err in run(cli, tmp_path, "term:5"):
        assert status == 128 + signal.SIGTERM, err
        assert "stopped at step 5 of 9, all saved" in out
    assert (tmp_path / "checkpoints" / "step-00000005.npz").exists()
    for status, out, err in run(cli, tmp_path):
        assert (status, out) == (0, undisturbed), err


def test_workers_with_other_settings_are_refused(cli, tmp_path):
    command = ["train.main", "--dataset=fashion_mnist", f"--workdir={tmp_path}", "--max_steps=2"]
    first, second = local_workers.finish(
        local_workers.start(cli, [command, [*command, "--weight=0.5"]])
    )
    assert first[0] == second[0] == 1
    assert re.search(
        r"error: all workers must be started with the same settings. Received, at worker 0 -> at "
        r"worker 1:\n  weight: 1.0 -> 0.5",
        second[2],
    )
    assert "error: worker 0 of 2 stops: another worker" in first[2]
    assert "Traceback" not in first[2] + second[2]
