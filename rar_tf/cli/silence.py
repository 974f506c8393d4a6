"""Import of TensorFlow without the lines that its libraries print while they load.

TF_CPP_MIN_LOG_LEVEL has no effect on these lines (tensorflow/tensorflow issue 100442), so stderr
is redirected; TF_CPP_MIN_LOG_LEVEL=0 keeps them.
"""

import os
import sys
import tempfile


def import_tensorflow() -> None:
    """Imports TensorFlow with stderr redirected to a file, which is printed if the import fails."""
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0":
        return
    try:
        stderr = os.dup(2)
    except OSError:  # There is no stderr.
        return
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            import tensorflow

            if not os.path.exists("/proc/driver/nvidia"):
                # Prints messages about a missing driver, which matter only where there is one.
                tensorflow.config.list_physical_devices()
        except BaseException:
            captured.seek(0)
            os.write(stderr, captured.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


import_tensorflow()
