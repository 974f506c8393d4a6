"""One worker of a small run: `tiny_worker ROOT`; prints a digest of the final weights."""

import hashlib
import pathlib
import sys

from rar_tf.runs import Interrupted, Workdir, train
from rar_tf.training import WorkerLost, distribute
from tests.support import tiny_run


def main(root: str) -> None:
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
