"""--deterministic: every objective gives the same bits in two processes."""

import numpy as np
import pytest

from rar_tf.objective import OBJECTIVES
from tests.support import local_workers


@pytest.fixture(scope="module")
def two_runs(cli, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deterministic")
    paths = [folder / f"{name}.npz" for name in ("first", "second")]
    commands = [cli.start("tests.support.parity", path, "7") for path in paths]
    for status, _, err in local_workers.finish(commands):
        assert status == 0, err
    return [dict(np.load(path)) for path in paths]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_two_runs_are_equal_bit_for_bit(name, two_runs):
    first, second = (
        {key: run[key].tobytes() for key in run if key.startswith(f"{name}/")} for run in two_runs
    )
    assert len(first) == 4 and first == second


@pytest.mark.slow
def test_the_command_is_deterministic(cli, tmp_path):
    """With input data read in parallel, validation and all that a run has."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, 8, 8, 1)).astype("uint8")
    np.savez(tmp_path / "mine.npz", images=images, labels=np.arange(60) % 3)
    command = (
        *("train.main", f"--dataset=npz:{tmp_path / 'mine.npz'}", "--objective=aat"),
        *("--architecture=small_cnn", "--init_from=scratch", "--batch_size=8", "--max_steps=2"),
        "--deterministic",
    )
    folders = [tmp_path / "first", tmp_path / "second"]
    runs = [cli.start(*command, f"--workdir={folder}") for folder in folders]
    for status, _, err in local_workers.finish(runs):
        assert status == 0, err
    one, two = (dict(np.load(folder / "checkpoints/step-00000002.npz")) for folder in folders)
    assert {key: value.tobytes() for key, value in one.items()} == {
        key: value.tobytes() for key, value in two.items()
    }
    assert (folders[0] / "metrics.csv").read_text() == (folders[1] / "metrics.csv").read_text()
