"""Reading through TensorFlow Datasets (TFDS) with a fast check of the network."""

import os
import sys
import urllib.error
import urllib.request

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import hashing

_PROBE_SECONDS = 5


def prepare(
    builder: tfds.core.DatasetBuilder, *, manual_dir: str | os.PathLike | None = None
) -> None:
    """Download and prepare a TFDS data set unless it is prepared already.

    TFDS retries an unreachable server ten times with growing pauses, over three minutes;
    one request beforehand detects it in seconds.

    Args:
      builder: builder of the data set.
      manual_dir: folder of files placed by hand, for builders that ask for one.

    Raises:
      ConnectionError: if the first address that TFDS would download cannot be reached, or
        the download fails.
    """
    if builder.is_prepared():
        return
    if manual_dir is None:
        for url in list(builder.url_infos or {})[:1]:
            probe(url)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()  # thousands of lines in a log
    config = tfds.download.DownloadConfig(try_download_gcs=False, manual_dir=manual_dir)
    try:
        builder.download_and_prepare(download_config=config)
    except (OSError, tfds.download.DownloadError) as error:
        raise ConnectionError(
            f"TFDS could not download or prepare {builder.name}: {error}"
        ) from error


def probe(url: str) -> None:
    """Raise ConnectionError unless the server of `url` answers, with any status."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_PROBE_SECONDS):
            pass
    except urllib.error.HTTPError:
        pass
    except OSError as error:
        raise ConnectionError(f"{url} cannot be reached: {error}") from error


def read_in_file_order(builder: tfds.core.DatasetBuilder, split: str) -> dict[str, np.ndarray]:
    """All examples of a prepared split in the order of the original files.

    The builder must number the examples 0, 1, 2, ... TFDS stores them sorted by a hash of (split
    name, key). Sorting the numbers in the same way gives the number of each stored example, so
    that the original order, and with it "the last 5,000 training images", is the same from every
    source.

    Returns:
      One array [N, ...] per feature, in the order of the original files.
    """
    stored = builder.as_dataset(
        split=split,
        batch_size=-1,
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )
    hasher = hashing.Hasher(split)
    count = builder.info.splits[split].num_examples
    numbers = np.array(sorted(range(count), key=hasher.hash_key))
    position = np.argsort(numbers)
    return {feature: values.numpy()[position] for feature, values in stored.items()}
