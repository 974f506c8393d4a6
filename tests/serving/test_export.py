"""The SavedModel, as a process sees it that has TensorFlow and nothing of ours."""

import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from rar_tf.attribution import Explainer, integrated_gradients, label_logit, saliency
from rar_tf.datasets import pixels, to_unit
from rar_tf.datasets.image_files import decode_file
from rar_tf.models import load_classifier
from rar_tf.serving import Provenance, export
from tests.support import tiny_classifier as tiny

ROOT = pathlib.Path(__file__).parents[2]
EXPLAINER = Explainer(steps=5, rule="trapezoid")
MEMORY = {"nodes_per_pass": 4, "images_per_pass": 3}
NUM_IMAGES = 11
# ExampleMetrics -> what is wrong with it: with the image, with the label, with the baseline.
BAD_IMAGES, BAD_LABELS, BAD_BASELINES = (1, 4, 7), (2, 5), (8,)
LABELS = np.array([-1, 0, 4, 1, 2, -2, 3, 1, 0, -1, 2], np.int32)


def encoded(array, kind, **options):
    buffer = io.BytesIO()
    PIL.Image.fromarray(array).save(buffer, kind, **options)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def inputs():
    image, baseline = tiny.images(NUM_IMAGES), tiny.images(NUM_IMAGES, seed=1) / 2
    for row, value in zip(BAD_IMAGES, (np.nan, 1.01, -np.inf), strict=True):
        image[row, 2, 3, 1] = value
    baseline[BAD_BASELINES, 0, 0, 0] = -0.01
    levels = np.random.default_rng(2).integers(0, 256, (9, 14, 3)).astype("uint8")
    sideways = PIL.Image.Exif()
    sideways[0x0112] = 6
    exact = (tiny.images(1)[0] * 255).round().astype("uint8")
    return {
        "image": image,
        "label": LABELS,
        "baseline": baseline,
        "png": encoded(exact, "PNG"),
        "jpeg": encoded(levels, "JPEG", exif=sideways),
        "gif": encoded(levels, "GIF"),
        "truncated": encoded(levels, "PNG")[:-40],
    }


@pytest.fixture(scope="module")
def classifier():
    """The committed file, as a run of an older version would have left it."""
    return load_classifier(ROOT / "tests" / "testdata" / "tiny.keras")


def test_the_committed_file_holds_the_model_that_its_code_makes(classifier):
    for saved, made in zip(classifier.get_weights(), tiny.classifier().get_weights(), strict=True):
        np.testing.assert_array_equal(saved, made)


@pytest.fixture(scope="module")
def exported(classifier, tmp_path_factory):
    return export(
        classifier, tmp_path_factory.mktemp("served") / "1", explainer=EXPLAINER, **MEMORY
    )


@pytest.fixture(scope="module")
def given():
    return inputs()


@pytest.fixture(scope="module")
def answers(exported, given, tmp_path_factory):
    """Name of a call of the client -> its outputs; "found": what else it saw."""
    folder = tmp_path_factory.mktemp("answers")
    np.savez(folder / "inputs.npz", **given)
    client = ROOT / "tests" / "support" / "serving_client.py"
    done = subprocess.run(
        [sys.executable, "-I", client, exported, folder / "inputs.npz", folder],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = {path.stem: dict(np.load(path)) for path in folder.glob("*.npz")}
    return found | {"found": json.loads((folder / "found.json").read_text())}


def library(classifier, image, label, baseline):
    """What the endpoints must give for valid rows, all nodes and images at once."""
    logits = classifier(image, training=False).numpy()
    y = np.where(label < 0, logits.argmax(-1), label).astype("int32")
    output = label_logit(classifier)
    ig = integrated_gradients(
        output, image, y, baseline=baseline, steps=EXPLAINER.steps, rule=EXPLAINER.rule
    )
    change = output(image, y) - output(baseline, y)
    return {
        "logits": logits,
        "probabilities": tf.nn.softmax(logits).numpy(),
        "class": logits.argmax(-1),
        "attribution": ig.numpy(),
        "saliency": saliency(ig).numpy(),
        "completeness_error": np.abs(ig.numpy().sum((1, 2, 3)) - change),
    }


def check(found, expected, valid):
    """Valid rows are the library's; of the others nothing is told."""
    np.testing.assert_array_equal(found.pop("valid"), valid)
    assert set(found) == set(expected)
    for name, values in found.items():
        np.testing.assert_allclose(values[valid], expected[name], atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(values[~valid], -1 if name == "class" else 0, name)


def test_signatures_name_shape_and_type_everything(answers):
    image = {"image": [[None, 6, 5, 3], "float32"]}
    prediction = {
        "logits": [[None, 4], "float32"],
        "probabilities": [[None, 4], "float32"],
        "class": [[None], "int32"],
    }
    explanation = prediction | {
        "attribution": [[None, 6, 5, 3], "float32"],
        "saliency": [[None, 6, 5], "float32"],
        "completeness_error": [[None], "float32"],
        "valid": [[None], "bool"],
    }
    labelled = image | {"label": [[None], "int32"], "baseline": [[None, 6, 5, 3], "float32"]}
    assert answers["found"]["signatures"] == {
        "serve": {"inputs": image, "outputs": prediction},
        "serving_default": {"inputs": image, "outputs": prediction},
        "attribute": {"inputs": image, "outputs": explanation},
        "attribute_label": {"inputs": labelled, "outputs": explanation},
        "serve_bytes": {"inputs": {"image_bytes": [[None], "string"]}, "outputs": prediction},
    }


def test_the_client_had_neither_keras_nor_this_project(answers):
    loaded = {name.split(".")[0] for name in answers["found"]["loaded"]}
    assert not loaded & {"keras", "tf_keras", "rar_tf", "tests"} and "tensorflow" in loaded


@pytest.mark.parametrize(("call", "rows"), [("one", 1), ("three", 3), ("all", 11)])
def test_attribution_is_the_library_s_for_any_batch(answers, classifier, given, call, rows):
    valid = ~np.isin(np.arange(rows), BAD_IMAGES)
    image = given["image"][:rows][valid]
    expected = library(classifier, image, np.full(len(image), -1), np.zeros_like(image))
    check(dict(answers[call]), expected, valid)


def test_an_empty_batch_has_an_empty_answer(answers):
    shapes = {name: value.shape for name, value in answers["empty"].items()}
    assert shapes.pop("attribution") == (0, 6, 5, 3) and shapes.pop("saliency") == (0, 6, 5)
    assert shapes.pop("logits") == shapes.pop("probabilities") == (0, 4)
    assert set(shapes) == {"class", "completeness_error", "valid"}
    assert set(shapes.values()) == {(0,)}


def test_given_labels_and_baselines_are_attributed(answers, classifier, given):
    bad = [*BAD_IMAGES, *BAD_LABELS, *BAD_BASELINES]
    valid = ~np.isin(np.arange(NUM_IMAGES), bad)
    arguments = [given[name][valid] for name in ("image", "label", "baseline")]
    check(dict(answers["labelled"]), library(classifier, *arguments), valid)


@pytest.mark.parametrize("call", ["served", "default"])
def test_serve_predicts_what_attribute_predicts(answers, call):
    assert set(answers[call]) == {"logits", "probabilities", "class"}
    for name, values in answers[call].items():
        np.testing.assert_allclose(values, answers["all"][name], atol=1e-6)


def test_encoded_images_are_read_as_a_folder_s(answers, classifier, given):
    read = [
        pixels.resize(decode_file(given[kind].tobytes(), kind).pixels, (6, 5))
        for kind in ("png", "jpeg")
    ]
    image = to_unit(np.stack(read))
    np.testing.assert_array_equal(image[0], tiny.images(1)[0])
    logits = classifier(image, training=False).numpy()
    np.testing.assert_allclose(answers["decoded"]["logits"], logits, atol=1e-5)
    np.testing.assert_array_equal(answers["decoded"]["class"], logits.argmax(-1))


def test_concurrent_calls_answer_as_serial_ones(answers):
    for k in range(32):
        for name, values in answers[f"thread{k}"].items():
            serial = answers["all"][name][: 1 + k % 11]
            np.testing.assert_allclose(values, serial, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("rank", r"image.* \[6,5,3\] is not compatible with expected shape \[\?,6,5,3\]"),
        ("channels", r"image.* \[11,6,5,1\] is not compatible with expected shape \[\?,6,5,3\]"),
        ("dtype", r"(?i)float64|double"),
        ("rows", r"InvalidArgumentError.*label and baseline must have one row for each image"),
        ("gif", r"InvalidArgumentError.*image_bytes must be encoded PNG or JPEG.*row\] \[1\]"),
        ("truncated", r"InvalidArgumentError.*PNG"),
    ],
)
def test_bad_requests_are_refused(answers, what, text):
    assert re.search(text, answers["found"]["errors"][what], re.DOTALL)


def saved_model_cli(*arguments):
    command = pathlib.Path(sys.executable).with_name("saved_model_cli")
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [command, *arguments], capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_saved_model_cli_shows_the_endpoints(exported):
    shown = saved_model_cli("show", "--dir", exported, "--all")
    for endpoint in ("serve", "serving_default", "attribute", "attribute_label", "serve_bytes"):
        assert f"signature_def['{endpoint}']" in shown
    assert re.search(r"inputs\['image'\].*\n *dtype: DT_FLOAT\n *shape: \(-1, 6, 5, 3\)", shown)


def test_saved_model_cli_runs_them(exported, classifier, given, tmp_path):
    image = given["image"][[0, 2, 3]]
    np.save(tmp_path / "image.npy", image)
    options = ["--tag_set", "serve", "--signature_def", "attribute", "--outdir", tmp_path]
    inputs = ["--inputs", f"image={tmp_path}/image.npy"]
    saved_model_cli("run", "--dir", exported, *options, *inputs)
    expected = library(classifier, image, np.full(3, -1), np.zeros_like(image))
    for name, values in expected.items():
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), values, atol=1e-5)


def test_probabilities_are_stripped_of_their_softmax_and_the_card_says_so(tmp_path):
    linear, model = tiny.classifier(), tiny.classifier(softmax=True)
    model.set_weights(linear.get_weights())
    found = tf.saved_model.load(
        export(model, tmp_path / "1", explainer=Explainer(steps=1))
    ).signatures["serve"]
    x = tiny.images(2)
    answer = found(image=tf.constant(x))
    np.testing.assert_allclose(answer["logits"], linear(x), atol=1e-5)
    np.testing.assert_allclose(answer["probabilities"], model(x), atol=1e-6)
    assert json.loads((tmp_path / "1/card.json").read_text())["outputs"] == "stripped_softmax"


def test_an_export_is_replaced_and_other_files_are_not(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "1")
    model = tiny.classifier(channels=2)
    assert export(model, folder, explainer=Explainer(steps=2)) == folder
    assert json.loads((folder / "card.json").read_text())["attribution"]["steps"] == 2
    assert "2 steps" in (folder / "MODEL_CARD.md").read_text()
    assert "serve_bytes" not in tf.saved_model.load(folder).signatures
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    with pytest.raises(ValueError, match="new, empty or an earlier export. Received: .*photos"):
        export(model, tmp_path / "photos")
    assert (tmp_path / "photos" / "cat.png").exists()


def test_a_model_of_any_size_is_refused(tmp_path):
    image = keras.Input((None, None, 3))
    logits = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(image))
    with pytest.raises(ValueError, match=r"one known shape. Received: input_shape=\(None, None, N"):
        export(keras.Model(image, logits), tmp_path / "1", provenance=Provenance())
    assert not [*tmp_path.iterdir()]
