import io
import tarfile

import numpy as np
import pytest

from rar_tf.datasets import cifar10, load, tfds_source


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(cifar10, "IMAGES_PER_MEMBER", 4)
    monkeypatch.setattr(cifar10, "VALIDATION", 5)


def records(first):
    """4 records; red is the record's number, green 100, blue the row."""
    out = np.zeros((4, 3, 32, 32), np.uint8)
    out[:, 0] = np.arange(first, first + 4)[:, None, None]
    out[:, 1] = 100
    out[:, 2] = np.arange(32)[:, None]
    labels = (np.arange(first, first + 4) % 10).astype(np.uint8)[:, None]
    return np.concatenate([labels, out.reshape(4, -1)], axis=1).tobytes()


def archive(folder, change=lambda members: None):
    members = {
        f"cifar-10-batches-bin/data_batch_{i}.bin": records(4 * (i - 1)) for i in range(1, 6)
    }
    members["cifar-10-batches-bin/test_batch.bin"] = records(20)
    change(members)
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return folder


def test_planes_become_channels_and_the_last_training_images_validate(tmp_path):
    data = load("cifar10", manual_dir=archive(tmp_path))
    assert data.train.images[:, 0, 0, 0].tolist() == list(range(15))
    assert data.validation.images[:, 0, 0, 0].tolist() == list(range(15, 20))
    assert data.test.labels.tolist() == [0, 1, 2, 3]
    assert data.test.images[1, 7, 30].tolist() == [21, 100, 7]
    assert data.source == f"archive {tmp_path / 'cifar-10-binary.tar.gz'}"


def test_a_missing_member_a_short_member_and_a_bad_label(tmp_path):
    name = "cifar-10-batches-bin/data_batch_3.bin"
    archive(tmp_path, lambda members: members.pop(name))
    with pytest.raises(ValueError, match=r"hold .*data_batch_3\.bin.*Received: no such member"):
        load("cifar10", manual_dir=tmp_path)
    archive(tmp_path, lambda members: members.update({name: b"\0" * 10}))
    with pytest.raises(ValueError, match=r"of 12292 bytes.*Received: 10 bytes"):
        load("cifar10", manual_dir=tmp_path)
    archive(tmp_path, lambda members: members.update({name: b"\x0b" + records(0)[1:]}))
    with pytest.raises(ValueError, match=r"labels 0 \.\. 9.*Received: label 11"):
        load("cifar10", manual_dir=tmp_path)


def test_a_truncated_and_a_missing_archive(tmp_path):
    path = archive(tmp_path) / "cifar-10-binary.tar.gz"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"complete archive of https://www.*300 bytes"):
        load("cifar10", manual_dir=tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"cifar-10-binary\.tar\.gz is missing\. Expected"):
        load("cifar10", manual_dir=tmp_path)


def test_offline_the_error_names_the_options(tmp_path, monkeypatch):
    def offline(url):
        raise ConnectionError(f"{url} cannot be reached: made up")

    monkeypatch.setattr(tfds_source, "probe", offline)
    with pytest.raises(
        FileNotFoundError, match=r"\(1\) a network.*\(2\) manual_dir.*cifar-10-binary\.tar\.gz"
    ):
        load("cifar10", data_dir=tmp_path)
