"""CSV manifests."""

import numpy as np
import PIL.Image
import pytest

from rar_tf.datasets import load
from rar_tf.datasets.summary import summary


def images(root, count=12):
    root.mkdir(exist_ok=True)
    for i in range(count):
        PIL.Image.new("RGB", (4, 3), (i, i, i)).save(root / f"{i}.png")


def manifest(tmp_path, text, encoding="utf-8"):
    images(tmp_path / "x")
    (tmp_path / "list.csv").write_bytes(text.encode(encoding))
    return f"csv:{tmp_path / 'list.csv'}"


GIVEN = "".join(
    f"x/{i}.png,{'cat' if i % 2 else 'dog'},{split}\n"
    for i, split in enumerate(["train"] * 6 + ["val"] * 2 + ["Test"] * 4)
)


def values(split):
    return sorted(split.images[:, 0, 0, 0].tolist())


def test_paths_labels_and_splits(tmp_path):
    data = load(manifest(tmp_path, f"path,label,split\n{GIVEN}"))
    assert values(data.train) == list(range(6)) and values(data.validation) == [6, 7]
    assert values(data.test) == [8, 9, 10, 11] and data.class_names == ("cat", "dog")
    for split in (data.train, data.validation, data.test):
        np.testing.assert_array_equal(split.labels, 1 - split.images[:, 0, 0, 0] % 2)
    assert summary(data) == (
        "12 images: 6 train, 2 validation, 4 test; classes 0 cat (6), 1 dog (6); 3x4x3 pixels"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace("\n", "\r\n") + "\r\n\r\n",
        lambda text: text.replace("x/3.png", '"x/3.png"').replace("path", '" Path "'),
        lambda text: text.replace("x/", "x\\"),
        lambda text: text.replace("x/", "./x/../x/"),
        lambda text: "\n".join(",".join(reversed(line.split(","))) for line in text.splitlines()),
    ],
    ids=["BOM", "semicolons", "tabs", "CRLF", "quotes", "backslashes", "dots", "column order"],
)
def test_forms_of_the_file(tmp_path, change):
    data = load(manifest(tmp_path, change(f"path,label,split\n{GIVEN}")))
    assert [values(s) for s in (data.train, data.validation, data.test)] == [
        [0, 1, 2, 3, 4, 5], [6, 7], [8, 9, 10, 11]
    ]  # fmt: skip


def test_absolute_paths_further_columns_and_missing_splits(tmp_path):
    rows = "".join(f"{tmp_path}/x/{i}.png,{i % 2},Ann\n" for i in range(12))
    data = load(manifest(tmp_path, f"path,label,photographer\n{rows}"))
    assert (len(data.train), len(data.validation), len(data.test)) == (8, 2, 2)
    assert data.remarks == ("left out: columns 'photographer'",)


def test_whole_numbers_as_labels_are_in_their_order(tmp_path):
    labels = ["10", "2", "1.0", "-1"]
    rows = "".join(f"x/{i}.png,{labels[i % 4]}\n" for i in range(12))
    data = load(manifest(tmp_path, f"path,label\n{rows}"))
    assert data.class_names == ("-1", "1", "2", "10")
    np.testing.assert_array_equal(
        data.train.labels, np.array([3, 2, 1, 0])[data.train.images[:, 0, 0, 0] % 4]
    )
    data = load(f"csv:{tmp_path / 'list.csv'}", classes=["10", "2", "1", "-1"])
    assert data.class_names == ("10", "2", "1", "-1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"must begin with a header of the columns path, label .* Received: an empty file"),
        ("x/0.png,cat\n", r"must begin with a header .* Received: 'x/0\.png', 'cat'"),
        ("file,label\nx/0.png,cat\n", r"Received: 'file', 'label'"),
        ("path,label,label\nx/0.png,a,b\n", r"Received: 'path', 'label', 'label'"),
        ("path,label\n", r"must have a row for each image\. Received: a header alone"),
        ("path,label\nx/0.png,cat\n\nx/1.png,\n", r"^row 4 of .*list\.csv must have a label"),
        ("path,label\nx/0.png,0\nx/1.png,.85\n",
         r"row 3 .* whole number\. Received: \.85, for x/1"),
        ("path,label\nx/0.png,0\nx/1.png,nan\n", r"row 3 .* whole number\. Received: nan"),
        ("path,label\n,cat\n", r"row 2 .* must have a path"),
        ("path,label\nx/0.png\n", r"row 2 .* must have 2 cells, as the header\. Received: 1"),
        ("path,label\nx/0.png,a,b\n", r"row 2 .* must have 2 cells, as the header\. Received: 3"),
        ("path,label,split\nx/0.png,a,dev\n", r"row 2 .* train, validation or test\. .* 'dev'"),
        ("path,label,split\nx/0.png,a,\n", r"row 2 .* train, validation or test\. Received: ''"),
        ("path,label\nx/0.png,a\nx/./0.png,b\n", r"row 3 .* an image once\. .* as in row 2"),
        ("path,label\nx/0.png,a\ny/1.png,b\nz.png,b\n",
         r"row 3 .* y/1\.png, which is not there .* 1 more"),
        ("path,label\nx,a\n", r"row 2 .* Received: x, which is no file"),
        ('path,label\n"x/0.png,a\nx/1.png,b\n',
         r"row 2 .* must be complete, with closed quotes"),
        ("path,label\nx/0.png,a\0\n", r"list\.csv must be UTF-8 text\. Received: a file with NUL"),
        ("path,label\nhttp://h/0.png,a\n", r"row 2 .* Received: http://h/0\.png, which is not"),
        ("path,label\nx/0.png,a\nx/1.png,a\n", r"at least 2 classes\. Received: 1: a"),
        (
            "path,label,split\nx/0.png,a,train\nx/1.png,b,train\nx/2.png,c,test\n",
            r"row 4 .* training images\. Received: c",
        ),
    ],
)  # fmt: skip
def test_errors_name_the_row(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as error:
        load(manifest(tmp_path, text))
    assert "\n" not in str(error.value)


def test_other_encodings_and_files_that_are_no_images(tmp_path):
    with pytest.raises(ValueError, match=r"list\.csv must be UTF-8 text"):
        load(manifest(tmp_path, "path,label\nx/0.png,a\n", "utf-16"))
    (tmp_path / "x" / "0.png").write_bytes(b"text")
    rows = "".join(f"x/{i}.png,{i % 2}\n" for i in range(12))
    (tmp_path / "list.csv").write_text(f"path,label\n{rows}")
    with pytest.raises(ValueError, match=r"^x/0\.png must be a complete image"):
        load(f"csv:{tmp_path / 'list.csv'}")
    with pytest.raises(FileNotFoundError, match=r"csv:FILE must name a file\. Received: FILE=none"):
        load("csv:none.csv")
