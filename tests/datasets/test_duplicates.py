"""Test images that are training images too."""

import dataclasses

import numpy as np
import pytest

from rar_tf.datasets import BalancedSplit, ImageData, Split, duplicates, equalize


def images(*seeds):
    made = [np.random.default_rng(seed).integers(0, 256, (6, 5, 1)) for seed in seeds]
    return np.array(made, np.uint8)


def split(*seeds):
    return Split(images(*seeds), np.arange(len(seeds), dtype=np.int32) % 2)


def data(train, validation, test):
    return ImageData("pets", 2, (6, 5, 1), ("a", "b"), "memory", train, validation, test)


def test_images_of_train_and_validation_are_found_in_test_with_any_label():
    pets = data(split(1, 2, 3, 4), split(5, 6), split(7, 2, 8, 6, 2))
    np.testing.assert_array_equal(duplicates(pets), [1, 3, 4])
    assert not len(duplicates(pets, "validation"))
    one_pixel = pets.test.images.copy()
    one_pixel[:, 0, 0] ^= 1
    other = dataclasses.replace(pets, test=Split(one_pixel, pets.test.labels))
    assert not len(duplicates(other))


def test_balanced_and_equalized_training_images_are_compared_as_they_are_read():
    source = split(1, 2, 3, 4, 5)
    balanced = BalancedSplit(source, per_class=7, seed=0, equalized=True)
    originals = balanced.originals()
    np.testing.assert_array_equal(originals.labels, [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(originals.images, equalize(images(1, 3, 5, 2, 4)))
    test = Split(equalize(images(9, 4)).numpy(), np.zeros(2, np.int32))
    np.testing.assert_array_equal(duplicates(data(balanced, None, test)), [1])


def test_encoded_images_are_not_compared():
    class Encoded:
        def __len__(self):
            return 1

    assert duplicates(data(Encoded(), split(1), split(1))) is None
    with pytest.raises(ValueError, match="split must be"):
        duplicates(data(split(1), split(1), split(1)), "tset")
    assert not len(duplicates(data(None, None, split(1))))
