"""Whether a long run keeps its memory: trains for a while, validating and saving all along.

    python -m benchmarks.soak --minutes=30

Trains the small CNN by `ig_norm` on made-up images of Fashion-MNIST's size, with a validation and
a checkpoint every 200 steps, and notes the resident memory at every batch. Prints the slope of the
memory against the steps after the first 600, with a 95% interval from means over 200 steps, and the
files that are left. Exits 1 if memory grows (the whole interval is above --most MB per 1000 steps)
or more than --keep_checkpoints files are left.
"""

import os
import pathlib
import signal
import sys
import tempfile
import threading
import time
from typing import NamedTuple

import numpy as np
import scipy.stats
from absl import app, flags, logging

from rar_tf.datasets import ImageData, Split
from rar_tf.presets import resolve
from rar_tf.runs import Interrupted, Workdir, train

FLAGS = flags.FLAGS
EVERY, WARM_UP = 200, 600

flags.DEFINE_float("minutes", 30.0, "How long to train.")
flags.DEFINE_integer("keep_checkpoints", 2, "As train.main.")
flags.DEFINE_float("most", 1.0, "Growth that is let pass, MB per 1000 steps.")


class Soaked(NamedTuple):
    """What a run left: resident MB at each step, checkpoint files, seconds."""

    megabytes: np.ndarray
    files: list[str]
    seconds: float


class Watched:
    """Examples that note the memory of this process whenever a batch is drawn from them."""

    def __init__(self, split: Split):
        self._split = split
        self.megabytes: list[float] = []

    def __len__(self):
        return len(self._split)

    def read(self, indices):
        """As `Split.read`."""
        self.megabytes.append(resident_megabytes())
        return self._split.read(indices)


def resident_megabytes() -> float:
    """Of this process, now (Linux)."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def soak(
    seconds: float,
    workdir: Workdir,
    *,
    keep_checkpoints: int = 2,
    every: int = EVERY,
    max_steps: int = 10**8,
) -> Soaked:
    """Trains until `max_steps`, or until SIGTERM, from a timer, stops it as it would any run."""
    random = np.random.default_rng(0)

    def split(count):
        labels = np.arange(count, dtype=np.int32) % 10
        images = random.integers(0, 256, (count, 28, 28, 1)) // 2 + 12 * labels[:, None, None, None]
        return Split(images.astype(np.uint8), labels)

    watched = Watched(split(2000))
    names = tuple(map(str, range(10)))
    data = ImageData("soak", 10, (28, 28, 1), names, "made up", watched, split(64), None)
    preset = resolve(
        "fashion_mnist",
        "ig_norm",
        init_from="scratch",
        batch_size=16,
        attack_steps=1,
        ig_steps=1,
        max_steps=max_steps,
        lr_schedule="constant",
        validate_every=every,
        checkpoint_every=every,
    )
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
    started = time.monotonic()
    timer.start()
    try:
        train(preset, workdir, data, keep_checkpoints=keep_checkpoints)
    except Interrupted:
        pass
    finally:
        timer.cancel()
    files = sorted(path.name for path in workdir.checkpoints.iterdir())
    return Soaked(np.array(watched.megabytes), files, time.monotonic() - started)


def slope(megabytes: np.ndarray, every: int = EVERY) -> tuple[float, float]:
    """Slope and half its 95% interval, MB per 1000 steps, of means over `every` steps.

    Neighbouring steps are no independent measurements; means over a whole period between two
    validations nearly are.

    Raises:
      ValueError: fewer than three such means.
    """
    blocks = len(megabytes) // every
    if blocks < 3:
        raise ValueError(
            f"a slope needs at least {3 * every} steps after the first. "
            f"Received: {len(megabytes)}; give it more --minutes"
        )
    means = megabytes[: blocks * every].reshape(blocks, every).mean(1)
    fit = scipy.stats.linregress(np.arange(blocks) * every / 1000, means)
    return fit.slope, fit.stderr * scipy.stats.t.ppf(0.975, blocks - 2)


def main(argv):
    """Exit status 1 where memory grows or files pile up."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        found = soak(
            60 * FLAGS.minutes,
            Workdir(pathlib.Path(folder)),
            keep_checkpoints=FLAGS.keep_checkpoints,
        )
    steady = found.megabytes[WARM_UP:]
    try:
        rise, half = slope(steady)
    except ValueError as error:
        sys.exit(f"error: {error}")
    steps = int(found.files[-1][5:13])
    print(
        f"{steps} steps in {found.seconds / 60:.1f} minutes, a validation and a checkpoint every "
        f"{EVERY}\n"
        f"resident memory: {steady[0]:.1f} MB at step {WARM_UP}, {steady[-1]:.1f} MB at the end, "
        f"{steady.max():.1f} MB at most\n"
        f"slope: {rise:+.3f} MB per 1000 steps, "
        f"95% interval [{rise - half:+.3f}, {rise + half:+.3f}]\n"
        f"checkpoint files: {len(found.files)} ({', '.join(found.files)})"
    )
    if rise - half > FLAGS.most or len(found.files) > FLAGS.keep_checkpoints:
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
