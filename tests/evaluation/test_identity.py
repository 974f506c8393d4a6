"""Whose rows an output folder holds: model, images, labels, settings and one process at a time."""

import dataclasses
import importlib
import json
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from rar_tf import folder_lock
from rar_tf.attack import Ranking
from rar_tf.attribution import Explainer
from rar_tf.evaluation import EvaluationSet, Report, evaluate
from rar_tf.evaluation.architecture import architecture_digest
from rar_tf.evaluation.identity import code_digest, differences, prefix_digests, same_probe
from rar_tf.models import load_classifier
from tests.support.paths import ROOT
from tests.support.tiny_evaluation import quick_protocol

SHAPE = (6, 6, 1)
RANDOM = np.random.default_rng(3)
IMAGES = RANDOM.random((12, *SHAPE), np.float32)
PROTOCOL = dataclasses.replace(quick_protocol(), k=5, attack_k=5, attack_steps=1)


def model(activation="relu", scale=1.0, softmax=False, seed=0):
    """Functional with a skip connection; its weights depend on the seed alone."""
    layers = keras.layers
    x = keras.Input(SHAPE)
    y = layers.Conv2D(4, 3, padding="same", activation=activation)(layers.Rescaling(scale)(x))
    y = layers.Add()([y, layers.Conv2D(4, 1)(y)])
    y = layers.Dense(3)(layers.Flatten()(y))
    network = keras.Model(x, layers.Softmax()(y) if softmax else y)
    return seeded(network, seed)


def seeded(network, seed=0):
    random = np.random.default_rng(seed)
    network.set_weights([0.4 * random.standard_normal(w.shape) for w in network.get_weights()])
    return network


class Hidden(keras.Model):
    """Preprocessing and activation in its code, of which Keras knows nothing."""

    def __init__(self, scale=1.0, activation=keras.ops.relu):
        super().__init__()
        self.scale, self.activation = scale, activation
        self.inner, self.outer = keras.layers.Dense(8), keras.layers.Dense(3)

    def get_config(self):
        return {}

    def call(self, x):
        x = self.scale * keras.ops.reshape(x, (-1, 36))
        return self.outer(self.activation(self.inner(x)))


def hidden(**settings):
    network = Hidden(**settings)
    network(IMAGES)
    return seeded(network)


LABELS = np.argmax(model()(IMAGES), -1).astype("int32")


def run(output, network=None, data=(IMAGES, LABELS), **options):
    settings = {"protocol": PROTOCOL, "attack": "original", "accuracy_examples": 0}
    settings |= {"strong_pgd": False, "batch_size": 12}
    return evaluate(network or model(), data, output=output, **settings | options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    run(folder)
    return folder


def contents(folder):
    """Bytes of the files of an evaluation, by path."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(folder): path.read_bytes() for path in files}


def refused(folder, message, *args, **options):
    before = contents(folder)
    with pytest.raises(ValueError, match=message):
        run(folder, *args, **options)
    assert contents(folder) == before


def test_another_model_of_the_same_weights_is_refused(finished):
    for other, difference in (
        (model("tanh"), "architecture"),
        (model(scale=0.5), "architecture"),
        (model(softmax=True), "architecture, outputs"),
        (model(seed=1), "weights"),
    ):
        refused(finished, f"which holds one with another {difference}$", other)


def test_other_outputs_of_the_same_model_are_refused(tmp_path):
    probabilities = model(softmax=True)
    run(tmp_path, probabilities, outputs="logits")
    refused(tmp_path, "which holds one with another outputs$", probabilities)


def test_preprocessing_and_activation_inside_a_class_are_refused(tmp_path):
    data = (IMAGES, np.argmax(hidden()(IMAGES), -1).astype("int32"))
    run(tmp_path, hidden(), data)
    for other in (hidden(scale=1.01), hidden(activation=keras.ops.tanh)):
        told = r"another preprocessing or activation \(its logits of the first images differ\)$"
        refused(tmp_path, told, other, data)
    run(tmp_path, hidden(), data)


def test_other_images_and_labels_are_refused(finished):
    images, labels = IMAGES.copy(), LABELS.copy()
    images[11, 0, 0, 0] += 1e-3  # none of the images whose logits are compared
    labels[11] = (labels[11] + 1) % 3
    refused(finished, "which holds one with another images$", data=(images, LABELS))
    refused(finished, "which holds one with another labels$", data=(IMAGES, labels))
    refused(finished, "which holds one with another number of images$", num_examples=11)


def test_code_of_a_custom_function_is_part_of_the_identity(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "custom_map_of_test.py"
    text = (
        "import tensorflow as tf\n"
        "def gradient(classifier, x, y):\n"
        "    with tf.GradientTape() as tape:\n"
        "        tape.watch(x)\n"
        "        value = {factor} * tf.gather(classifier(x), y, batch_dims=1)\n"
        "    return tape.gradient(value, x)\n"
    )

    def custom(factor):
        path.write_text(text.format(factor=factor))
        sys.modules.pop("custom_map_of_test", None)
        module = importlib.import_module("custom_map_of_test")
        return dataclasses.replace(PROTOCOL, explainer=Explainer(module.gradient))

    run(tmp_path / "out", protocol=custom(1))
    refused(tmp_path / "out", "another code of custom functions$", protocol=custom(0.25))
    run(tmp_path / "out", protocol=custom(1))


def uniform(classifier, x, classes):
    return x


def test_code_of_rankings_and_refinements_is_part_of_the_identity():
    attack = PROTOCOL.attack("worst_case")
    assert code_digest(PROTOCOL, attack) is None
    custom = Explainer(uniform)
    local = dataclasses.replace(attack.refinements[0], explainer=custom)
    for changed in (
        dataclasses.replace(attack, ranking=Ranking(custom)),
        dataclasses.replace(attack, refinements=(local,)),
    ):
        assert code_digest(PROTOCOL, changed) is not None


def test_rows_without_settings_are_refused(finished, tmp_path):
    for number, kept in enumerate(("examples.csv", "pictures", "report.json", "accuracy.json")):
        folder = tmp_path / str(number)
        shutil.copytree(finished, folder)
        for path in folder.iterdir():
            if path.name != kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        told = f"rows without settings cannot be attributed.*with {kept} and no settings.json"
        refused(folder, told)


def test_damaged_and_former_settings_are_refused(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    settings = folder / "settings.json"
    whole = settings.read_text()
    for text in (whole[: len(whole) // 2], "", "[]", "null"):
        settings.write_text(text)
        refused(folder, "settings.json must be a complete settings.json .*choose a new output")
    former = json.loads(whole)
    for measurement in (None, 1, 99):
        former["measurement"] = measurement
        settings.write_text(json.dumps(former))
        refused(folder, "settings.json, of version .* not comparable; choose a new folder")
    del former["measurement"]
    settings.write_text(json.dumps(former))
    refused(folder, "settings.json, of version 1, ")
    settings.write_text(whole)
    run(folder)


def test_accuracies_of_another_model_or_other_images_are_not_taken(tmp_path):
    """Of the twelve images, the first eight are attacked, all count for the accuracy."""
    options = {"num_examples": 8, "accuracy_examples": None}
    one, other = tmp_path / "one", tmp_path / "other"
    assert run(one, **options).natural_accuracy.value == 1
    run(other, model(seed=1), **options)
    original = (one / "accuracy.json").read_text()
    shutil.copy(other / "accuracy.json", one / "accuracy.json")
    refused(one, "which holds one with another weights", **options)
    (one / "accuracy.json").write_text(original[:-20])
    refused(one, "accuracy.json must be a complete accuracy.json", **options)
    (one / "accuracy.json").write_text(original)
    labels = LABELS.copy()
    labels[8:] = (labels[8:] + 1) % 3
    assert run(one, data=(IMAGES, labels), **options).natural_accuracy.value == pytest.approx(
        8 / 12
    )


def test_a_copy_at_another_place_goes_on(finished, tmp_path):
    """Another path and another file of the model, saved and loaded, with other names of layers."""
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    rows = (folder / "examples.csv").read_text()
    assert len(rows.splitlines()) == 13
    (folder / "examples.csv").write_text("".join(rows.splitlines(keepends=True)[:8]))
    model().save(tmp_path / "renamed.keras")
    loaded = load_classifier(tmp_path / "renamed.keras")
    again = run(folder, loaded, model_info={"file": "/elsewhere/renamed.keras"})
    assert again.counts["attacked"] == 12
    assert (folder / "examples.csv").read_text().splitlines()[:8] == rows.splitlines()[:8]


SCRIPT = """
import keras, sys
from tests.evaluation.test_identity import model, nested, unbuilt
from rar_tf.evaluation.architecture import architecture_digest
for number in range(int(sys.argv[1])):
    keras.layers.Conv2D(1, 1), keras.layers.Dense(2), keras.ops.add(keras.Input((1,)), 1)
print(*(architecture_digest(make()) for make in (model, nested, unbuilt)))
"""


def nested():
    layers = keras.layers
    x = keras.Input(SHAPE)
    inner = keras.Sequential([layers.Conv2D(2, 3, activation="relu"), layers.BatchNormalization()])
    y = inner(x)
    shared = layers.Conv2D(2, 1)
    y = layers.Concatenate()([shared(y), shared(2.0 * y), inner(x + 1.0)])
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(y)))


def unbuilt():
    network = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
    network(IMAGES[:8])
    return network


def test_the_digest_does_not_depend_on_process_names_or_files(tmp_path):
    """Keras numbers its layers by process: 7 others before change every name."""
    digests = [architecture_digest(make()) for make in (model, nested, unbuilt)]
    assert len(set(digests)) == 3
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "7"],
        capture_output=True, text=True, cwd=ROOT, env=environment, check=True,
    )  # fmt: skip
    assert done.stdout.split() == digests
    for make, digest in zip((model, nested, unbuilt), digests, strict=True):
        make().save(tmp_path / "model.keras")
        assert architecture_digest(load_classifier(tmp_path / "model.keras")) == digest


def test_the_digest_sees_wiring_and_settings():
    """Two models of the same layers in the same order, wired differently."""

    def wired(first):
        x = keras.Input(SHAPE)
        a = keras.layers.Conv2D(4, 1)(x)
        b = keras.layers.Conv2D(4, 1)(a)
        y = keras.layers.Subtract()([a, b] if first else [b, a])
        return keras.Model(x, keras.layers.Dense(3)(keras.layers.Flatten()(y)))

    assert architecture_digest(wired(True)) == architecture_digest(wired(True))
    assert architecture_digest(wired(True)) != architecture_digest(wired(False))
    assert architecture_digest(model()) != architecture_digest(model("leaky_relu"))
    # What only training uses is no part of it.
    compiled = model()
    compiled.trainable = False
    compiled.compile("sgd", "mse")
    assert architecture_digest(compiled) == architecture_digest(model())


def test_logits_of_another_machine_pass_and_those_of_another_network_do_not():
    logits = [[4.0, -2.0, 1e-5], [0.5, 0.25, None]]
    assert same_probe(logits, [[4.003, -2.001, 9e-4], [0.501, 0.25, None]])
    assert not same_probe(logits, [[4.01, -2.0, 1e-5], [0.5, 0.25, None]])
    assert not same_probe(logits, [[4.0, -2.0, 1e-5], [0.5, 0.25, 0.0]])
    assert not same_probe(logits, logits[:1]) and not same_probe(logits, "logits")
    one = {"weights": "a", "logits": logits}
    assert differences(one, dict(one)) == [] and differences(one, one | {"weights": "b"})


def test_prefixes_tell_sets_of_different_sizes_apart():
    """Digests are of the first 1, 2, 4, ... and of all."""
    every = prefix_digests(EvaluationSet((IMAGES, LABELS)))
    first = prefix_digests(EvaluationSet((IMAGES, LABELS), num_examples=5))
    assert list(every) == ["1", "2", "4", "8", "12"] and list(first) == ["1", "2", "4", "5"]
    assert {n: every[n] for n in ("1", "2", "4")} == {n: first[n] for n in ("1", "2", "4")}
    labels = LABELS.copy()
    labels[3] = (labels[3] + 1) % 3
    other = prefix_digests(EvaluationSet((IMAGES, labels)))
    assert [n for n in every if every[n] != other[n]] == ["4", "8", "12"]


def test_a_folder_in_use_is_refused_until_it_is_free(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    with folder_lock.locked(folder, "none"):
        told = rf"output .*out is in use by process {os.getpid()} on .*; wait for it to end, stop"
        refused(folder, told)
    run(folder)


HOLDER = """
import pathlib, sys
from rar_tf import folder_lock
from rar_tf.attack import Ranking
from rar_tf.attribution import Explainer
with folder_lock.locked(pathlib.Path(sys.argv[1]), "none"):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_folder_in_use_by_another_process_is_refused(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as holder:
        assert holder.stdout.readline() == b"locked\n"
        refused(tmp_path, rf"is in use by process {holder.pid} on ")
    run(tmp_path)


def test_the_lock_is_held_to_the_end_and_after_an_error_it_is_free(tmp_path, monkeypatch):
    """Another context asks for the lock while the last file is written."""
    save = Report.save

    def save_locked(self, path):
        with pytest.raises(folder_lock.FolderInUse):
            with folder_lock.locked(tmp_path, "none"):
                pass
        raise RuntimeError("stopped")

    monkeypatch.setattr(Report, "save", save_locked)
    with pytest.raises(RuntimeError, match="stopped"):
        run(tmp_path)
    monkeypatch.setattr(Report, "save", save)
    assert run(tmp_path).counts["attacked"] == 12


def test_only_temporary_files_of_an_evaluation_are_removed(tmp_path):
    others = ("notes.txt", ".notes.json.7.tmp", ".env.tmp", "settings.json.bak")
    for name in (*others, ".settings.json.7.tmp", ".report.json.8.tmp"):
        (tmp_path / name).write_text("kept")
    run(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    made = {"settings.json", "examples.csv", "accuracy.json", "report.json", "pictures", ".lock"}
    assert names == made | set(others)
