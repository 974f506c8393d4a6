"""The commands on users' models: pixels in [0, 255] or [-1, 1], one sigmoid, custom layers."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

L = keras.layers
CODE = """
import keras

@keras.saving.register_keras_serializable("shop")
class Twice(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs

def centered(images):
    return 2 * images - 1
"""
MEASURE = ("--num_examples=2", "--ig_steps=2", "--k=10", "--epsilon=0.02", "--attack=quick",
           "--nostrong_pgd", "--num_pictures=0")  # fmt: skip
TRAIN = ("--objective=ig_norm", "--batch_size=8", "--max_steps=2", "--attack_steps=1",
         "--ig_steps=1", "--validate_every=2", "--learning_rate=1e-5")  # fmt: skip


def images(count):
    """Dark and bright images, labels 0 and 1."""
    labels = np.arange(count) % 2
    levels = np.random.default_rng(0).integers(0, 100, (count, 8, 8, 3))
    return (levels + 150 * labels[:, None, None, None]).astype("uint8"), labels


def bright(scale, offset, *layers, activation):
    """Bright or not, exactly, of pixels that `scale` and `offset` map to [-1, 1]."""
    made = keras.Sequential(
        [keras.Input((8, 8, 3)), *layers, L.GlobalAveragePooling2D(), L.Dense(1, activation)]
    )
    made.set_weights([np.full((3, 1), 4.0 * scale), np.array([12.0 * offset])])
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models, their module and images."""
    folder = tmp_path_factory.mktemp("custom")
    (folder / "user_code.py").write_text(CODE)
    namespace = {}
    exec(CODE, namespace)
    inside = (L.Rescaling(1 / 255, -0.5), namespace["Twice"]())
    bright(1, 0, *inside, activation="sigmoid").save(folder / "sigmoid.keras")
    bright(1, 0, activation=None).save(folder / "centered.keras")
    train, test = images(40), images(30)
    names = ("train_images", "train_labels", "test_images", "test_labels")
    np.savez(folder / "data.npz", **dict(zip(names, (*train, *test), strict=True)))
    return folder


def test_from_the_file_to_the_export(cli, folder):
    """One sigmoid, pixels in [0, 255] and a custom layer: only its module is said, once."""
    run = cli("train.main", "--model=sigmoid.keras", "--import=user_code", *TRAIN,
              "--dataset=npz:data.npz", "--workdir=run", cwd=folder)  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    words = "pixels scaled to [0, 255], as its first layers take them; one sigmoid output"
    assert (run.stdout + run.stderr).count(words) == 1
    preset = json.loads((folder / "run/preset.json").read_text())
    assert preset["import"] == ["user_code"] and "pixels" not in preset
    measured = cli("eval.main", "--workdir=run", *MEASURE, "--output=out", cwd=folder)
    assert measured.returncode == 0, measured.stderr[-2000:]
    report = json.loads((folder / "out/report.json").read_text())
    assert report["natural_accuracy"]["value"] == 1.0
    convention = report["model"]["input_convention"]
    assert convention["pixels"] == "0..255" and convention["outputs"] == "sigmoid_as_two_logits"
    assert words in measured.stdout
    served = cli("train.export", "--model=run/model.keras", "--output=served/1", "--steps=2",
                 cwd=folder)  # fmt: skip
    assert served.returncode == 0, served.stderr[-2000:]
    card = json.loads((folder / "served/1/card.json").read_text())
    assert card["input_convention"] == convention and card["num_classes"] == 2
    assert words in served.stdout and words in (folder / "served/1/MODEL_CARD.md").read_text()
    x = images(6)[0].astype("float32") / 255
    answer = tf.saved_model.load(str(folder / "served/1")).signatures["serve"](image=tf.constant(x))
    np.testing.assert_array_equal(answer["class"], images(6)[1])
    namespace = {}
    exec(CODE, namespace)
    model = keras.models.load_model(folder / "run/model.keras")
    np.testing.assert_allclose(answer["probabilities"][:, 1:], model(255 * x), atol=1e-5)
    explained = cli("eval.explain", "--workdir=run", "--image=1", *MEASURE[1:5], cwd=folder)
    assert explained.returncode == 0 and "1 99.9%" in explained.stdout, explained.stderr[-2000:]


def test_pixels_that_nothing_shows_are_refused_until_said(cli, folder):
    model = ("--model=centered.keras", "--dataset=npz:data.npz")
    for command in (("eval.main", *MEASURE), ("train.main", *TRAIN, "--workdir=refused")):
        refused = cli(command[0], *model, *command[1:], cwd=folder)
        assert refused.returncode == 1 and "Traceback" not in refused.stderr
        *_, line = refused.stderr.splitlines()
        assert line.startswith("error: pixels must be the range that the model takes. Received: ")
        assert "--pixels=-1..1" in line and "--pixels=0..255" not in line
    assert not (folder / "refused").exists()
    for pixels in ("-1..1", "user_code:centered"):
        said = cli("eval.main", *model, *MEASURE, f"--pixels={pixels}", f"--output={pixels[:4]}",
                   cwd=folder)  # fmt: skip
        assert said.returncode == 0, said.stderr[-2000:]
        report = json.loads((folder / pixels[:4] / "report.json").read_text())
        assert report["natural_accuracy"]["value"] == 1.0
        assert report["model"]["input_convention"]["pixels"] == pixels
    other = cli("eval.main", *model, *MEASURE, "--pixels=user_code:centered", "--output=-1..",
                cwd=folder)  # fmt: skip
    assert other.returncode == 1 and "with another range of pixels" in other.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--model=sigmoid.keras",), "needs the custom class 'Twice'"),
        (("--model=sigmoid.keras", "--import=user_codes"), "Did you mean 'user_code'?"),
        (("--model=sigmoid.keras", "--import=user_code", "--pixels=0-1"), "pixels must be one of"),
        (("--model=centered.keras", "--output_name=class"), "output_name must be one of"),
        (("--model=.",), "a folder without a model"),
    ],
)
def test_a_mistake_is_one_sentence(cli, folder, flags, message):
    data = "--dataset=npz:data.npz"
    for command in (("eval.main",), ("train.main", "--workdir=none", "--batch_size=8")):
        done = cli(*command, *flags, data, cwd=folder)
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr[-2000:]
        assert message in done.stderr.splitlines()[-1]
        assert not (folder / "none").exists()
