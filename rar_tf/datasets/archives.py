"""TFDS builders for data sets that come as a few archives."""

import contextlib
import hashlib
import os
import pathlib
import zipfile
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from rar_tf.datasets import tfds_source
from rar_tf.files import DAMAGE, refuse_bombs


class ArchiveBuilder(tfds.core.GeneratorBasedBuilder):
    """A TFDS builder that reads archives, downloaded or placed by hand, without extracting.

    The digests of the archives are kept with the prepared copy, to
    detect a copy made from other archives.

    Args:
      archive_dir: folder of the archives; None to download them.
      **kwargs: keyword arguments of `tfds.core.GeneratorBasedBuilder`.
    """

    URLS: dict[str, str] = {}

    def __init__(self, *, archive_dir: str | os.PathLike | None = None, **kwargs: Any) -> None:
        self.archive_dir = None if archive_dir is None else pathlib.Path(archive_dir)
        super().__init__(**kwargs)

    def local_archives(self) -> dict[str, pathlib.Path]:
        """Paths of the archives in `archive_dir`.

        Raises:
          FileNotFoundError: if one is missing, with its address.
        """
        if self.archive_dir is None:
            raise ValueError("archive_dir must be a folder. Received: archive_dir=None")
        paths = {name: self.archive_dir / name for name in self.URLS}
        for name, path in paths.items():
            if not path.is_file():
                raise FileNotFoundError(
                    f"{path} is missing. Expected: the archive of {self.URLS[name]}"
                )
        return paths

    def archives(self, dl_manager: tfds.download.DownloadManager) -> dict[str, pathlib.Path]:
        """Paths of the archives; their digests are recorded in the data set's metadata."""
        if self.archive_dir is not None:
            paths = self.local_archives()
        else:
            paths = {
                name: pathlib.Path(path) for name, path in dl_manager.download(self.URLS).items()
            }
        self.info.metadata["sha256"] = {name: sha256(path) for name, path in paths.items()}
        return paths


def prepare(builder: ArchiveBuilder) -> str:
    """Prepare a data set unless it is prepared already.

    Returns:
      A sentence on the source.

    Raises:
      FileNotFoundError: if an archive is missing and cannot be downloaded.
      ValueError: if an archive is damaged or another one, or a prepared copy was made from
        archives other than those in the builder's `archive_dir`.
    """
    origin = f"the archives in manual_dir {builder.archive_dir}" if builder.archive_dir else "TFDS"
    if builder.is_prepared():
        recorded = builder.info.metadata["sha256"]
        if builder.archive_dir is not None:
            digests = {name: sha256(path) for name, path in builder.local_archives().items()}
            if digests != recorded:
                raise ValueError(
                    f"{builder.data_dir} must be a copy of {origin} (sha256 {digests}). "
                    f"Received: a copy of other archives (sha256 {recorded}). "
                    "Remove it or give another data_dir"
                )
        return f"prepared TFDS copy in {builder.data_dir}, made from archives of sha256 {recorded}"
    try:
        if builder.archive_dir is None:
            tfds_source.probe(next(iter(builder.URLS.values())))
        else:
            builder.local_archives()
        tfds_source.prepare(builder)
    except ConnectionError as error:
        raise FileNotFoundError(
            f"{builder.name} was not found. Options: (1) a network, or a copy that TFDS "
            f"prepared, in {builder.data_dir} ({error}); (2) manual_dir (--manual_dir=FOLDER) "
            f"holding {', '.join(builder.URLS)} from {', '.join(builder.URLS.values())}"
        ) from error
    return f"prepared in {builder.data_dir} from {origin}"


def sha256(path: pathlib.Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def refuse_damaged(path: pathlib.Path, url: str) -> Iterator[None]:
    """Convert every error of a damaged archive to one ValueError."""
    try:
        yield
    except DAMAGE as error:
        raise ValueError(
            f"{path} must be the complete archive of {url}. Received: "
            f"{path.stat().st_size} bytes, truncated or corrupted ({error})"
        ) from error


def zip_member(archive: zipfile.ZipFile, name: str, url: str) -> bytes:
    """Content of the archive member of this name; nothing is written to disk.

    Raises:
      ValueError: if there is no such member, with the address of the right archive.
    """
    try:
        refuse_bombs(archive)
        return archive.read(name)
    except KeyError as error:
        raise ValueError(
            f"{archive.filename} must hold {name}, as the archive of {url} does. "
            f"Received: {len(archive.namelist())} members, none of that name"
        ) from error
