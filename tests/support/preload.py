"""Modules that the fork server of `tests.support.commands` imports once, before any command."""

import rar_tf.cli.silence  # noqa: F401
import rar_tf.evaluation
import rar_tf.reporting
import rar_tf.runs
import rar_tf.serving  # noqa: F401
