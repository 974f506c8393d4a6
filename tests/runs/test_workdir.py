"""The run's folder: one preset each, whole files or none."""

import errno
import json
import os

import pytest

from rar_tf.files import write_atomically
from rar_tf.presets import resolve
from rar_tf.runs import Workdir, WorkdirError
from rar_tf.runs.validation_callback import read_metrics

PRESET = resolve("fashion_mnist", "ig_norm")


def test_claim_writes_the_preset_and_accepts_it_again(tmp_path):
    workdir = Workdir(tmp_path / "deep" / "run")
    workdir.claim(PRESET)
    assert json.loads(workdir.preset.read_text())["epsilon"] == PRESET.attack.epsilon
    workdir.claim(PRESET)


def test_another_preset_is_refused_with_what_differs(tmp_path):
    workdir = Workdir(tmp_path)
    workdir.claim(PRESET)
    before = workdir.preset.read_text()
    with pytest.raises(
        WorkdirError, match=r"(?s)another preset.*seed: 0 -> 1.*batch_size: 128 -> 32"
    ):
        workdir.claim(PRESET.replace(batch_size=32, seed=1))
    assert workdir.preset.read_text() == before


def test_a_damaged_preset_and_a_file_in_the_way_are_named(tmp_path):
    (tmp_path / "preset.json").write_text("{")
    with pytest.raises(WorkdirError, match="preset.json is not a preset"):
        Workdir(tmp_path).claim(PRESET)
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkdirError, match="cannot be used"):
        Workdir(tmp_path / "file").claim(PRESET)


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(descriptor):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_workdir_in_use_is_refused_and_free_again_afterwards(tmp_path):
    workdir = Workdir(tmp_path / "run")
    with workdir.locked():
        with pytest.raises(WorkdirError, match=rf"in use by process {os.getpid()} on .*--workdir"):
            with Workdir(tmp_path / "run").locked():
                pass
        with workdir.natural.locked():  # a lock is of one folder, not of those in it
            pass
    with workdir.locked():
        pass


def test_what_a_killed_process_left_half_written_goes_and_nothing_else(tmp_path):
    workdir = Workdir(tmp_path / "run")
    workdir.root.mkdir()
    others = ("metrics.csv", "my.tmp", ".env.tmpl", ".secrets.tmp.bak", ".notes.7.tmp")
    for name in (".metrics.csv.7.tmp", ".model.keras.7.tmp.keras", *others):
        (workdir.root / name).write_text("")
    with workdir.locked():
        assert {path.name for path in workdir.root.iterdir()} == {".lock", *others}
        (workdir.root / ".metrics.csv.8.tmp").write_text("by the holder")
        with pytest.raises(WorkdirError), workdir.locked():
            pass
        assert (workdir.root / ".metrics.csv.8.tmp").exists()


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free space there, and the same command resumes"),
        (errno.EDQUOT, "free space there"),
        (errno.EROFS, "make it writable, or choose another --workdir"),
        (errno.EACCES, "make it writable"),
    ],
)
def test_what_cannot_be_written_says_what_to_do(tmp_path, number, remedy):
    with pytest.raises(
        WorkdirError, match=rf"{os.strerror(number)}.*before are complete: {remedy}"
    ):
        with Workdir(tmp_path).writing():
            raise OSError(number, os.strerror(number), "checkpoints/step-00000003.npz")
    with pytest.raises(OSError, match="Interrupted"), Workdir(tmp_path).writing():
        raise OSError(errno.EINTR, os.strerror(errno.EINTR))


def test_a_damaged_metrics_file_is_named(tmp_path):
    path = tmp_path / "metrics.csv"
    assert read_metrics(path) == []
    path.write_text("step,natural_accuracy\n0,0.5\n4")
    with pytest.raises(ValueError, match=r"metrics.csv must be a table of numbers; remove it"):
        read_metrics(path)
