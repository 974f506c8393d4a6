"""Loading of classifiers from `.keras` files, without executing code or unpickling."""

import pathlib
import zipfile

import keras

from rar_tf.files import refuse_bombs


def load_classifier(path: str | pathlib.Path) -> keras.Model:
    """Load a `.keras` file; code and pickles in it are refused.

    Args:
      path: path of the file.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is not a `.keras` file, is damaged, or holds code.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"model must be a .keras file. Received: {path}, which is not there"
        )
    if path.suffix != ".keras":
        raise ValueError(f"model must be a .keras file. Received: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_bombs(archive)
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras passes on any error of zip, JSON and HDF5.
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"model must be a complete .keras file that loads in safe mode. Received: {path}: "
            f"{type(error).__name__}: {reason}"
        ) from error
    if not isinstance(model, keras.Model):
        raise ValueError(f"{path} must hold a keras.Model. Received: {type(model).__name__}")
    return model
