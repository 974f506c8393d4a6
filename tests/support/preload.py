"""Modules that the fork server of `tests.support.commands` imports once, before any command.

Nothing here may start TensorFlow's devices: their threads do not survive a fork.
"""

import rar_tf.evaluation
import rar_tf.reporting
import rar_tf.runs
import rar_tf.serving  # noqa: F401
