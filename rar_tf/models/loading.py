"""Loading of classifiers from files, without executing code or unpickling."""

import importlib.util
import pathlib
import re
import types
import zipfile
from collections.abc import Iterable

import keras

from rar_tf.files import refuse_bombs
from rar_tf.naming import import_module

# Classes of tf_keras that stand for operations on symbolic tensors.
_OF_TF_KERAS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod")
_SUFFIXES = (".keras", ".h5", ".hdf5")


def is_model_file(name: str) -> bool:
    """Whether a name ends as that of a file that `load_classifier` reads."""
    return name.endswith(_SUFFIXES)


def load_classifier(path: str | pathlib.Path) -> keras.Model:
    """Load a `.keras` file, or a legacy `.h5` file; code and pickles in it are refused.

    Custom classes must be registered or imported before, see `import_modules`.

    Args:
      path: path of the file.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is a folder or another file, is damaged, holds code, or needs a class that
        is not known; the message says how to convert or import it.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise ValueError(_of_folder(path))
    if not path.is_file():
        raise FileNotFoundError(
            f"model must be a .keras file. Received: {path}, which is not there"
        )
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"model must be a .keras or .h5 file. Received: {path}")
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                refuse_bombs(archive)
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras passes on any error of zip, JSON and HDF5.
        raise ValueError(_of_error(path, error)) from error
    if not isinstance(model, keras.Model):
        raise ValueError(f"{path} must hold a keras.Model. Received: {type(model).__name__}")
    return model


def _of_folder(path: pathlib.Path) -> str:
    """Error for a folder: what it holds, and the line that converts it."""
    if (path / "keras_metadata.pb").is_file():
        return (
            f"model must be a .keras or .h5 file. Received: {path}, a SavedModel of tf_keras; "
            f"convert it by: {_convert(path)}"
        )
    if (path / "saved_model.pb").is_file():
        return (
            f"model must be a .keras or .h5 file. Received: {path}, an exported SavedModel, which "
            "holds a graph without Keras layers and cannot be converted; save the Keras model that "
            "it was exported from by model.save('model.keras')"
        )
    if (path / "model.keras").is_file():
        return (
            f"model must be a .keras file. Received: {path}, a folder; its model is "
            f"{path / 'model.keras'}"
        )
    return f"model must be a .keras file. Received: {path}, a folder without a model"


def _convert(path: pathlib.Path) -> str:
    target = path.with_name(f"{path.stem}.h5")
    return (
        'pip install tf_keras && python -c "import tf_keras; '
        f'tf_keras.models.load_model({str(path)!r}, compile=False).save({str(target)!r})"'
    )


def _of_error(path: pathlib.Path, error: Exception) -> str:
    """Error of Keras in one sentence, with the class that is missing."""
    text = " ".join(str(error).split())
    missing = _missing_class(text)
    if missing is not None:
        name, module = missing
        package = module.split(".")[0]
        if package in ("keras_hub", "keras_cv", "keras_nlp"):
            if importlib.util.find_spec(package) is None:
                way = f"install it (pip install {package.replace('_', '-')}) and import it"
            else:
                way = "import it"
            return (
                f"model must have only known classes. Received: {path}, which needs {name!r} of "
                f"{package}; {way} (--import={package})"
            )
        if name in _OF_TF_KERAS:
            return (
                f"model must be a file of Keras 3. Received: {path}, of tf_keras, whose operations "
                f"outside of layers ({name}) Keras 3 does not read; build the model again with "
                "layers in their place, load the weights, and save it as .keras"
            )
        if package in ("keras", "tf_keras", "tensorflow"):
            return (
                f"model must be a file of Keras 3. Received: {path}, of tf_keras, whose class "
                f"{name!r} Keras 3 does not read; convert it by: {_convert(path)}"
            )
        given = module or "MODULE"
        return (
            f"model must have only known classes. Received: {path}, which needs the custom class "
            f"{name!r}; import the module that defines and registers it (--import={given})"
        )
    return (
        f"model must be a complete {path.suffix} file that loads in safe mode. Received: {path}: "
        f"{type(error).__name__}: {text[:600]}"
    )


def _missing_class(text: str) -> tuple[str, str] | None:
    """(name, module) of the class or function that an error of Keras names; "" if unknown."""
    parent = re.search(
        r"Could not deserialize \w+ '([^']+)' because its parent module ([\w.]+) cannot", text
    )
    if parent is not None:
        return parent[1], parent[2]
    match = re.search(r"Could not locate (?:class|function) '([^']+)'", text) or re.search(
        r"Unknown (?:layer|object|[\w ]*?): '?([\w>.]+)'?\.", text
    )
    if match is None:
        return None
    module = re.match(r".*?Full object config: \{'module': '([\w.]+)'", text[match.end() :])
    is_module = module is not None and module[1] not in ("builtins", "__main__")
    return match[1].rpartition(">")[2], module[1] if module is not None and is_module else ""


def import_modules(names: Iterable[str]) -> None:
    """Import modules, and make their layers, models and functions known to Keras by name.

    Classes that a module has registered itself, by `keras.saving.register_keras_serializable`,
    keep their registered names.

    Args:
      names: names of modules that Python finds, such as files of the current directory.

    Raises:
      ValueError: no such module, or one that fails.
    """
    known = keras.saving.get_custom_objects()
    for name in names:
        module = import_module("import", name)
        for key, value in vars(module).items():
            is_part = isinstance(value, types.FunctionType) or (
                isinstance(value, type) and issubclass(value, keras.Layer)
            )
            if is_part and getattr(value, "__module__", None) == module.__name__:
                known.setdefault(key, value)
