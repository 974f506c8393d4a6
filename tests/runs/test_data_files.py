"""The data of a run: kept, checked at every start, and carried by its model."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest

from rar_tf.datasets import DataRecord, Split
from rar_tf.models import load_classifier
from rar_tf.runs import Workdir, WorkdirError, record_of_model, train
from rar_tf.runs.checkpoints import OtherData
from tests.support import tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, to be copied."""
    workdir = Workdir(tmp_path_factory.mktemp("finished") / "run")
    train(tiny_run.preset(), workdir, tiny_run.tiny_data())
    return workdir


@pytest.fixture
def unfinished(run, tmp_path):
    """The run as it was at a checkpoint before its end."""
    workdir = Workdir(tmp_path / "run")
    for path in (run.preset, run.data, run.data_digests, run.metrics):
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / path.name).write_bytes(path.read_bytes())
    workdir.checkpoints.mkdir()
    first = min(run.checkpoints.glob("*.npz"))
    (workdir.checkpoints / first.name).write_bytes(first.read_bytes())
    return workdir


def changed():
    """The data with one pixel of one training image changed."""
    data = tiny_run.tiny_data()
    images = data.train.images.copy()
    images[7, 3, 4, 0] ^= 1
    return dataclasses.replace(data, train=Split(images, data.train.labels))


def moved():
    """The data with a validation image that was a training image."""
    data = tiny_run.tiny_data()
    validation = Split(
        np.concatenate([data.validation.images, data.train.images[:1]]),
        np.concatenate([data.validation.labels, data.train.labels[:1]]),
    )
    return dataclasses.replace(data, train=data.train.part(1, None), validation=validation)


def renamed():
    return dataclasses.replace(tiny_run.tiny_data(), class_names=("a", "b", "z"))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (changed, r"Changed: train: 1 image added, 1 removed$"),
        (moved, r"train: 1 removed; validation: 1 image added; 1 image of validation, a tr"),
        (renamed, r"Changed: classes: z added, c removed"),
    ],
)
def test_a_run_on_other_data_is_not_resumed(run, unfinished, other, message):
    for workdir in (run, unfinished):
        before = sorted(path.name for path in workdir.checkpoints.iterdir())
        with pytest.raises(WorkdirError, match=rf"holds a run on other data; .*{message}"):
            train(tiny_run.preset(), workdir, other())
        assert sorted(path.name for path in workdir.checkpoints.iterdir()) == before


def test_a_run_on_the_same_data_is_resumed_to_the_same_weights(run, unfinished):
    resumed = train(tiny_run.preset(), unfinished, tiny_run.tiny_data())
    for a, b in zip(load_classifier(run.model).weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_checkpoint_knows_its_data_without_the_files_beside_it(unfinished, caplog):
    unfinished.data.unlink()
    with pytest.raises(OtherData, match=r"checkpoint .*step-.* must be of the data of this run"):
        train(tiny_run.preset(), unfinished, changed())
    assert "kept no record of its data" in caplog.text
    train(tiny_run.preset(), unfinished, tiny_run.tiny_data())


def test_a_damaged_record_is_named(unfinished):
    unfinished.data_digests.write_bytes(b"junk")
    with pytest.raises(WorkdirError, match=r"data\.json must be the record of a run's data"):
        train(tiny_run.preset(), unfinished, tiny_run.tiny_data())
    unfinished.data.write_text("[]")
    with pytest.raises(WorkdirError, match=r"data\.json must be the record of a run's data"):
        train(tiny_run.preset(), unfinished, tiny_run.tiny_data())


def test_a_model_carries_the_names_of_its_classes(run, tmp_path):
    record = record_of_model(run.model)
    assert record.class_names == ("a", "b", "c") and record.splits["train"].images is not None
    copy = tmp_path / "copy.keras"
    copy.write_bytes(run.model.read_bytes())
    alone = record_of_model(copy)
    assert alone.class_names == ("a", "b", "c") and alone.splits["train"].images is None
    assert alone.describe()["images"] == {"train": 30, "validation": 6}
    load_classifier(copy)
    # A model that was trained elsewhere, in the folder of a run.
    other = dataclasses.replace(record, class_names=("x", "y", "z"))
    with zipfile.ZipFile(run.model) as source, zipfile.ZipFile(copy, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            is_record = name.endswith("data.json")
            target.writestr(name, json.dumps(other.describe()) if is_record else content)
    (tmp_path / "data.json").write_text(run.data.read_text())
    assert record_of_model(copy).class_names == ("x", "y", "z")


def test_a_model_of_an_earlier_version_has_no_record(run, tmp_path):
    copy = tmp_path / "old.keras"
    load_classifier(run.model).save(copy)
    assert record_of_model(copy) is None
    assert record_of_model(tmp_path / "none.keras") is None


def test_the_record_of_many_images_is_made_in_seconds():
    count = 100_000
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    data = tiny_run.tiny_data()
    labels = np.arange(count, dtype=np.int32) % 3
    record = DataRecord.of(dataclasses.replace(data, train=Split(images, labels)))
    assert sum(array.nbytes for array in record.arrays().values()) < 13 * count
