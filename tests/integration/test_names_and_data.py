"""Names of classes and images of a folder, from training to evaluation, explanation and export."""

import json
import shutil

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

NAMES = ("cat", "dog", "owl")
TRAIN = (
    "--dataset=folder:pets",
    "--architecture=small_cnn",
    "--objective=natural",
    "--batch_size=8",
    "--max_steps=30",
    "--workdir=run",
)
EVAL = ("--num_examples=3", "--nostrong_pgd", "--ig_steps=2", "--k=5", "--attack=quick")


def photos(root, names=NAMES, count=12, first=0):
    for number, name in enumerate(names):
        for i in range(count):
            random = np.random.default_rng((number, first + i))
            pixels = random.integers(0, 60, (8, 8, 3)) + 90 * number
            (root / name).mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(pixels.astype("uint8")).save(root / name / f"{first + i}.png")


@pytest.fixture(scope="module")
def trained(cli, tmp_path_factory):
    """A folder with the photographs and a finished run."""
    folder = tmp_path_factory.mktemp("trained")
    photos(folder / "pets")
    done = cli("train.main", *TRAIN, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    line = "36 images: 30 train, 3 validation, 3 test; classes 0 cat (12), 1 dog (12), 2 owl (12)"
    assert done.stderr.count(line) == 1
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "copy")


def refused(done, *texts):
    assert done.returncode == 1, done.stderr
    error = done.stderr.splitlines()[-1]
    assert error.startswith("error: ") and "Traceback" not in done.stderr
    for text in texts:
        assert text in error
    return error


def accuracy(cli, folder, *flags):
    output = "out"
    done = cli("eval.main", *EVAL, f"--output={output}", *flags, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads((folder / output / "report.json").read_text())
    shutil.rmtree(folder / output)
    return report["natural_accuracy"]["value"], report, done.stderr


def test_a_class_renamed_or_added_after_the_training_is_refused(cli, folder):
    value, report, _ = accuracy(cli, folder, "--workdir=run")
    assert value == 1 and report["model"]["training_data"]["class_names"] == list(NAMES)
    (folder / "pets" / "cat").rename(folder / "pets" / "zebra")
    for command in ("eval.main", "eval.explain"):
        flags = EVAL if command == "eval.main" else ("--ig_steps=2", "--k=5", "--attack=quick")
        done = cli(command, "--workdir=run", *flags, cwd=folder)
        refused(done, "classes of the model: cat, dog, owl", "zebra, which the model was not")
    refused(cli("train.main", *TRAIN, cwd=folder), "other data", "zebra added, cat removed")
    (folder / "pets" / "zebra").rename(folder / "pets" / "cat")
    photos(folder / "pets", ["ant"])
    refused(cli("eval.main", "--workdir=run", *EVAL, cwd=folder), "ant, which the model was not")


def test_explain_names_the_class_by_the_model(cli, folder):
    photo = folder / "pets" / "owl" / "3.png"
    shutil.copy(photo, folder / "photo.png")
    shutil.rmtree(folder / "pets")
    shutil.copy(folder / "run" / "model.keras", folder / "alone.keras")
    for model in ("--workdir=run", "--model=alone.keras"):
        done = cli(
            "eval.explain", model, "--image=photo.png", "--ig_steps=2", "--k=5", "--attack=quick",
            cwd=folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.splitlines()[-1].startswith("owl ")


def test_images_added_between_two_starts_are_refused_and_training_images_in_test_too(cli, folder):
    photos(folder / "pets", count=9, first=100)
    error = refused(cli("train.main", *TRAIN, cwd=folder), "run on other data", "train: ", "cat/")
    assert "of test, " in error and "training image" in error
    refused(
        cli("eval.main", "--workdir=run", *EVAL, cwd=folder),
        "test images of folder:pets must not be training images of the model",
        "take these images out of the split",
    )
    done = cli("eval.main", "--workdir=run", "--split=train", *EVAL, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]


def test_other_data_of_the_same_classes_are_matched_by_name(cli, folder):
    photos(folder / "new" / "test", NAMES, 2, first=500)
    shutil.rmtree(folder / "new" / "test" / "dog")
    value, report, log = accuracy(cli, folder, "--workdir=run", "--dataset=folder:new")
    assert "matched by name with those of the model, cat, dog, owl" in log
    assert value == 1 and report["dataset"]["class_names"] == list(NAMES)
    rows = "".join(f"new/test/{name}/500.png,{name},test\n" for name in ("owl", "cat"))
    (folder / "list.csv").write_text(f"path,label,split\n{rows}")
    flags = ("--dataset=csv:list.csv", "--classes=owl,cat")
    assert accuracy(cli, folder, "--model=run/model.keras", *flags)[0] == 1
    # Larger images are brought to the size of the model.
    for path in (folder / "new").rglob("*.png"):
        PIL.Image.open(path).resize((16, 16), 0).save(path)
    assert accuracy(cli, folder, "--workdir=run", "--dataset=folder:new")[0] == 1


def test_a_model_without_a_record_goes_on_with_a_remark(cli, folder):
    import keras

    keras.models.load_model(folder / "run" / "model.keras").save(folder / "old.keras")
    done = cli("eval.main", "--model=old.keras", *EVAL, "--dataset=folder:pets", cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "old.keras does not name its classes" in done.stderr


def test_the_export_names_its_classes(cli, folder):
    done = cli("train.export", "--model=run/model.keras", "--output=served/1", cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = tf.saved_model.load(str(folder / "served" / "1"))
    names = loaded.signatures["classes"]()["class_names"].numpy()
    assert [name.decode() for name in names] == list(NAMES)
    card = json.loads((folder / "served" / "1" / "card.json").read_text())
    assert card["class_names"] == list(NAMES)
    assert (
        card["data"]["digest"] == json.loads((folder / "run" / "data.json").read_text())["digest"]
    )
    content = (folder / "pets" / "owl" / "0.png").read_bytes()
    served = loaded.signatures["serve_bytes"](image_bytes=tf.constant([content]))
    assert names[int(served["class"][0])] == b"owl"


def test_an_export_with_a_report_of_other_classes_is_refused(cli, folder):
    _, report, _ = accuracy(cli, folder, "--workdir=run")
    report["dataset"]["class_names"] = ["cat", "dog", "emu"]
    (folder / "report.json").write_text(json.dumps(report))
    done = cli(
        "train.export", "--model=run/model.keras", "--output=served/1", "--report=report.json",
        cwd=folder,
    )  # fmt: skip
    refused(done, "report must be of the classes of the model: cat, dog, owl")


@pytest.mark.parametrize("command", ["train.main", "eval.main"])
def test_an_epsilon_of_levels_is_refused_before_any_work(cli, folder, command):
    given = (*TRAIN[:-1], "--workdir=new") if command == "train.main" else ("--workdir=run", *EVAL)
    flags = [*given, "--epsilon=8"]
    if command == "train.main":
        flags.append("--objective=madry")
    refused(cli(command, *flags, cwd=folder), "epsilon must be <= 1", "8/255 = 0.0314")
    assert not (folder / "new").exists()


def test_settings_of_images_belong_to_the_run(cli, tmp_path):
    photos(tmp_path / "pets", [str(number) for number in range(11)], 4)
    for path in (tmp_path / "pets" / "3").iterdir():
        PIL.Image.open(path).resize((9, 12), 0).save(path)
    flags = (*TRAIN[:-2], "--max_steps=2", "--workdir=run")
    refused(cli("train.main", *flags, cwd=tmp_path), "--image_size=HEIGHT,WIDTH", "3/0.png")
    names = ",".join(str(number) for number in reversed(range(11)))
    form = ("--image_size=8", "--resize=pad", "--channels=1", f"--classes={names}")
    done = cli("train.main", *flags, *form, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "classes 0 10 (4), 1 9 (4), 2 8 (4)" in done.stderr and "8x8x1 pixels" in done.stderr
    assert "4 images scaled to 8x8 (pad)" in done.stderr
    preset = json.loads((tmp_path / "run" / "preset.json").read_text())
    assert (preset["resize"], preset["channels"]) == ("pad", 1)
    assert preset["classes"] == names.split(",")
    done = cli("eval.main", "--workdir=run", *EVAL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "classes 0 10 (4), 1 9 (4)" in done.stderr and "8x8x1 pixels" in done.stderr
