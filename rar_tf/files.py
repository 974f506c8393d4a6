"""Atomic writing of files, and safe reading of untrusted ones."""

import os
import pathlib
import re
import tarfile
import zipfile
import zlib

import numpy as np

# Exceptions of Python's readers of zip, tar and gzip for damaged or foreign content.
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # encrypted, or compressed in an unknown way
    UnicodeError,
)
# Smaller members do no harm; images and weights do not expand to a hundred times their size.
_SMALL, _EXPANSION = 2**28, 100


def write_atomically(path: pathlib.Path, content: bytes) -> None:
    """Write a file atomically: it is whole or absent, also after a crash."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: pathlib.Path, names: str) -> None:
    """Remove temporary files of a killed process; no process may be writing there.

    Args:
      folder: the folder that holds them.
      names: regular expression of the files that were being written. Other files, also hidden and
        temporary ones, stay.
    """
    temporary = re.compile(rf"\.(?:{names})\.\d+\.tmp(?:\.keras)?")
    for path in folder.glob(".*.tmp*"):
        if temporary.fullmatch(path.name):
            path.unlink(missing_ok=True)


def refuse_bombs(archive: zipfile.ZipFile) -> None:
    """Raise ValueError if a member is large and expands to over a hundred times its size."""
    for member in archive.infolist():
        if member.file_size > max(_SMALL, _EXPANSION * member.compress_size):
            raise ValueError(
                f"members of {archive.filename} must expand to at most {_EXPANSION} times their "
                f"size or {_SMALL} bytes. Received: {member.filename!r}, "
                f"{member.compress_size} bytes that expand to {member.file_size}"
            )


def read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file; nothing in it is unpickled.

    Raises:
      ValueError: not an .npz file, damaged, holding Python objects, or expanding too far.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_bombs(archive)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # numpy passes on any error of its header parser.
        raise ValueError(
            f"{path} must be a complete .npz file of plain arrays. Received: "
            f"{type(error).__name__}: {error}"
        ) from error
    if others := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise ValueError(f"{path} must hold arrays only. Received: {', '.join(others)}")
    return arrays
