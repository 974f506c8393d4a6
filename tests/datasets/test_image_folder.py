"""Folders of images: splits, classes and files of any layout, and what is left out."""

import os
import pathlib

import numpy as np
import PIL.Image
import pytest

from rar_tf.datasets import load
from rar_tf.datasets.summary import summary


def image(path, value, size=(4, 4), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    color = (value, value, value) if mode == "RGB" else value
    PIL.Image.new(mode, size[::-1], color).save(path)


def fill(root, names, count, first=0):
    """`count` images a class; image i of class number c is of the gray level first + 20 c + i."""
    for number, name in enumerate(names):
        for i in range(count):
            image(root / name / f"{i}.png", first + 20 * number + i)
    return root


def values(split):
    return sorted(split.images[:, 0, 0, 0].tolist())


def test_the_summary_of_splits_and_classes(tmp_path):
    fill(tmp_path / "train", ["cat", "dog"], 5)
    fill(tmp_path / "val", ["cat"], 1, first=50)
    fill(tmp_path / "test", ["dog"], 2, first=70)
    data = load(f"folder:{tmp_path}")
    assert summary(data) == (
        "13 images: 10 train, 1 validation, 2 test; classes 0 cat (6), 1 dog (7); 4x4x3 pixels"
    )
    assert data.remarks == ()


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("Train", "val", "Test"), ("TRAINING", "valid", "testing"), ("train", "Validation", "TEST")],
)
def test_folders_of_splits_in_any_case_and_spelling(tmp_path, train, validation, test):
    fill(tmp_path / train, ["a", "b"], 2)
    fill(tmp_path / validation, ["a", "b"], 1, first=50)
    fill(tmp_path / test, ["a", "b"], 1, first=100)
    data = load(f"folder:{tmp_path}")
    assert values(data.train) == [0, 1, 20, 21]
    assert values(data.validation) == [50, 70] and values(data.test) == [100, 120]


def test_two_folders_of_one_split_are_refused(tmp_path):
    fill(tmp_path / "train", ["a", "b"], 3)
    for name in ("val", "valid"):
        fill(tmp_path / name, ["a", "b"], 1)
    with pytest.raises(ValueError, match=r"one folder for validation\. Received: val and valid"):
        load(f"folder:{tmp_path}")


def test_a_class_called_train_is_a_class(tmp_path):
    fill(tmp_path, ["bus", "test", "train"], 3)
    data = load(f"folder:{tmp_path}")
    assert data.class_names == ("bus", "test", "train") and len(data.train) == 3
    assert values(data.train)[0] < 20 <= values(data.train)[1] < 40 <= values(data.train)[2]


def test_a_class_called_train_inside_the_splits(tmp_path):
    fill(tmp_path / "train", ["bus", "train"], 3)
    fill(tmp_path / "test", ["bus", "train"], 1, first=100)
    assert load(f"folder:{tmp_path}").class_names == ("bus", "train")


def test_a_folder_train_that_could_be_either_is_refused(tmp_path):
    fill(tmp_path, ["bus", "car"], 3)
    fill(tmp_path / "train", ["steam", "diesel"], 3)
    with pytest.raises(ValueError, match="Received: train, with folders .* beside bus, car; move"):
        load(f"folder:{tmp_path}")


def test_images_of_no_class_beside_and_inside_splits_are_left_out_and_counted(tmp_path):
    fill(tmp_path / "train", ["a", "b"], 3)
    for i in range(4):
        image(tmp_path / "test" / f"{i}.jpg", i)
    fill(tmp_path, ["unlabelled"], 2, first=100)
    image(tmp_path / "cover.png", 7)
    data = load(f"folder:{tmp_path}")
    assert (len(data.train), len(data.validation), len(data.test)) == (2, 2, 2)
    assert data.remarks == ("left out: 2 images in unlabelled, 5 images outside the class folders",)


def test_a_folder_without_training_images_serves_evaluation_alone(tmp_path):
    fill(tmp_path / "test", ["a", "b"], 3)
    data = load(f"folder:{tmp_path}")
    assert len(data.test) == 6 and data.class_names == ("a", "b")
    with pytest.raises(FileNotFoundError, match="has no train split here"):
        data.require("train")


def test_images_at_any_depth_of_any_ending_and_hidden_files_left_out(tmp_path):
    fill(tmp_path, ["a", "b"], 3)
    endings = ["JPG", "Jpeg", "jpe", "jfif", "webp", "bmp", "tif", "TIFF", "gif", "PNG", "ppm"]
    for number, ending in enumerate(endings):
        path = tmp_path / "a" / f"{number % 3}" / "deeper" / f"x.{number}.x"
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = {"jpg": "jpeg", "jpe": "jpeg", "jfif": "jpeg", "tif": "tiff"}.get(
            ending.lower(), ending.lower()
        )
        PIL.Image.new("RGB", (4, 4), (number,) * 3).save(path.with_suffix(f".{ending}"), kind)
    hidden = [".git/x.png", ".DS_Store", "Thumbs.db", "__MACOSX/a/1.png", "desktop.ini"]
    hidden += ["a/.ipynb_checkpoints/1.png", "a/._1.png", "b/Thumbs.db", "b/@eaDir/1.png"]
    for name in (*hidden, "a/notes.txt", "labels.csv", "b/7.heic", "b/README"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"none")
    data = load(f"folder:{tmp_path}")
    assert data.class_names == ("a", "b")
    assert sum(map(len, (data.train, data.validation, data.test))) == 6 + len(endings)
    assert data.remarks[0] == (
        "left out: 1 .csv, 1 .heic (convert them to JPEG), 1 .txt, 9 hidden or of the system, "
        "1 without an ending"
    )


def test_numbers_as_class_names_are_in_their_order_and_an_order_can_be_given(tmp_path, monkeypatch):
    names = [str(number) for number in range(11)]
    fill(tmp_path / "digits", names, 3)
    data = load(f"folder:{tmp_path / 'digits'}")
    assert data.class_names == tuple(names)
    np.testing.assert_array_equal(data.train.images[:, 0, 0, 0] // 20, data.train.labels)
    root = fill(tmp_path / "pets", ["ant", "cat", "dog"], 3)
    assert load(f"folder:{root}").class_names == ("ant", "cat", "dog")
    given = ("dog", "ant", "cat")
    data = load(f"folder:{root}", classes=given)
    assert (
        data.class_names == given
        and values(data.train.take(np.flatnonzero(data.train.labels == 0)))[0] >= 40
    )
    (tmp_path / "order.txt").write_text("\ufeffdog\n\nant \r\ncat\n", encoding="utf-8")
    for classes in (str(tmp_path / "order.txt"), [str(tmp_path / "order.txt")]):
        assert load(f"folder:{root}", classes=classes).class_names == given
    (root / "classes.txt").write_text("dog\nant\ncat")
    data = load(f"folder:{root}")
    assert data.class_names == given
    assert data.remarks == ("classes.txt gives the order of the classes",)
    (root / "classes.txt").write_text("person\nbicycle\ncar")
    data = load(f"folder:{root}")
    assert data.class_names == ("ant", "cat", "dog")
    assert data.remarks == ("classes.txt is not used: it has other names",)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["cat"], r"at least 2 names, .* Received: classes=cat"),
        (["cat", "cat"], r"must be different\. Received: cat repeatedly"),
        (["cat", ""], r"at least 2 names"),
        (["cat", "cow"], r"those of folder:.*: cat, dog\. Received: classes without dog and with"),
        (["cat", "dog", "cow"], r"Received: classes with cow, which it has not"),
        (["cat", "dog.txt"], r"without dog and with dog\.txt"),
    ],
)
def test_errors_of_classes(tmp_path, classes, message):
    fill(tmp_path, ["cat", "dog"], 3)
    with pytest.raises(ValueError, match=message):
        load(f"folder:{tmp_path}", classes=classes)
    with pytest.raises(FileNotFoundError, match="none.txt"):
        load(f"folder:{tmp_path}", classes="none.txt")


def test_names_of_both_unicode_forms_are_one_class(tmp_path):
    fill(tmp_path / "train", ["cafe\u0301", "tea"], 3)
    fill(tmp_path / "test", ["caf\u00e9", "tea"], 1)
    assert load(f"folder:{tmp_path}").class_names == ("caf\u00e9", "tea")
    fill(tmp_path / "train", ["caf\u00e9"], 3, first=100)
    with pytest.raises(ValueError, match=r"train must have one folder for class caf\u00e9\. "):
        load(f"folder:{tmp_path}")


def test_links_are_followed_but_not_in_circles(tmp_path):
    elsewhere = fill(tmp_path / "elsewhere", ["a", "b"], 3)
    root = tmp_path / "pets"
    root.mkdir()
    (root / "a").symlink_to(elsewhere / "a", target_is_directory=True)
    (root / "b").mkdir()
    for path in (elsewhere / "b").iterdir():
        (root / "b" / path.name).symlink_to(path)
    (root / "b" / "again").symlink_to(root, target_is_directory=True)
    (root / "b" / "self").symlink_to(root / "b", target_is_directory=True)
    data = load(f"folder:{root}")
    assert sum(map(len, (data.train, data.validation, data.test))) == 6
    assert data.remarks == ("left out: 2 links to a folder around them",)
    (root / "b" / "lost.png").symlink_to(root / "nowhere.png")
    with pytest.raises(
        ValueError, match=r"b/lost\.png must be a file that can be read\. .*No such"
    ):
        load(f"folder:{root}")


def test_damaged_and_empty_files_are_named_and_counted(tmp_path):
    fill(tmp_path, ["a", "b"], 4)
    whole = (tmp_path / "a" / "0.png").read_bytes()
    (tmp_path / "a" / "2.png").write_bytes(whole[:44])
    (tmp_path / "b" / "1.png").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"^a/2\.png must be a complete image .*; and 1 more files"
    ):
        load(f"folder:{tmp_path}")


def test_a_suffix_that_lies_is_no_error(tmp_path):
    fill(tmp_path, ["a", "b"], 3)
    os.rename(tmp_path / "a" / "0.png", tmp_path / "a" / "0.jpg")
    assert load(f"folder:{tmp_path}").image_shape == (4, 4, 3)


def test_the_same_image_in_two_splits_or_classes_is_said(tmp_path):
    fill(tmp_path / "train", ["a", "b"], 4)
    fill(tmp_path / "test", ["a", "b"], 2, first=100)
    fill(tmp_path / "val", ["a", "b"], 1, first=200)
    image(tmp_path / "test" / "b" / "copy.png", 3)
    image(tmp_path / "train" / "b" / "copy.png", 2)
    assert load(f"folder:{tmp_path}").remarks == (
        "warning: 1 images of train have two classes, such as train/b/copy.png = train/a/2.png",
        "warning: 1 images of test lie in another split too, such as test/b/copy.png = "
        "train/a/3.png",
    )


def test_equal_images_of_a_class_are_drawn_into_one_split(tmp_path):
    for number in range(12):
        for copy in range(3):
            image(tmp_path / "a" / f"{number}-{copy}.png", number)
            image(tmp_path / "b" / f"{number}-{copy}.png", 100 + number)
    data = load(f"folder:{tmp_path}")
    sets = [set(values(split)) for split in (data.train, data.validation, data.test)]
    assert [len(part) for part in sets] == [20, 2, 2] and len(set.union(*sets)) == 24
    assert data.remarks == ()


def test_channels_and_ways_of_scaling(tmp_path):
    for name, value in (("a", 0), ("b", 100)):
        for i in range(3):
            image(tmp_path / name / f"{i}.png", value + i, size=(6, 12), mode="L")
    assert load(f"folder:{tmp_path}").image_shape == (6, 12, 3)
    assert load(f"folder:{tmp_path}", channels=1).image_shape == (6, 12, 1)
    wide = PIL.Image.fromarray(np.repeat(np.uint8([[10] * 3 + [200] * 6 + [10] * 3]), 6, 0))
    wide.save(tmp_path / "b" / "0.png")

    def first_row(resize):
        data = load(f"folder:{tmp_path}", image_size=6, resize=resize, channels=1)
        images = np.concatenate([data.train.images, data.validation.images, data.test.images])
        (image,) = (x for x in images if x.max() > 150)
        return image[..., 0]

    # The middle half: the six bright columns.
    np.testing.assert_array_equal(first_row("crop"), np.full((6, 6), 200))
    # 6x12 becomes 3x6, with one black row above and two below.
    padded = first_row("pad")
    assert not padded[0].any() and not padded[4:].any() and padded[1:4].all()
    assert (first_row("stretch")[:, 2:4] == 200).all() and first_row("stretch").all()
    assert (first_row(None) == first_row("stretch")).all()
    with pytest.raises(ValueError, match="resize must be one of crop, pad, stretch"):
        load(f"folder:{tmp_path}", image_size=6, resize="zoom")
    with pytest.raises(ValueError, match=r"channels must be 1 \(gray\) or 3 \(RGB\).*channels=4"):
        load(f"folder:{tmp_path}", channels=4)


def test_settings_of_custom_data_do_not_apply_to_others():
    for setting in ({"classes": ["a", "b"]}, {"channels": 3}, {"resize": "pad"}):
        with pytest.raises(ValueError, match=r"applies to custom data .*, not to fashion_mnist"):
            load("fashion_mnist", manual_dir=pathlib.Path.cwd(), **setting)
