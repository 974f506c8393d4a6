"""Files and folders that hold models, and what is said of those that cannot be loaded."""

import importlib
import sys
import textwrap
import zipfile

import h5py
import keras
import numpy as np
import pytest

from rar_tf.models import import_modules, load_classifier

L = keras.layers
MODULE = """
import keras

@keras.saving.register_keras_serializable("shop")
class Registered(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs

class Plain(keras.layers.Layer):
    def call(self, inputs):
        return 3 * inputs

def cube(inputs):
    return inputs ** 3

class Net(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(self.flatten(inputs))
"""
X = np.random.default_rng(0).random((2, 4, 4, 1)).astype("float32")


def model(*layers):
    return keras.Sequential([keras.Input((4, 4, 1)), *layers, L.Flatten(), L.Dense(3)])


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A module with custom classes in the working directory, unknown to Keras afterwards."""
    (tmp_path / "user_code.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("user_code")
    forget()


def forget():
    sys.modules.pop("user_code", None)
    known = keras.saving.get_custom_objects()
    for name in [name for name in known if name in ("Plain", "Net", "cube", "shop>Registered")]:
        del known[name]


MADE = {
    "Registered": lambda code: model(code.Registered()),
    "Plain": lambda code: model(code.Plain()),
    "cube": lambda code: model(L.Activation(code.cube)),
    "Net": lambda code: code.Net(),
}


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", MADE)
def test_custom_classes_load_after_the_import_of_their_module(name, suffix, code, tmp_path):
    made = MADE[name](code)
    expected = made(X)
    if name == "Net" and suffix == "h5":
        pytest.skip("Keras saves no custom model as HDF5")
    made.save(tmp_path / f"model.{suffix}")
    forget()
    with pytest.raises(ValueError, match=rf"needs the custom class '{name}'.*--import="):
        load_classifier(tmp_path / f"model.{suffix}")
    import_modules(["user_code"])
    np.testing.assert_allclose(load_classifier(tmp_path / f"model.{suffix}")(X), expected)


def test_the_error_names_the_module(code, tmp_path):
    deep = keras.Sequential([keras.Input((4, 4, 1)), *(L.Conv2D(1, 1) for _ in range(40))])
    keras.Sequential([deep, code.Plain(), L.Flatten(), L.Dense(3)]).save(tmp_path / "deep.keras")
    forget()
    with pytest.raises(ValueError, match=r"class 'Plain'; .* \(--import=user_code\)$"):
        load_classifier(tmp_path / "deep.keras")


def test_a_legacy_file_is_the_same_model(tmp_path):
    made = model(L.Conv2D(2, 3, activation="relu"))
    made.save(tmp_path / "model.h5")
    np.testing.assert_array_equal(load_classifier(tmp_path / "model.h5")(X), made(X))


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_code_in_a_file_is_refused(suffix, tmp_path):
    model(L.Lambda(lambda v: 2 * v)).save(tmp_path / f"model.{suffix}")
    with pytest.raises(ValueError, match=rf"complete .{suffix} file that loads in safe mode"):
        load_classifier(tmp_path / f"model.{suffix}")


def rewritten(path, old, new):
    """A legacy file whose configuration has other text."""
    with h5py.File(path, "r+") as file:
        config = file.attrs["model_config"]
        file.attrs["model_config"] = config.replace(old, new)


def test_a_file_of_tf_keras_that_keras_3_cannot_read_names_the_line(tmp_path):
    model(L.ReLU(name="unusual")).save(tmp_path / "old.h5")
    rewritten(tmp_path / "old.h5", '"class_name": "ReLU"', '"class_name": "TFOpLambda"')
    with pytest.raises(
        ValueError, match=r"of tf_keras, whose operations outside of layers \(TFOpLambda\)"
    ):
        load_classifier(tmp_path / "old.h5")


def test_folders_are_named_for_what_they_are(tmp_path):
    exported = tmp_path / "exported"
    model().export(exported, verbose=False)
    with pytest.raises(
        ValueError, match="an exported SavedModel, which holds a graph .* model.save"
    ):
        load_classifier(exported)
    (exported / "keras_metadata.pb").touch()
    line = r'python -c "import tf_keras; tf_keras.models.load_model\(.*exported.*\.h5.*"'
    with pytest.raises(ValueError, match=f"a SavedModel of tf_keras; convert it by: .*{line}"):
        load_classifier(exported)
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(ValueError, match="run, a folder without a model"):
        load_classifier(run)
    model().save(run / "model.keras")
    with pytest.raises(ValueError, match="a folder; its model is .*run/model.keras"):
        load_classifier(run)


def test_a_model_of_keras_hub_names_what_to_install(tmp_path):
    model(L.ReLU()).save(tmp_path / "hub.keras")
    with zipfile.ZipFile(tmp_path / "hub.keras") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    text = files["config.json"].decode()
    files["config.json"] = (
        text.replace('"module": "keras.layers", "class_name": "ReLU"',
                     '"module": "keras_hub.src.layers", "class_name": "HubReLU"').encode()
    )  # fmt: skip
    with zipfile.ZipFile(tmp_path / "hub.keras", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(
        ValueError, match=r"'HubReLU' of keras_hub; install it \(pip install keras-hub"
    ):
        load_classifier(tmp_path / "hub.keras")


def test_modules_that_cannot_be_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "broken_code.py").write_text("1 / 0\n")
    with pytest.raises(ValueError, match="import=broken_code: importing failed: ZeroDivisionError"):
        import_modules(["broken_code"])
    with pytest.raises(ValueError, match="must name a module that Python finds.*'broken_cod'"):
        import_modules(["broken_cod"])
