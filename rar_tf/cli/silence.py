"""Imports TensorFlow without what its libraries print as they load.

TF_CPP_MIN_LOG_LEVEL does not reach those lines (tensorflow/tensorflow issue 100442, open);
TF_CPP_MIN_LOG_LEVEL=0 shows them again.
"""

import os
import sys
import tempfile


def import_tensorflow() -> None:
    """Imports it with the file descriptor of stderr turned away; a failure shows all."""
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0":
        return
    try:
        stderr = os.dup(2)
    except OSError:  # There is no stderr to keep clean.
        return
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow

            if not os.path.exists("/proc/driver/nvidia"):
                # Without a driver, what it says of the missing one is no news; with one it is.
                tensorflow.config.list_physical_devices()
        except BaseException:
            said.seek(0)
            os.write(stderr, said.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


import_tensorflow()
