"""The run's folder: one preset each, whole files or none."""

import dataclasses
import json

import pytest

from rar_tf.training import Workdir, WorkdirError, resolve
from rar_tf.training.workdir import write_atomically

PRESET = resolve("fashion_mnist", "ig_norm")


def test_claim_writes_the_preset_and_accepts_it_again(tmp_path):
    workdir = Workdir(tmp_path / "deep" / "run")
    workdir.claim(PRESET)
    assert json.loads(workdir.preset.read_text())["epsilon"] == PRESET.epsilon
    workdir.claim(PRESET)


def test_another_preset_is_refused_with_what_differs(tmp_path):
    workdir = Workdir(tmp_path)
    workdir.claim(PRESET)
    before = workdir.preset.read_text()
    with pytest.raises(
        WorkdirError, match=r"(?s)another preset.*seed: 0 -> 1.*batch_size: 64 -> 32"
    ):
        workdir.claim(dataclasses.replace(PRESET, batch_size=32, seed=1))
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
