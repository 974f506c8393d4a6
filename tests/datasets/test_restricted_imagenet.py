import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from rar_tf.datasets import load, ordered_batches, restricted_imagenet, training_batches


def test_the_groups_ranges_are_inclusive_and_nothing_else_is_in_a_group():
    labels = restricted_imagenet.restricted_labels(np.arange(1000))
    sizes = np.bincount(labels[labels >= 0])
    assert sizes.tolist() == [118, 5, 3, 5, 21, 18, 9, 4, 20]
    names = list(restricted_imagenet.GROUPS)
    for label, name in [
        (151, "dog"), (268, "dog"), (281, "cat"), (285, "cat"), (30, "frog"), (32, "frog"),
        (33, "turtle"), (37, "turtle"), (80, "bird"), (100, "bird"), (118, "crab"),
        (121, "crab"), (300, "insect"), (319, "insect"), (365, "primate"), (382, "primate"),
        (389, "fish"), (397, "fish"),
    ]:  # fmt: skip
        assert names[labels[label]] == name
    outside = [0, 29, 38, 79, 101, 117, 122, 150, 269, 280, 286, 299, 320, 364, 383, 388, 398, 999]
    assert (labels[outside] == -1).all()


def jpeg(number, height=30, width=60):
    """Grey by number; black but for the central square, so that a crop shows."""
    image = np.zeros((height, width, 3), np.uint8)
    left = (width - height) // 2
    image[:, left : left + height] = 20 + 16 * number
    return tf.io.encode_jpeg(image, quality=100).numpy()


LABELS = {"train": [0, 151, 281, 30, 33, 80, 365, 389, 118, 300, 999, 268], "validation": [32, 29]}


class RarTfImagenet(tfds.core.GeneratorBasedBuilder):
    """A stand-in for imagenet2012."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(num_classes=1000),
                    "file_name": tfds.features.Text(),
                }
            )
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(labels) for split, labels in LABELS.items()}

    def _generate_examples(self, labels):
        for i, label in enumerate(labels):
            yield i, {"image": jpeg(i), "label": label, "file_name": str(i)}


@pytest.fixture
def data(tmp_path, monkeypatch):
    source = RarTfImagenet(data_dir=tmp_path)
    source.download_and_prepare()
    monkeypatch.setattr(restricted_imagenet, "_imagenet", lambda data_dir, manual_dir: source)
    return load("restricted_imagenet", data_dir=tmp_path, image_size=14)


def test_images_keep_their_labels_and_are_cropped_to_the_centre(data):
    assert (len(data.train), len(data.validation), len(data.test)) == (9, 1, 1)
    assert data.class_names[0] == "dog" and data.image_shape == (14, 14, 3)
    labels = []
    for split in (data.train, data.validation):
        images, got = split.read(np.arange(len(split)))
        assert images.dtype == np.uint8 and images.shape[1:] == (14, 14, 3)
        # 16 pixels of the shorter side, 14 of them in the crop: black must not be in sight.
        inside = images[:, 2:-2, 2:-2].reshape(len(images), -1).astype(int)
        assert (np.ptp(inside, axis=1) <= 4).all() and inside.min() > 25
        numbers = np.round((np.median(inside, axis=1) - 20) / 16).astype(int)
        expected = restricted_imagenet.restricted_labels(np.array(LABELS["train"])[numbers])
        np.testing.assert_array_equal(got, expected)
        labels += got.tolist()
    assert sorted(labels) == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert data.test.read(np.array([0]))[1].tolist() == [2]


def test_files_are_kept_as_they_were(data):
    kept = {bytes(example["image"]) for example in data.train.examples}
    assert kept == {jpeg(i) for i, label in enumerate(LABELS["train"]) if label not in (0, 999)}


def test_batches_decode_in_the_pipeline(data):
    x, y = next(iter(training_batches(data.train, batch_size=4, seed=0, steps=1)))
    assert x.shape == (4, 14, 14, 3) and float(tf.reduce_max(x)) <= 1.0
    again = training_batches(data.train, batch_size=2, seed=0, steps=1, first_step=1)
    np.testing.assert_array_equal(next(iter(again))[0], x[2:])
    assert sum(len(y) for _, y in ordered_batches(data.train, 4)) == 9


def test_without_imagenet_the_error_says_what_to_place(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"needs ImageNet.*imagenet2012 prepared in .*ILSVRC2012_img_train\.tar and "
        r"ILSVRC2012_img_val\.tar",
    ):
        load("restricted_imagenet", data_dir=tmp_path)
