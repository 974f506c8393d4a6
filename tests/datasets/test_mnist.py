import dataclasses
import gzip
import hashlib
import pathlib
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from rar_tf.datasets import idx, load, mnist, tfds_source

SYSTEM = pathlib.Path("/usr/share/datasets/fashion-mnist")
SAMPLE = pathlib.Path(__file__).parents[1] / "testdata" / "fashion_mnist_sample.npz"


def toy_arrays(shift):
    """Small stand-ins for the four files of one data set."""
    rng = np.random.default_rng(shift)
    return {
        "train_images": rng.integers(0, 256, (12, 28, 28), np.uint8),
        "train_labels": rng.integers(0, 10, 12).astype(np.uint8),
        "test_images": rng.integers(0, 256, (4, 28, 28), np.uint8),
        "test_labels": rng.integers(0, 10, 4).astype(np.uint8),
    }


TOYS = {"mnist": toy_arrays(0), "fashion_mnist": toy_arrays(1)}


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """Register small files as the published ones; no system copy, no network."""
    files = {
        part: dataclasses.replace(
            spec,
            shape=TOYS["mnist"][part].shape,
            digests={
                name: hashlib.sha256(idx.encode(arrays[part])).hexdigest()
                for name, arrays in TOYS.items()
            },
        )
        for part, spec in idx.FILES.items()
    }
    monkeypatch.setattr(idx, "FILES", files)
    monkeypatch.setattr(mnist, "VALIDATION", 3)
    monkeypatch.setattr(mnist, "SYSTEM_FOLDERS", {"fashion_mnist": tmp_path / "system"})

    def offline(url):
        raise ConnectionError(f"{url} cannot be reached: made up")

    monkeypatch.setattr(tfds_source, "probe", offline)
    return tmp_path


def write(folder, name, parts=tuple(idx.FILES), compress=True):
    folder.mkdir(exist_ok=True)
    for part in parts:
        content = idx.encode(TOYS[name][part])
        path = folder / idx.FILES[part].file_name
        if compress:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
        else:
            path.write_bytes(content)
    return folder


def prepare_with_tfds(name, data_dir, monkeypatch):
    """Prepare the toy files with TFDS's builder."""

    def examples(self, num_examples, data_path, label_path):
        half = "train" if "train" in str(data_path) else "test"
        arrays = TOYS[name]
        for i, image in enumerate(arrays[f"{half}_images"]):
            yield i, {"image": image[..., None], "label": int(arrays[f"{half}_labels"][i])}

    builder = tfds.builder(name, data_dir=data_dir)
    monkeypatch.setattr(type(builder), "_generate_examples", examples)
    monkeypatch.setattr(
        tfds.download.DownloadManager, "download_and_extract", lambda self, urls: urls
    )
    builder.download_and_prepare()


@pytest.mark.parametrize("compress", [True, False])
def test_manual_files_are_read_and_split_by_position(toy, compress):
    data = load("mnist", manual_dir=write(toy / "m", "mnist", compress=compress))
    arrays = TOYS["mnist"]
    np.testing.assert_array_equal(data.train.images[..., 0], arrays["train_images"][:9])
    np.testing.assert_array_equal(data.validation.images[..., 0], arrays["train_images"][9:])
    np.testing.assert_array_equal(data.validation.labels, arrays["train_labels"][9:])
    np.testing.assert_array_equal(data.test.labels, arrays["test_labels"])
    assert data.source == f"IDX files in manual_dir {toy / 'm'}"


def test_a_prepared_tfds_copy_gives_the_same_splits_as_the_files(toy, monkeypatch):
    prepare_with_tfds("fashion_mnist", toy / "tfds", monkeypatch)
    write(toy / "system", "fashion_mnist")
    data = load("fashion_mnist", data_dir=toy / "tfds")
    assert data.source.startswith(f"prepared TFDS copy in {toy / 'tfds'}")
    reference = load("fashion_mnist", manual_dir=toy / "system")
    for split in ("train", "validation", "test"):
        got, expected = data.require(split), reference.require(split)
        np.testing.assert_array_equal(got.images, expected.images)
        np.testing.assert_array_equal(got.labels, expected.labels)


def test_a_prepared_copy_with_other_contents_is_refused(toy, monkeypatch):
    prepare_with_tfds("mnist", toy / "tfds", monkeypatch)
    spec = idx.FILES["test_labels"]
    monkeypatch.setitem(
        idx.FILES, "test_labels", dataclasses.replace(spec, digests={"mnist": "00"})
    )
    with pytest.raises(ValueError, match=r"\(test\) must hold MNIST's test labels: sha256 00"):
        load("mnist", data_dir=toy / "tfds")


def test_the_system_copy_is_used_when_there_is_no_other(toy):
    write(toy / "system", "fashion_mnist")
    data = load("fashion_mnist", data_dir=toy / "none")
    assert data.source == f"system copy of the IDX files in {toy / 'system'}"


def test_offline_one_error_names_the_options_at_once(toy):
    begin = time.monotonic()
    with pytest.raises(
        FileNotFoundError,
        match=r"fashion_mnist was not found.*\(1\) a network.*cannot be reached.*"
        r"\(2\) manual_dir \(--manual_dir=FOLDER\) holding train-images-idx3-ubyte\.gz, "
        r"train-labels-idx1-ubyte\.gz, t10k-images-idx3-ubyte\.gz, t10k-labels-idx1-ubyte\.gz"
        r".*\(3\).*apt-get install dataset-fashion-mnist",
    ):
        load("fashion_mnist", data_dir=toy / "none")
    assert time.monotonic() - begin < 10
    with pytest.raises(FileNotFoundError, match="mnist was not found") as error:
        load("mnist", data_dir=toy / "none")
    assert "apt-get" not in str(error.value)


def test_a_refused_connection_is_noticed_in_seconds(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    begin = time.monotonic()
    with pytest.raises(ConnectionError, match=r"http://127\.0\.0\.1:9/x cannot be reached"):
        tfds_source.probe("http://127.0.0.1:9/x")
    assert time.monotonic() - begin < 10


def test_a_test_set_alone_has_no_training_split_and_says_why(toy):
    data = load("mnist", manual_dir=write(toy / "m", "mnist", ("test_images", "test_labels")))
    assert len(data.test) == 4 and data.train is None and data.validation is None
    with pytest.raises(
        FileNotFoundError,
        match=r"mnist has no train split.*Missing in .*train-images-idx3-ubyte\.gz, "
        r"train-labels-idx1-ubyte\.gz",
    ):
        data.require("train")


def test_an_empty_manual_folder_is_an_error_even_if_other_sources_work(toy):
    write(toy / "system", "fashion_mnist")
    (toy / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"Missing in .*empty: train-images-idx3-ubyte"):
        load("fashion_mnist", manual_dir=toy / "empty")


def test_the_error_names_a_foreign_file(toy):
    write(toy / "m", "mnist")
    with pytest.raises(
        ValueError,
        match="holds MNIST's training images, expected Fashion-MNIST's training images",
    ):
        load("fashion_mnist", manual_dir=toy / "m")


def test_the_error_names_test_images_under_the_training_name(toy):
    folder = write(toy / "m", "mnist")
    names = [folder / f"{idx.FILES[part].file_name}.gz" for part in ("test_images", "train_images")]
    names[1].write_bytes(names[0].read_bytes())
    with pytest.raises(
        ValueError, match="holds MNIST's test images, expected MNIST's training images"
    ):
        load("mnist", manual_dir=folder)


def test_truncated_and_corrupted_files(toy):
    folder = write(toy / "m", "mnist")
    path = folder / "t10k-images-idx3-ubyte.gz"
    full = path.read_bytes()
    path.write_bytes(full[:-200])
    with pytest.raises(ValueError, match=r"t10k-images.*must be a complete gzip.*truncated"):
        load("mnist", manual_dir=folder)
    content = idx.encode(TOYS["mnist"]["test_images"])
    path.write_bytes(gzip.compress(content[:-7]))
    with pytest.raises(
        ValueError, match=r"test images: 3152 bytes uncompressed\. Received: 3145 bytes"
    ):
        load("mnist", manual_dir=folder)
    path.write_bytes(gzip.compress(content[:-1] + bytes([content[-1] ^ 1])))
    with pytest.raises(ValueError, match=r"MNIST's test images: sha256 .*Received: [0-9a-f]{64}"):
        load("mnist", manual_dir=folder)


@pytest.mark.skipif(not SYSTEM.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_debian_package_holds_the_published_data_and_the_sample_is_its_beginning():
    data = load("fashion_mnist", manual_dir=SYSTEM)
    assert (len(data.train), len(data.validation), len(data.test)) == (55_000, 5_000, 10_000)
    assert np.bincount(data.test.labels).tolist() == [1_000] * 10
    with np.load(SAMPLE, allow_pickle=False) as sample:
        np.testing.assert_array_equal(data.train.images[:512], sample["train_images"])
        np.testing.assert_array_equal(data.train.labels[:512], sample["train_labels"])
        np.testing.assert_array_equal(data.test.images[:256], sample["test_images"])
        np.testing.assert_array_equal(data.test.labels[:256], sample["test_labels"])


@pytest.mark.slow
@pytest.mark.skipif(not SYSTEM.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_tfds_order_of_the_whole_data_set_is_undone(tmp_path, monkeypatch):
    for path in SYSTEM.glob("*.gz"):
        (tmp_path / path.name).write_bytes(gzip.decompress(path.read_bytes()))
    monkeypatch.setattr(
        tfds.download.DownloadManager,
        "download_and_extract",
        lambda self, urls: {key: tmp_path / url.split("/")[-1] for key, url in urls.items()},
    )
    tfds.builder("fashion_mnist", data_dir=tmp_path / "tfds").download_and_prepare()
    data = load("fashion_mnist", data_dir=tmp_path / "tfds")
    reference = load("fashion_mnist", manual_dir=SYSTEM)
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(data.require(split).images, reference.require(split).images)
        np.testing.assert_array_equal(data.require(split).labels, reference.require(split).labels)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match=r"dataset must be .*fashion_mnist.*'fashion'"):
        load("fashion")
