import numpy as np
import pytest

from rar_tf.datasets.partition import hold_out, shuffle_if_sorted
from rar_tf.datasets.splits import Split


def test_each_class_gives_its_share():
    labels = np.repeat([0, 1, 2], [80, 40, 5])
    drawn = hold_out(labels, 0.1, seed=0)
    assert np.bincount(labels[drawn]).tolist() == [8, 4, 1]


def test_flowers_go_64_8_8():
    labels = np.repeat(np.arange(17), 80)
    test = hold_out(labels, 1 / 10, seed=5)
    validation = hold_out(labels[~test], 1 / 9, seed=5)
    assert np.bincount(labels[test]).tolist() == [8] * 17
    assert np.bincount(labels[~test][validation]).tolist() == [8] * 17


def test_groups_stay_together_within_their_class():
    labels = np.repeat([0, 1], 60)
    groups = np.tile(np.repeat([0, 1], 30), 2)
    drawn = hold_out(labels, 0.1, seed=1, groups=groups)
    for label in (0, 1):
        for group in (0, 1):
            assert drawn[(labels == label) & (groups == group)].sum() in (0, 30)
    assert np.bincount(labels[drawn]).tolist() == [30, 30]


def test_a_function_of_the_seed():
    labels = np.repeat([0, 1], 50)
    first, again, other = (hold_out(labels, 0.2, seed=seed) for seed in (0, 0, 1))
    assert (first == again).all() and (first != other).any()


def test_a_class_of_one_example_cannot_be_on_both_sides():
    with pytest.raises(ValueError, match=r"at least 2 examples .* Received: class 3 with 1"):
        hold_out(np.array([0, 0, 3]), 0.5, seed=0)


def test_images_in_class_order_are_shuffled_and_others_unchanged():
    def split(*labels):
        pixels = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
        return Split(pixels, np.array(labels, np.int32))

    ordered = split(*np.repeat(np.arange(5), 20))
    result = shuffle_if_sorted(ordered, seed=0)
    assert len(np.unique(result.labels[:20])) == 5
    np.testing.assert_array_equal(result.images.ravel() // 20, result.labels)
    np.testing.assert_array_equal(np.sort(result.images.ravel()), np.arange(100))
    np.testing.assert_array_equal(shuffle_if_sorted(ordered, seed=0).labels, result.labels)
    assert (shuffle_if_sorted(ordered, seed=1).labels != result.labels).any()
    for examples in (split(0, 1, 0, 1), split(0, 1, 2), None):
        assert shuffle_if_sorted(examples, seed=0) is examples
