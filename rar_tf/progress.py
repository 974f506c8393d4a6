"""Progress of long work: a bar on a terminal, else a log line now and then."""

import sys
import time

from absl import logging
from tqdm import tqdm

_LOG_SECONDS = 30.0


class Progress:
    """Counts images; says how many a second and how long the rest takes."""

    def __init__(self, what: str, total: int, done: int = 0):
        """
        Args:
          what: is being done, for the reader.
          total: images in all.
          done: images that an earlier run has done.
        """  # fmt: skip
        self._what, self._total, self._first, self._done = what, total, done, done
        self._started = self._logged = time.monotonic()
        self._bar = None
        if sys.stderr.isatty() and logging.level_info():
            self._bar = tqdm(total=total, initial=done, desc=what, unit="image")

    def advance(self, images: int) -> None:
        """Says that so many more images are done."""
        self._done += images
        if self._bar is not None:
            self._bar.update(images)
            return
        now = time.monotonic()
        if now - self._logged < _LOG_SECONDS and self._done < self._total:
            return
        self._logged = now
        rate = (self._done - self._first) / max(now - self._started, 1e-9)
        logging.info(
            "%s: %d of %d images, %.2f images/s, %.0f s left",
            self._what,
            self._done,
            self._total,
            rate,
            (self._total - self._done) / max(rate, 1e-9),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()
