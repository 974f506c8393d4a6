import zipfile

import numpy as np
import pytest

from rar_tf.datasets import archives, equalize, gtsrb, load, tfds_source

FOLDER = "GTSRB/Final_Training/Images"
COLUMNS = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
TRAIN, TEST, TRUTH = gtsrb.Gtsrb.URLS
TRACKS, FRAMES = 3, 2


def ppm(image):
    height, width, _ = image.shape
    return b"P6\n# made up\n%d %d\n255\n" % (width, height) + image.tobytes()


def picture(label, track=0, frame=0):
    """A 32x32 image of one colour that tells where it came from, with one odd pixel."""
    image = np.full((32, 32, 3), [label, track, frame], np.uint8)
    image[0, 0] = 250
    return image


def write(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def training_members():
    members = {}
    for label in range(43):
        rows = [COLUMNS]
        for track in range(TRACKS):
            for frame in range(FRAMES):
                name = f"{track:05d}_{frame:05d}.ppm"
                members[f"{FOLDER}/{label:05d}/{name}"] = ppm(picture(label, track, frame))
                rows.append(f"{name};64;64;16;8;47;55;{label}")
        members[f"{FOLDER}/{label:05d}/GT-{label:05d}.csv"] = "\n".join(rows)
    return members


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The three archives: 43 classes of 3 tracks of 2 frames, 4 test images."""
    monkeypatch.setattr(gtsrb, "NUM_IMAGES", {"train": 43 * TRACKS * FRAMES, "test": 4})
    path = tmp_path / "archives"
    path.mkdir()
    write(path / TRAIN, training_members())
    images = {f"GTSRB/Final_Test/Images/{i:05d}.ppm": ppm(picture(40 + i)) for i in range(4)}
    # 16 + 16 columns of two levels: equalized, they are 0 and 255.
    images["GTSRB/Final_Test/Images/00003.ppm"] = ppm(
        np.repeat(np.array([[[90] * 3] * 16 + [[91] * 3] * 16], np.uint8), 32, axis=0)
    )
    write(path / TEST, {**images, "GTSRB/Final_Test/Images/GT-final_test.test.csv": "no labels"})
    rows = [COLUMNS] + [f"{i:05d}.ppm;32;32;5;5;26;26;{i}" for i in range(4)]
    write(path / TRUTH, {"GT-final_test.csv": "\n".join(rows)})
    return path


def load_gtsrb(folder, **kwargs):
    return load("gtsrb", data_dir=folder.parent / "tfds", manual_dir=folder, **kwargs)


def test_tracks_are_never_divided_and_every_class_is_on_both_sides(folder):
    data = load_gtsrb(folder)
    plain = data.train.source
    assert (len(plain), len(data.validation), len(data.test)) == (43 * 4, 43 * 2, 4)
    assert np.bincount(plain.labels).tolist() == [4] * 43
    assert np.bincount(data.validation.labels).tolist() == [2] * 43
    # Plain training images tell their track: each of the two left has both of its frames.
    np.testing.assert_array_equal(plain.images[:, 1, 1, 0], plain.labels)
    tracks = plain.images[:, 1, 1, 1].reshape(43, 2, FRAMES)
    assert (tracks[..., 0] == tracks[..., 1]).all()
    assert (tracks[:, 0] != tracks[:, 1]).all()
    assert len(np.unique(tracks)) == TRACKS, "each class draws its own track"


def test_training_is_balanced_and_equalized_and_test_is_equalized(folder):
    data = load_gtsrb(folder)
    assert len(data.train) == 43 * 10_000
    images, labels = data.train.read(np.array([0, 3, 10_000 * 42]))
    plain = data.train.source
    np.testing.assert_array_equal(images[:2], equalize(plain.images[[0, 3]]).numpy())
    assert labels.tolist() == [0, 0, 42]
    assert data.test.labels.tolist() == [0, 1, 2, 3]
    assert np.unique(data.test.images[3, :, :16]).tolist() == [0]
    assert np.unique(data.test.images[3, :, 16:]).tolist() == [255]


def test_a_second_load_reuses_the_copy_and_gives_the_same(folder):
    first, again = load_gtsrb(folder), load_gtsrb(folder)
    assert first.source.startswith("prepared in ")
    digest = archives.sha256(folder / TRAIN)
    assert again.source.startswith("prepared TFDS copy in ") and digest in again.source
    for split in ("validation", "test"):
        np.testing.assert_array_equal(first.require(split).images, again.require(split).images)
    elsewhere = load("gtsrb", data_dir=folder.parent / "tfds")
    np.testing.assert_array_equal(elsewhere.test.labels, first.test.labels)
    other_seed = load("gtsrb", data_dir=folder.parent / "tfds", seed=1)
    assert (other_seed.train.source.images != first.train.source.images).any()


def test_a_copy_of_other_archives_is_not_taken_for_these(folder):
    load_gtsrb(folder)
    write(folder / TRUTH, {"GT-final_test.csv": COLUMNS})
    with pytest.raises(ValueError, match=r"Received: a copy of other archives.*Remove it or give"):
        load_gtsrb(folder)


def test_image_size_and_crop(folder):
    data = load_gtsrb(folder, image_size=16)
    assert data.image_shape == (16, 16, 3) and data.test.images.shape[1:] == (16, 16, 3)
    row = {"Width": "64", "Height": "64", "Roi.X1": "16", "Roi.Y1": "8"}
    row |= {"Roi.X2": "47", "Roi.Y2": "55"}
    image = np.arange(32 * 32, dtype=np.uint32).astype(np.uint8).reshape(32, 32, 1)
    np.testing.assert_array_equal(gtsrb._crop(image, row), image[4:28, 8:24])


def rewrite(path, change):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    write(path, members)


@pytest.mark.parametrize(
    ("archive", "change", "message"),
    [
        (
            TRAIN,
            lambda m: m.pop(f"{FOLDER}/00007/00001_00001.ppm"),
            r"must hold GTSRB/.*/00007/00001_00001\.ppm, as the archive of https://sid\.erda\.dk",
        ),
        (
            TRAIN,
            lambda m: m.update({f"{FOLDER}/00002/GT-00002.csv": COLUMNS}),
            r"must hold 258 annotated images.*Received: 252",
        ),
        (
            TRAIN,
            lambda m: m.update(
                {f"{FOLDER}/00002/GT-00002.csv": f"{COLUMNS}\n../../x.ppm;1;1;0;0;1;1;2"}
            ),
            r"must name images like 00000_00000\.ppm.*Received: '\.\./\.\./x\.ppm'",
        ),
        (
            TRUTH,
            lambda m: m.update({"GT-final_test.csv": "Filename;Width\n00000.ppm;1"}),
            r"GT-final_test\.csv must have the columns ClassId, Filename",
        ),
        (
            TRUTH,
            lambda m: m.update({"GT-final_test.csv": f"{COLUMNS}\n00000.ppm;1;1;0;0;1;1;43"}),
            r"ClassId of GTSRB/Final_Test/Images/00000\.ppm must be 0 \.\. 42\. Received: 43",
        ),
        (
            TEST,
            lambda m: m.update({"GTSRB/Final_Test/Images/00001.ppm": b"P6\n32 32\n255\nshort"}),
            r"00001\.ppm must hold 32x32 pixels, 3072 bytes\. Received: 5 bytes",
        ),
        (TEST, lambda m: m.clear(), r"Received: 0 members, none of that name"),
    ],
)
def test_foreign_archives(folder, archive, change, message):
    rewrite(folder / archive, change)
    with pytest.raises(ValueError, match=message):
        load_gtsrb(folder)


@pytest.mark.parametrize("archive", [TRAIN, TEST, TRUTH])
def test_missing_and_truncated_archives_say_where_to_get_them(folder, archive):
    path = folder / archive
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(
        ValueError,
        match=rf"{archive} must be the complete archive of https://sid\.erda\.dk/.*{archive}\. "
        r"Received: \d+ bytes, truncated or corrupted",
    ):
        load_gtsrb(folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{archive} is missing\. Expected: .*{archive}"):
        load_gtsrb(folder)


def test_offline_the_error_names_the_options(tmp_path, monkeypatch):
    def offline(url):
        raise ConnectionError(f"{url} cannot be reached: made up")

    monkeypatch.setattr(tfds_source, "probe", offline)
    with pytest.raises(
        FileNotFoundError,
        match=r"gtsrb was not found.*\(1\) a network.*\(2\) manual_dir.*Training_Images\.zip",
    ):
        load("gtsrb", data_dir=tmp_path)


def test_nothing_is_extracted(folder):
    load_gtsrb(folder)
    left = {path.name for path in folder.parent.rglob("*") if path.is_file()}
    assert not any(name.endswith((".ppm", ".csv")) for name in left)
