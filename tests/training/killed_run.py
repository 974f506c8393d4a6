"""A small run in a process of its own, killed where it is told: `killed_run.py ROOT WHERE`.

WHERE: "step:N" (SIGKILL after step N), "write:N" (SIGKILL inside the N-th checkpoint write),
"term:N" (SIGTERM during step N), or "none". Prints the digest of the final weights.
"""

import hashlib
import os
import pathlib
import signal
import sys

import numpy as np

from rar_tf.datasets import ImageData, Split
from rar_tf.training import Interrupted, Workdir, callbacks, resolve, train, workdir

MAX_STEPS = 9


def tiny_data():
    random = np.random.default_rng(0)

    def split(count):
        labels = (np.arange(count) % 3).astype("int32")
        images = random.integers(0, 100, (count, 8, 8, 1)) + 50 * labels[:, None, None, None]
        return Split(images.astype("uint8"), labels)

    return ImageData("tiny", 3, (8, 8, 1), ("a", "b", "c"), "numpy", split(30), split(6), None)


def preset():
    return resolve(
        "fashion_mnist",
        "ig_norm",
        batch_size=6,
        max_steps=MAX_STEPS,
        init_from="scratch",
        attack_steps=1,
        ig_steps=1,
        validate_every=4,
        checkpoint_every=3,
    )


def die(signum=signal.SIGKILL):
    os.kill(os.getpid(), signum)


def arrange(where):
    """Patches the run so that it dies at the given point."""
    kind, _, number = where.partition(":")
    if kind in ("step", "term"):
        original = callbacks.GuardFinite.on_train_batch_end

        def end(self, batch, logs=None):
            if callbacks.checkpoints.step(self.model) == int(number):
                die(signal.SIGKILL if kind == "step" else signal.SIGTERM)
            original(self, batch, logs)

        callbacks.GuardFinite.on_train_batch_end = end
    elif kind == "write":
        replace, seen = workdir.os.replace, []

        def patched(source, target):
            if "step-" in str(target):
                seen.append(target)
                if len(seen) == int(number):
                    die()
            replace(source, target)

        workdir.os.replace = patched


def main(root, where):
    arrange(where)
    folder = Workdir(pathlib.Path(root))
    try:
        classifier = train(preset(), folder, tiny_data())
    except Interrupted as stopped:
        print(stopped)
        sys.exit(128 + stopped.signum)
    digest = hashlib.sha256(b"".join(w.tobytes() for w in classifier.get_weights()))
    rows = [row["step"] for row in callbacks.read_metrics(folder.metrics)]
    print(digest.hexdigest(), rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
