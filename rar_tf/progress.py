"""Progress: a bar on a terminal, else a log line from time to time."""

import sys
import time
from collections.abc import Callable, Mapping

from absl import logging
from tqdm import tqdm

_LOG_SECONDS = 30.0  # between two lines where there is no terminal


class Progress:
    """Counts finished units of a task; shows their rate and the time left."""

    def __init__(
        self,
        task: str,
        total: int,
        done: int = 0,
        *,
        unit: str = "image",
        smoothing: float = 0.3,
    ):
        """
        Args:
          task: description of the task, first in the bar and in each line.
          total: number of units in all.
          done: number of units that an earlier run has finished.
          unit: name of a unit, "image" or "step".
          smoothing: weight of the last units in the bar's rate, see `tqdm`.
        """  # fmt: skip
        self._task, self._total, self._first, self._done = task, total, done, done
        self._unit = unit
        self._started = self._logged = time.monotonic()
        self._bar: tqdm | None = None
        if sys.stderr.isatty() and logging.level_info():
            self._bar = tqdm(total=total, initial=done, desc=task, unit=unit, smoothing=smoothing)

    def advance(
        self, units: int, values: Callable[[float], Mapping[str, str]] | None = None
    ) -> None:
        """Count further finished units.

        Args:
          units: number of the units.
          values: units per second -> values by name, to show beside the count in place of the
            rate.
        """
        self._done += units
        if self._bar is not None:
            if values is not None:
                self._bar.set_postfix(values(self._rate()), refresh=False)
            self._bar.update(units)
            return
        now = time.monotonic()
        if now - self._logged < _LOG_SECONDS and self._done < self._total:
            return
        self._logged = now
        rate = self._rate()
        if values is None:
            count = f"{self._done} of {self._total} {self._unit}s, {rate:.2f} {self._unit}s/s"
        else:
            shown = ", ".join(f"{name} {value}" for name, value in values(rate).items())
            count = f"{self._unit} {self._done} of {self._total}, {shown}"
        left = (self._total - self._done) / max(rate, 1e-9)
        logging.info("%s: %s, %.0f s left", self._task, count, left)

    def close(self) -> None:
        """Leave the terminal clean."""
        if self._bar is not None:
            self._bar.close()

    def _rate(self) -> float:
        """Units per second of this run."""
        return (self._done - self._first) / max(time.monotonic() - self._started, 1e-9)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
