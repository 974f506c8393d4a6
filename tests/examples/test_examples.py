"""Each example runs on small inputs and prints what its docstring announces."""

import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from examples import binary_classifier, custom_images, custom_objective, robustness_gate
from rar_tf.attribution import Explainer, integrated_gradients, label_loss
from rar_tf.objective import Batch
from rar_tf.presets import resolve
from rar_tf.serving import export
from tests.support import oracles
from tests.support.tiny_evaluation import own_data, own_model

PAGE = (pathlib.Path(__file__).parents[2] / "docs/getting_started.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """20 images of two classes, dark ones and light ones."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 120)):
        (folder / name).mkdir()
        for i in range(10):
            pixels = random.integers(low, low + 100, (24, 24, 3)).astype("uint8")
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def test_from_natural_to_robust_to_served(photos, tmp_path, capsys):
    output = tmp_path / "robust"
    custom_images.main(
        [str(photos), f"--output={output}", "--image_size=24", "--steps=3", "--examples=1"]
    )
    text = capsys.readouterr().out
    assert text.index("natural:") < text.index("robust:") < text.index(f"served: {output}/served/1")
    assert text.count("natural accuracy:") == 2 and "class of the first test image: " in text
    model = keras.models.load_model(output / "model.keras")
    endpoint = tf.saved_model.load(str(output / "served" / "1")).signatures["serve"]
    x = np.random.default_rng(1).random((2, 24, 24, 3)).astype("float32")
    np.testing.assert_allclose(endpoint(image=tf.constant(x))["logits"], model(x), atol=1e-5)


def test_a_binary_model_keeps_its_pixels_and_its_sigmoid(tmp_path, capsys):
    labels = np.arange(80) % 3
    levels = np.random.default_rng(0).integers(0, 80, (80, 12, 12, 1))
    images = (levels + 80 * labels[:, None, None, None]).astype("uint8")
    np.savez(tmp_path / "three.npz", images=images, labels=labels)
    binary_classifier.main(
        [f"--dataset=npz:{tmp_path}/three.npz", "--classes=0,2", f"--output={tmp_path}/out",
         "--epochs=20", "--steps=3", "--examples=1"]
    )  # fmt: skip
    text = capsys.readouterr().out
    words = "pixels scaled to [0, 255], as its first layers take them; one sigmoid output"
    assert text.count(words) == 2 and text.count("natural accuracy: 1.0000") == 2
    shown = text.splitlines()[-1].split("probability of 2 ")[1].split()
    assert float(shown[0]) == pytest.approx(float(shown[3]), abs=2e-4)
    model = keras.models.load_model(tmp_path / "out/model.keras")
    assert model.output_shape == (None, 1)
    np.testing.assert_array_equal(model(images)[:, 0] > 0.5, labels == 2)
    card = json.loads((tmp_path / "out/served/1/card.json").read_text())
    assert card["input_convention"]["pixels"] == "0..255"
    assert card["input_convention"]["outputs"] == "sigmoid_as_two_logits"


def test_custom_objective_is_the_squared_norm():
    preset = resolve("fashion_mnist", "examples.custom_objective:smooth_loss", weight=0.5)
    assert (preset.objective.values["ig_steps"], preset.objective.values["weight"]) == (3, 0.5)
    objective = preset.objective.build()
    classifier, x, y, x_adv = oracles.golden_setting()
    x, x_adv = tf.constant(x[:3]), tf.constant(x_adv[:3])
    y = tf.constant(y[:3])
    expected = integrated_gradients(label_loss(classifier), x_adv, y, baseline=x, steps=3)
    parts = objective(classifier, Batch(x, y), x_adv)
    squares = np.square(expected.numpy()).sum((1, 2, 3))
    np.testing.assert_allclose(parts.term, squares, rtol=1e-5)
    np.testing.assert_allclose(parts.total, parts.loss + 0.5 * squares, rtol=1e-5)
    assert custom_objective.smooth_loss().weight == 10.0


@pytest.mark.parametrize(
    ("own", "other", "least", "status", "says"),
    [
        ({0: 0.5, 1: 0.7}, None, 0.6, 0, "CO 0.6000 over 2 images, required 0.6: robust enough"),
        ({0: 0.5, 1: 0.7}, None, 0.61, 1, "NOT robust enough"),
        ({0: 0.5, 1: 0.6, 2: 0.9}, {0: 0.7, 1: 0.81, 3: 0.1}, None, 1, "CO -0.2050 against"),
        ({0: 0.7, 1: 0.8}, {0: 0.7, 1: 0.8}, None, 0, "CO +0.0000 against"),
        # Behind on average, but no more than chance would have it.
        ({0: 0.1, 1: 0.9}, {0: 0.9, 1: 0.15}, None, 0, "CO -0.0250 against"),
    ],
)
def test_gate(own, other, least, status, says, capsys):
    assert robustness_gate.judge(own, other, least, 0.01) == status
    assert says in capsys.readouterr().out


def test_gate_from_files(tmp_path, capsys):
    model = own_model()
    images, labels = own_data(model, 12)
    model.save(tmp_path / "mine.keras")
    train_labels = np.arange(12) % 3
    arrays = {"train_images": images, "train_labels": train_labels}
    np.savez(tmp_path / "a.npz", **arrays, test_images=images, test_labels=labels)
    command = [str(tmp_path / "mine.keras"), f"--dataset=npz:{tmp_path}/a.npz", "--examples=1"]
    assert robustness_gate.main([*command, "--least=1.0"]) == 1
    assert "over 1 images, required 1.0: NOT robust enough" in capsys.readouterr().out
    assert robustness_gate.main([*command[:1], "--dataset=npz:none.npz", "--least=1"]) == 2
    assert "error: npz:PATH must name a file" in capsys.readouterr().err


def test_gate_refuses_a_model_without_gradients(tmp_path, capsys):
    """Rounded pixels: the gradient is zero, and so is the map."""
    model = own_model()
    images, _ = own_data(model, 12)
    image = keras.Input(images.shape[1:])
    rounded = keras.Model(image, model(keras.ops.round(255 * image) / 255))
    rounded.save(tmp_path / "rounded.keras")
    labels = np.argmax(rounded(images / np.float32(255)), -1)
    arrays = {"train_images": images, "train_labels": np.arange(12) % 3}
    np.savez(tmp_path / "a.npz", **arrays, test_images=images, test_labels=labels)
    command = [str(tmp_path / "rounded.keras"), f"--dataset=npz:{tmp_path}/a.npz", "--examples=2"]
    assert robustness_gate.main([*command, "--least=0.0"]) == 2
    errors = capsys.readouterr().err
    assert "warning: the gradient of the loss by the pixels is zero" in errors
    assert "warning: nothing was measured: none of 2 images has a figure" in errors
    assert "rounded.keras was not measured" in errors


def test_the_page_asks_its_export(tmp_path, monkeypatch, capsys):
    """The photo is light: the network, which sums its pixels up, says class 1."""
    image = keras.Input((64, 64, 3))
    total = keras.layers.Dense(2, kernel_initializer="ones")(keras.layers.Flatten()(image))
    logits = keras.layers.Rescaling([0.0, 1.0])(total)
    export(keras.Model(image, logits), tmp_path / "served/photos/1", explainer=Explainer(steps=1))
    Image.new("RGB", (90, 70), (200, 200, 200)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    code = PAGE.split("test_the_page_asks_its_export -->\n```python\n")[1].split("```\n")[0]
    exec(code, {})
    assert capsys.readouterr().out == "[1] (1, 64, 64)\n"
