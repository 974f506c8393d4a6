import numpy as np
import pytest

from rar_tf.datasets import ImageData, Split

IMAGES = np.zeros((3, 2, 2, 1), np.uint8)
LABELS = np.array([0, 1, 2], np.int32)


def image_data(**splits):
    return ImageData(
        "toy", 3, (2, 2, 1), ("a", "b", "c"), "made up",
        **{"train": None, "validation": None, "test": None, "missing": "Missing: x.gz", **splits},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[0], LABELS, r"images must be uint8 \[N, H, W, C\]\. Received: uint8 \[2, 2, 1\]"),
        (IMAGES / 255, LABELS, r"images must be uint8 .* Received: float64"),
        (IMAGES, LABELS[:2], r"labels must be int32 \[3\]\. Received: int32 \[2\]"),
        (IMAGES, LABELS.astype(np.int64), r"labels must be int32 \[3\]\. Received: int64 \[3\]"),
    ],
)
def test_a_split_refuses_what_is_not_one(images, labels, message):
    with pytest.raises(ValueError, match=message):
        Split(images, labels)


def test_parts_are_views():
    split = Split(IMAGES, LABELS)
    part = split.part(-2, None)
    assert part.labels.tolist() == [1, 2]
    assert np.shares_memory(part.images, split.images)


def test_require_returns_the_split_or_says_what_is_missing():
    split = Split(IMAGES, LABELS)
    data = image_data(test=split)
    assert data.require("test") is split
    with pytest.raises(
        FileNotFoundError, match=r"toy has no train split here \(made up\)\. Missing: x\.gz"
    ):
        data.require("train")
    with pytest.raises(ValueError, match=r'Received: split="dev"'):
        data.require("dev")
