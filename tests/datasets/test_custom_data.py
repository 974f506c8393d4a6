import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from rar_tf.datasets import load


def png(value, size=(4, 4), channels=3):
    return tf.io.encode_png(np.full((*size, channels), value, np.uint8)).numpy()


def folder(root, counts, size=(4, 4), first=0):
    for label, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for i in range(count):
            (root / name / f"{i:03d}.png").write_bytes(png(first + 50 * label + i, size))
    return root


def values(split):
    return split.images[:, 0, 0, 0].tolist()


def test_a_folder_per_class_and_tenths_held_out(tmp_path):
    root = folder(tmp_path / "pets", {"cat": 20, "dog": 40})
    data = load(f"folder:{root}")
    assert data.class_names == ("cat", "dog") and data.image_shape == (4, 4, 3)
    splits = (data.train, data.validation, data.test)
    assert [np.bincount(s.labels).tolist() for s in splits] == [[16, 32], [2, 4], [2, 4]]
    for split in splits:
        np.testing.assert_array_equal(np.array(values(split)) // 50, split.labels)
    assert sorted(sum(map(values, splits), [])) == list(range(20)) + list(range(50, 90))
    assert "test is a tenth of each training class, drawn by seed 0; validation" in data.source
    assert values(load(f"folder:{root}").test) == values(data.test)
    assert values(load(f"folder:{root}", seed=1).test) != values(data.test)


def test_given_splits_are_kept_and_only_the_missing_one_is_drawn(tmp_path):
    folder(tmp_path / "train", {"a": 10, "b": 10})
    folder(tmp_path / "test", {"a": 1, "b": 2}, first=40)
    data = load(f"folder:{tmp_path}")
    assert sorted(values(data.test)) == [40, 90, 91]
    assert (len(data.train), len(data.validation)) == (18, 2)
    assert "test is" not in data.source and "validation is" in data.source


def test_images_are_scaled_only_when_asked(tmp_path):
    folder(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "b" / "wide.jpg").write_bytes(
        tf.io.encode_jpeg(np.full((8, 16, 3), 60, np.uint8), quality=100).numpy()
    )
    with pytest.raises(
        ValueError,
        match=r"one size, or image_size be given .*--image_size=.* 4x4 .* a/000\.png, 8x16 of b/w",
    ):
        load(f"folder:{tmp_path}")
    assert load(f"folder:{tmp_path}", image_size=6).image_shape == (6, 6, 3)
    assert load(f"folder:{tmp_path}", image_size=[6, 5]).image_shape == (6, 5, 3)


def test_errors_of_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="folder:PATH must name a folder.*nowhere"):
        load(f"folder:{tmp_path / 'nowhere'}")
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="must hold images in one folder per class"):
        load(f"folder:{tmp_path}")
    (tmp_path / "a" / "x.png").write_bytes(png(1))
    with pytest.raises(ValueError, match=r"at least 2 classes\. Received: 1"):
        load(f"folder:{tmp_path}")
    folder(tmp_path, {"b": 3})
    with pytest.raises(ValueError, match=r"at least 3 training images, .* Received: 1 of class a"):
        load(f"folder:{tmp_path}")
    (tmp_path / "b" / "000.png").write_bytes(b"GIF?")
    with pytest.raises(ValueError, match=r"b/000\.png must be a complete image .*another kind"):
        load(f"folder:{tmp_path}")


def test_a_class_that_training_lacks(tmp_path):
    folder(tmp_path / "train", {"a": 3, "b": 3})
    folder(tmp_path / "test", {"a": 1, "c": 1})
    with pytest.raises(ValueError, match=r"classes of the training images\. Received: c"):
        load(f"folder:{tmp_path}")


RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 5, 5, 1), np.uint8)
LABELS = np.repeat([0, 1], 10)


def save(tmp_path, **arrays):
    np.savez(tmp_path / "custom.npz", **arrays)
    return f"npz:{tmp_path / 'custom.npz'}"


@pytest.mark.parametrize(
    "images",
    [
        IMAGES,
        IMAGES[..., 0],
        IMAGES.astype(np.int64),
        IMAGES / 255,
        (IMAGES / 255).astype(np.float32),
    ],
    ids=["uint8", "no channel", "int64", "float64", "float32"],
)
def test_every_kind_of_image_array_gives_the_same_levels(tmp_path, images):
    data = load(save(tmp_path, train_images=images, train_labels=LABELS,
                     test_images=images[:2], test_labels=LABELS[:2],
                     validation_images=images[2:5], validation_labels=LABELS[2:5]))  # fmt: skip
    np.testing.assert_array_equal(data.train.images, IMAGES)
    np.testing.assert_array_equal(data.test.images, IMAGES[:2])
    np.testing.assert_array_equal(data.validation.labels, LABELS[2:5])
    assert data.class_names == ("0", "1")


def test_one_pair_of_arrays_is_divided(tmp_path):
    data = load(save(tmp_path, images=IMAGES, labels=LABELS, class_names=["x", "y"]))
    assert (len(data.train), len(data.validation), len(data.test)) == (16, 2, 2)
    assert data.class_names == ("x", "y")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES * 1.5}, r"floats in \[0, 1\]\. Received: float64 in \[0\.0, 3"),
        ({"images": IMAGES.astype(int) - 1}, r"integers in \[0, 255\] .* Received: int64 in \[-1,"),
        (
            {"images": np.where(IMAGES > 250, np.nan, IMAGES / 255)},
            r"finite\. Received: NaN in \d+",
        ),
        ({"images": np.where(IMAGES > 250, np.inf, IMAGES / 255)}, r"Received: float64 in .*inf"),
        ({"images": IMAGES.astype(str)}, r"must be numbers\. Received: <U"),
        ({"images": np.zeros((20, 5, 5, 2), np.uint8)}, r"1 or 3\]\. Received: \[20, 5, 5, 2\]"),
        (
            {"images": IMAGES[:0], "labels": LABELS[:0]},
            r"must hold images\. Received: an empty train",
        ),
        ({"labels": LABELS[:7]}, r"must be \[20\], one for each image\. Received: int32 \[7\]"),
        ({"labels": LABELS * 0.85}, r"whole and finite\. Received: 0\.85 and 9 others"),
        ({"labels": np.where(LABELS, np.nan, 0)}, r"whole and finite\. Received: nan and 9"),
        ({"labels": LABELS > 0}, r"must be integers\. Received: bool"),
        ({"labels": LABELS - 1}, r"at least 2 classes\. Received: 1"),
        ({"labels": LABELS * 2 - 1}, r"must be 0 \.\. 1\. Received: -1 \.\. 1 in train"),
        ({"labels": LABELS + 2**32}, r"must be class numbers\. Received: 4294967296 \.\."),
        ({"labels": LABELS + 2**30}, r"with images of each\. Received: a label 1073741825 in 20"),
        ({"labels": LABELS * 0}, r"at least 2 classes\. Received: 1"),
        ({"labels": LABELS * 2}, r"at least 3 training images.*Received: 0 of class 1"),
        ({"labels": LABELS, "class_names": ["x", "y", "z"]}, r"Received: 0 of class z"),
        (
            {"labels": LABELS * 3, "class_names": ["x", "y"]},
            r"must be 0 \.\. 1\. Received: 0 \.\. 3",
        ),
    ],
)
def test_errors_of_arrays(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=message):
        load(save(tmp_path, **{"images": IMAGES, "labels": LABELS, **arrays}))


def test_errors_of_npz_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="npz:PATH must name a file"):
        load(f"npz:{tmp_path / 'none.npz'}")
    np.save(tmp_path / "a.npy", IMAGES)
    with pytest.raises(ValueError, match=r"a.npy must be a complete \.npz file"):
        load(f"npz:{tmp_path / 'a.npy'}")
    with pytest.raises(ValueError, match=r"must hold images and labels, .* Received: x"):
        load(save(tmp_path, x=IMAGES))
    with pytest.raises(ValueError, match=r"Received: test_images, train_images, train_labels"):
        load(save(tmp_path, train_images=IMAGES, train_labels=LABELS, test_images=IMAGES))
    with pytest.raises(ValueError, match="allow_pickle"):
        load(save(tmp_path, images=np.array([{}, 1], object), labels=LABELS))
    with pytest.raises(
        ValueError, match=r"must have images of one shape, .*Received: train 5x5x1, test 5x4x1"
    ):
        load(save(tmp_path, train_images=IMAGES, train_labels=LABELS,
                  test_images=IMAGES[:, :, :4], test_labels=LABELS))  # fmt: skip


class RarTfDots(tfds.core.GeneratorBasedBuilder):
    """Gray images of two sizes; image i of a split has the value i."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 1)),
                    "label": tfds.features.ClassLabel(names=["even", "odd"]),
                }
            )
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(30), "test": self._generate_examples(6)}

    def _generate_examples(self, count):
        for i in range(count):
            image = np.full((3 + i % 2, 4, 1), i, np.uint8)
            yield i, {"image": image, "label": i % 2}


def test_any_tfds_data_set(tmp_path):
    data = load("tfds:rar_tf_dots", data_dir=tmp_path, image_size=5)
    assert data.class_names == ("even", "odd") and data.image_shape == (5, 5, 1)
    # A tenth of 15 is 1.5, which Python rounds to 2, in each of the two classes.
    assert (len(data.train), len(data.validation)) == (26, 4)
    assert sorted(values(data.test)) == list(range(6))
    np.testing.assert_array_equal(np.array(values(data.train)) % 2, data.train.labels)
    with pytest.raises(ValueError, match=r"one size, or image_size be given"):
        load("tfds:rar_tf_dots", data_dir=tmp_path)


def test_errors_of_tfds_names(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"tfds:NAME must be a data set of TFDS\. .*NAME=no_such"):
        load("tfds:no_such", data_dir=tmp_path)
    with pytest.raises(
        ValueError, match=r"must have an image and a class label\. Received: .*text"
    ):
        load("tfds:imdb_reviews", data_dir=tmp_path)

    def offline(url):
        raise ConnectionError(f"{url} cannot be reached: made up")

    monkeypatch.setattr("rar_tf.datasets.tfds_source.probe", offline)
    with pytest.raises(
        FileNotFoundError, match=r"tfds:kmnist is not prepared in .*cannot be reach"
    ):
        load("tfds:kmnist", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "folder:"}, r"dataset must be one of .*folder:PATH, .*npz:PATH, .*tfds:NAME"),
        ({"name": "mnist", "image_size": 32}, r"image_size of mnist must be 28.*image_size=32"),
        (
            {"name": "gtsrb", "image_size": 0},
            r"image_size must be one or two numbers >= 1\. Received: image_size=0",
        ),
        ({"name": "gtsrb", "image_size": (1, 2, 3)}, r"one or two .* Received: image_size=1,2,3"),
        ({"name": "mnist", "seed": -1}, r"seed must be >= 0\. Received: seed=-1"),
    ],
)
def test_errors_of_load(arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**arguments)


def test_a_manual_dir_that_is_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"manual_dir must be a folder\. Received: .*none"):
        load("mnist", manual_dir=tmp_path / "none")


def test_paths_may_begin_with_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder(tmp_path / "pets", {"a": 3, "b": 3})
    assert len(load("folder:~/pets").train) == 2
