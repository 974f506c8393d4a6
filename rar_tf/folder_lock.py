"""Lock of a folder, so that one process at a time writes there."""

import contextlib
import fcntl
import os
import pathlib
import socket
from collections.abc import Iterator

from absl import logging

from rar_tf.files import remove_unfinished

LOCK_FILE = ".lock"


class FolderInUse(Exception):
    """Another holder of the lock uses the folder; the message names its process and host."""


@contextlib.contextmanager
def locked(folder: pathlib.Path, unfinished: str) -> Iterator[None]:
    """Context in which no other process uses the folder; the lock ends with this process.

    Where the file system has no locks, a warning is logged and the folder is not locked.

    Args:
      folder: an existing folder.
      unfinished: regular expression of files that are written there, whose temporary files, left
        by a killed process, are removed.

    Raises:
      FolderInUse: another context holds the lock, in this process or another.
      OSError: the lock file cannot be written.
    """
    path = folder / LOCK_FILE
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUse(path.read_text(encoding="utf-8") or "another process") from error
        except OSError as error:
            logging.warning(
                "%s cannot be locked (%s): do not start a second process there", folder, error
            )
        else:
            with contextlib.suppress(OSError):  # Best effort: leftover files do no harm.
                remove_unfinished(folder, unfinished)
        with contextlib.suppress(OSError):  # Best effort: only for messages.
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
