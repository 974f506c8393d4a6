import functools
import http.server
import io
import tarfile
import threading

import numpy as np
import pytest
import tensorflow as tf

from rar_tf.datasets import load, oxford_flowers17

ARCHIVE = "17flowers.tgz"


def jpeg(number):
    """16x24, one colour: red 10 x class, green the image's number within it."""
    image = np.full((16, 24, 3), [10 * (number // 10), 20 * (number % 10), 128], np.uint8)
    return tf.io.encode_jpeg(image, quality=100).numpy()


def write(folder, change=lambda members: None):
    folder.mkdir(exist_ok=True)
    members = {f"jpg/image_{number + 1:04d}.jpg": jpeg(number) for number in range(170)}
    members["jpg/files.txt"] = b"image_0001.jpg\n"
    change(members)
    with tarfile.open(folder / ARCHIVE, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(oxford_flowers17, "IMAGES_PER_CLASS", 10)


def test_classes_follow_the_file_order_and_partition_is_balanced(tmp_path):
    data = load(
        "oxford_flowers17", data_dir=tmp_path / "tfds", manual_dir=write(tmp_path / "m"),
        image_size=8,
    )  # fmt: skip
    plain = data.train.source
    splits = (plain, data.validation, data.test)
    assert [np.bincount(split.labels).tolist() for split in splits] == [
        [8] * 17,
        [1] * 17,
        [1] * 17,
    ]
    for split in splits:
        np.testing.assert_allclose(split.images[:, 4, 4, 0], 10.0 * split.labels, atol=3)
    numbers = np.concatenate(
        [split.labels * 10 + np.round(split.images[:, 4, 4, 1] / 20) for split in splits]
    )
    assert sorted(numbers) == list(range(170)), "every image is in exactly one split"
    assert len(data.train) == 17_000
    np.testing.assert_array_equal(data.train.read(np.arange(8))[0], plain.images[:8])


def test_the_seed_draws_the_partition(tmp_path):
    write(tmp_path / "m")
    first, again, other = (
        load("oxford_flowers17", data_dir=tmp_path / "t", manual_dir=tmp_path / "m",
             image_size=8, seed=seed)
        for seed in (0, 0, 1)
    )  # fmt: skip
    np.testing.assert_array_equal(first.test.images, again.test.images)
    assert (first.test.images != other.test.images).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m.pop("jpg/image_0033.jpg"),
            r"must hold the 170 images of the archive of https://www\.robots\.ox\.ac\.uk.*"
            r"Received: 169 of them, without jpg/image_0033\.jpg",
        ),
        (
            lambda m: m.update({"../jpg/image_0033.jpg": m.pop("jpg/image_0033.jpg")}),
            r"Received: 169 of them, without jpg/image_0033\.jpg",
        ),
        (
            lambda m: m.update({"jpg/image_0005.jpg": jpeg(4)[:100]}),
            r"jpg/image_0005\.jpg must be a complete image .*Received: 100 bytes",
        ),
    ],
)
def test_foreign_archives(tmp_path, change, message):
    write(tmp_path / "m", change)
    with pytest.raises(ValueError, match=message):
        load("oxford_flowers17", data_dir=tmp_path, manual_dir=tmp_path / "m", image_size=8)
    assert not list(tmp_path.rglob("image_*.jpg"))


def test_a_truncated_and_a_missing_archive(tmp_path):
    path = write(tmp_path / "m") / ARCHIVE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"complete archive of https://www\.robots.*1000 bytes"):
        load("oxford_flowers17", data_dir=tmp_path, manual_dir=tmp_path / "m", image_size=8)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{ARCHIVE} is missing\. Expected: the archive"):
        load("oxford_flowers17", data_dir=tmp_path, manual_dir=tmp_path / "m", image_size=8)


@pytest.fixture
def server(tmp_path):
    """Serves tmp_path / "served" on this machine."""
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=write(tmp_path / "served")
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_download_gives_what_the_archive_gives(tmp_path, server, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(oxford_flowers17.OxfordFlowers17, "URLS", {ARCHIVE: f"{server}/{ARCHIVE}"})
    downloaded = load("oxford_flowers17", data_dir=tmp_path / "a", image_size=8)
    assert downloaded.source.endswith("from TFDS")
    placed = load("oxford_flowers17", data_dir=tmp_path / "b", image_size=8,
                  manual_dir=tmp_path / "served")  # fmt: skip
    np.testing.assert_array_equal(downloaded.test.images, placed.test.images)
