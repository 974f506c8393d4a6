"""One worker of a small run: `tiny_worker.py ROOT SIGNAL:STEP`, or `none`.

SIGNAL is what it sends itself when step STEP is done. Prints the digest of the final weights.
"""

import hashlib
import os
import pathlib
import signal
import sys

from rar_tf.training import Interrupted, Workdir, WorkerLost, callbacks, distribute, train
from tests.training import tiny_run


def arrange(what):
    """Patches the run so that it sends itself the signal."""
    name, _, number = what.partition(":")
    original = callbacks.GuardFinite.on_train_batch_end

    def end(self, batch, logs=None):
        if callbacks.checkpoints.step(self.model) == int(number):
            os.kill(os.getpid(), getattr(signal, name))
        original(self, batch, logs)

    if number:
        callbacks.GuardFinite.on_train_batch_end = end


def main(root, what):
    arrange(what)
    try:
        classifier = train(
            tiny_run.preset(),
            Workdir(pathlib.Path(root)),
            tiny_run.tiny_data(),
            distribution=distribute(),
        )
    except Interrupted as stopped:
        print(stopped)
        sys.exit(128 + stopped.signum)
    except WorkerLost as lost:
        print(f"error: {lost}", file=sys.stderr)
        sys.exit(1)
    print(hashlib.sha256(b"".join(w.tobytes() for w in classifier.get_weights())).hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])
