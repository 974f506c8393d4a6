"""Running of a command: flags, verbosity, error messages, closing line and exit status."""

import difflib
import functools
import re
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging

from rar_tf.cli import silence, usage
from rar_tf.cli.usage import flag_topic

__all__ = [
    "FLAGS",
    "CommandStopped",
    "quiet_tensorflow",
    "parse_numbers",
    "print_unless_quiet",
    "start",
    "flag_topic",
]
FLAGS = flags.FLAGS
_FAILURES = (ValueError, ImportError, OSError)
flags.DEFINE_bool("quiet", False, "Print only warnings, errors and the closing line.")
del silence  # Imported first, for its effect on TensorFlow's import.


class CommandStopped(Exception):
    """A command ends early, with a message and an exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def start(
    work: Callable[[], str],
    description: str | None,
    failures: tuple[type[Exception], ...] = (),
) -> None:
    """Runs a command and exits, with status 0 only on success; expected errors are one line.

    Args:
      work: function that does the work and returns the closing line: where the results are, and
        the next command.
      description: first part of the text of --help.
      failures: expected errors besides ValueError, ImportError and OSError.
    """
    parse = functools.partial(_parse, description or "")
    app.run(functools.partial(_main, work, failures), flags_parser=parse)


def print_unless_quiet(text: str) -> None:
    """Prints a line, unless the command is quiet."""
    if not _is_quiet():
        print(text, flush=True)


def quiet_tensorflow() -> None:
    """Logs only warnings from here on, as TensorFlow logs each part of an export."""
    if FLAGS.verbosity <= 0:
        logging.set_verbosity(logging.WARNING)


def parse_numbers(kind: type, name: str, words: list[str]) -> tuple:
    """The values of a list flag as numbers.

    Args:
      kind: type of the numbers, int or float.
      name: name of the flag, for the error.
      words: values of the flag.

    Raises:
      ValueError: a value is not a number.
    """
    try:
        return tuple(kind(word) for word in words)
    except ValueError as error:
        raise ValueError(
            f"--{name} must be numbers separated by commas. Received: {','.join(words)}"
        ) from error


def _is_quiet() -> bool:
    return bool(FLAGS.quiet)


def _parse(description: str, arguments: list[str]) -> list[str]:
    if any(re.fullmatch(r"--?(help|helpshort|h|\?)", argument) for argument in arguments[1:]):
        print(usage.text(description), end="")
        sys.exit(0)
    try:
        return FLAGS(arguments)
    except flags.Error as error:
        _fail(f"{str(error).rstrip()} (--help lists the flags)")


def _main(
    work: Callable[[], str], failures: tuple[type[Exception], ...], arguments: list[str]
) -> None:
    import tensorflow as tf

    if len(arguments) > 1:
        _fail(f"expected flags only. Received: {' '.join(arguments[1:])}{_as_flag(arguments[1])}")
    # `quiet_tensorflow` changes the verbosity later, but not what the user asked for.
    FLAGS.quiet = FLAGS.quiet or FLAGS.verbosity < 0
    if FLAGS.quiet:
        FLAGS.verbosity = min(FLAGS.verbosity, -1)
    logging.set_verbosity(FLAGS.verbosity)
    if FLAGS.verbosity <= 0:  # Its warnings concern this project's calls, not the user's.
        tf.get_logger().setLevel("ERROR")
    try:
        closing = work()
    except CommandStopped as stopped:
        _fail(str(stopped), stopped.status, prefix="")
    except KeyboardInterrupt:
        _fail("stopped; the same command resumes from here", 130, prefix="")
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        logging.debug("details", exc_info=True)
        first_line = (str(error) or "allocation failed").splitlines()[0]
        _fail(
            f"out of memory: {first_line[:300]}. Choose a smaller --batch_size or --nodes_per_pass"
        )
    except Exception as error:
        if not isinstance(error, (*_FAILURES, *failures)):
            raise
        logging.debug("details", exc_info=True)
        _fail(str(error))
    print(closing, flush=True)


def _as_flag(word: str) -> str:
    near = difflib.get_close_matches(word.partition("=")[0], list(FLAGS), n=1)
    return f". Did you mean --{near[0]}?" if near else ""


def _fail(message: str, status: int = 1, prefix: str = "error: ") -> NoReturn:
    print(f"{prefix}{message}", file=sys.stderr, flush=True)
    sys.exit(status)
