"""Records of data: what changed between two, images of the training, classes by name."""

import dataclasses

import numpy as np
import pytest

from rar_tf.datasets import (
    BalancedSplit,
    DataRecord,
    ImageData,
    Split,
    match_classes,
)
from rar_tf.datasets.record import changes, trained_images


def split(labels, *seeds):
    images = [np.random.default_rng(seed).integers(0, 256, (3, 4, 1)) for seed in seeds]
    files = tuple(f"{seed}.png" for seed in seeds)
    return Split(np.array(images, np.uint8), np.array(labels, np.int32), files)


def pets(names=("cat", "dog"), **splits):
    base = {
        "train": split([0, 1, 0, 1], 1, 2, 3, 4),
        "validation": split([0, 1], 5, 6),
        "test": split([0, 1], 7, 8),
    }
    splits = base | splits
    return ImageData("pets", len(names), (3, 4, 1), names, "memory", **splits)


BEFORE = DataRecord.of(pets())


def test_equal_data_have_one_record_wherever_they_lie():
    other = dataclasses.replace(pets(), name="folder:elsewhere", source="a copy")
    assert changes(BEFORE, DataRecord.of(other)) == []
    assert BEFORE.digest == DataRecord.of(other).digest and len(BEFORE.digest) == 32


@pytest.mark.parametrize(
    ("data", "phrases"),
    [
        (
            pets(train=split([0, 1, 0, 1, 1], 1, 2, 3, 4, 9)),
            ["train: 1 image (9.png) added"],
        ),
        (pets(train=split([0, 1, 0], 1, 2, 3)), ["train: 1 removed"]),
        (
            pets(train=split([0, 1, 0, 1], 1, 2, 3, 9)),
            ["train: 1 image (9.png) added, 1 removed"],
        ),
        (
            pets(train=split([0, 1, 0, 0], 1, 2, 3, 4)),
            ["train: 1 image (4.png) of another class"],
        ),
        (
            pets(train=split([1, 0, 1, 0], 2, 1, 4, 3)),
            ["train: another order of its images"],
        ),
        (
            pets(train=split([0, 1, 1], 1, 2, 4), test=split([0, 1, 0], 7, 8, 3)),
            [
                "train: 1 removed",
                "test: 1 image (3.png) added",
                "1 image of test, a training image before",
            ],
        ),
        (
            pets(("cow", "dog")),
            [
                "classes: cow added, cat removed",
                "train: 2 images (1.png, 3.png) of another class",
                "validation: 1 image (5.png) of another class",
                "test: 1 image (7.png) of another class",
            ],
        ),
        (pets(("cat", "dog", "eel")), ["classes: eel added"]),
        (pets(test=None), ["test missing"]),
    ],
    ids=["added", "removed", "changed", "moved", "order", "leak", "renamed", "class", "split"],
)
def test_what_changed_is_said(data, phrases):
    assert changes(BEFORE, DataRecord.of(data)) == phrases


def test_other_numbers_of_the_classes_are_a_change():
    names = ("dog", "cat")
    swapped = {
        name: Split(part.images, 1 - part.labels, part.files)
        for name, part in (("train", pets().train), ("validation", pets().validation),
                           ("test", pets().test))
    }  # fmt: skip
    assert changes(BEFORE, DataRecord.of(pets(names, **swapped))) == [
        "classes in another order: cat, dog -> dog, cat"
    ]


def test_training_images_of_then_in_the_test_of_now():
    now = DataRecord.of(pets(train=split([0, 1], 2, 4), test=split([0, 1, 0, 1], 7, 3, 9, 1)))
    assert trained_images(BEFORE, now, "test") == [1, 3]
    assert trained_images(BEFORE, now, "train") == []
    # A repetition within the data as they were is no change.
    repeated = DataRecord.of(pets(test=split([0, 1], 1, 8)))
    assert trained_images(repeated, repeated, "test") == []
    names_alone = DataRecord(("cat", "dog"), (3, 4, 1), {})
    assert trained_images(names_alone, now, "test") == []


def test_a_record_is_read_as_it_was_written_and_damage_is_noticed():
    described, arrays = BEFORE.describe(), BEFORE.arrays()
    again = DataRecord.from_plain(described, arrays)
    assert changes(again, BEFORE) == [] and again.class_names == ("cat", "dog")
    arrays["train_images"] = arrays["train_images"] + np.uint64(1)
    with pytest.raises(ValueError, match="its digest is not"):
        DataRecord.from_plain(described, arrays)
    for broken in ({}, [], None, described | {"images": 3}, described | {"image_shape": None}):
        with pytest.raises(ValueError, match="not a record of data"):
            DataRecord.from_plain(broken, {})


def test_warped_copies_are_no_part_of_a_record():
    balanced = BalancedSplit(split([0, 1, 0], 1, 2, 3), per_class=9, seed=0)
    record = DataRecord.of(pets(train=balanced))
    assert record.splits["train"].count == 3
    assert sorted(record.splits["train"].images) == sorted(split([0, 1, 0], 1, 2, 3).digests)


def test_classes_are_matched_by_name():
    record = DataRecord(("eel", "dog", "cat"), (3, 4, 1), {})
    matched = match_classes(pets(), record)
    assert matched.class_names == ("eel", "dog", "cat") and matched.num_classes == 3
    assert matched.train.labels.tolist() == [2, 1, 2, 1]
    assert matched.test.labels.tolist() == [2, 1] and matched.test.files == ("7.png", "8.png")
    np.testing.assert_array_equal(matched.train.images, pets().train.images)
    same = pets()
    assert match_classes(same, DataRecord(("cat", "dog"), (3, 4, 1), {})) is same
    balanced = BalancedSplit(split([0, 1], 1, 2), per_class=3, seed=0)
    _, labels = match_classes(pets(train=balanced), record).train.read(np.arange(6))
    assert labels.tolist() == [2, 2, 2, 1, 1, 1]
    with pytest.raises(ValueError, match=r"of the model: ant, dog\. Received: cat, which the mode"):
        match_classes(pets(), DataRecord(("ant", "dog"), (3, 4, 1), {}))


def test_without_names_classes_are_matched_by_number():
    numbers = dataclasses.replace(pets(("0", "1")), is_named=False)
    three = DataRecord(("eel", "dog", "cat"), (3, 4, 1), {})
    matched = match_classes(numbers, three)
    assert matched.class_names == three.class_names and matched.train.labels.tolist() == [
        0,
        1,
        0,
        1,
    ]
    unnamed = DataRecord(("0", "1"), (3, 4, 1), {}, is_named=False)
    assert match_classes(pets(), unnamed).class_names == ("cat", "dog")
    for data, record in ((pets(("0", "1", "2", "3")), three), (pets(("a", "b", "c")), unnamed)):
        data = dataclasses.replace(data, is_named=record is unnamed)
        with pytest.raises(ValueError, match=r"must have the \d classes of the model"):
            match_classes(data, record)
