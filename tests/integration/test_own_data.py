"""One's own images, as a folder and as an npz file: trained and evaluated by the command line."""

import json

import keras
import numpy as np
import pytest

TRAIN = (
    "--objective=ig_norm",
    "--batch_size=8",
    "--max_steps=3",
    "--attack_steps=1",
    "--ig_steps=1",
    "--workdir=run",
)
EVAL = ("--workdir=run", "--num_examples=3", "--nostrong_pgd", "--ig_steps=4", "--k=20")
LAYERS = ("Conv2D", "Flatten", "Dense")
CLASSES = ("maple", "oak", "pine")


@pytest.fixture(scope="module")
def command(cli):
    def command(module, *flags, cwd):
        done = cli(module, *flags, cwd=cwd)
        assert "Traceback" not in done.stderr
        return done

    return command


def images(count, height=13, width=10):
    random, labels = np.random.default_rng(0), np.arange(count) % 3
    pixels = random.integers(0, 100, (count, height, width, 3)) + 50 * labels[:, None, None, None]
    return pixels.astype("uint8"), labels


def own_classifier(path, shape=(13, 10, 3)):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.save(path)
    return model


def evaluated(command, cwd, *flags):
    done = command("eval.main", *EVAL, *flags, cwd=cwd)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((cwd / "run/eval/rar-worst_case/report.json").read_text())


def test_a_folder_of_images_of_several_sizes(command, tmp_path):
    for i, (pixels, label) in enumerate(zip(*images(60), strict=True)):
        folder = tmp_path / "trees" / CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(folder / f"{i}.png", pixels[: 12 + i % 2], scale=False)
    flags = ("--dataset=folder:trees", "--image_size=8,12", "--architecture=small_cnn", *TRAIN)
    done = command(
        "train.main", *flags, "--init_from=scratch", "--initializer=GU", "--seed=3", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    preset = json.loads((tmp_path / "run/preset.json").read_text())
    assert (preset["image_size"], preset["initializer"]) == ([8, 12], "GU")
    report = evaluated(command, tmp_path)  # at the workdir's own size and split
    assert report["dataset"]["class_names"] == list(CLASSES)
    assert report["natural_accuracy"]["num_examples"] == 6
    assert report["model"]["preset"]["image_size"] == [8, 12]
    assert "drawn by seed 3" in report["dataset"]["source"]


def test_an_npz_file_and_a_classifier_of_ones_own(command, tmp_path):
    pixels, labels = images(60)
    np.savez(tmp_path / "trees.npz", images=pixels, labels=labels, class_names=CLASSES)
    own_classifier(tmp_path / "own.keras")
    flags = ("--dataset=npz:trees.npz", "--model=own.keras", *TRAIN)
    done = command("train.main", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    preset = json.loads((tmp_path / "run/preset.json").read_text())
    assert preset["init_from"] == "own.keras" and "architecture" not in preset
    trained = keras.models.load_model(tmp_path / "run/model.keras")
    assert [type(layer).__name__ for layer in trained.layers] == list(LAYERS)
    assert trained.layers[-1].activation is keras.activations.softmax
    report = evaluated(command, tmp_path)
    assert report["model"]["outputs"] == "stripped_softmax"
    assert report["dataset"]["class_names"] == list(CLASSES)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--model=own.keras", "--init_from=natural"),
            "--model=FILE is short for --init_from=FILE",
        ),
        (("--model=own.keras",), r"model must take images 13x10x3 as npz:trees.npz has them"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_written(command, tmp_path, flags, message):
    pixels, labels = images(60)
    np.savez(tmp_path / "trees.npz", images=pixels, labels=labels)
    own_classifier(tmp_path / "own.keras", shape=(10, 13, 3))
    done = command("train.main", "--dataset=npz:trees.npz", *TRAIN, *flags, cwd=tmp_path)
    assert done.returncode == 1 and message in done.stderr
    assert not (tmp_path / "run").exists()
