"""One command from its flags to its exit status: messages, verbosity, the closing line."""

import difflib
import functools
import re
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging

from rar_tf.cli import silence, usage
from rar_tf.cli.usage import topic

__all__ = ["FLAGS", "Stop", "hush", "numbers", "say", "start", "topic"]
FLAGS = flags.FLAGS
_FAILURES = (ValueError, ImportError, OSError)
flags.DEFINE_bool("quiet", False, "Only warnings, errors and the closing line.")
del silence  # Imported first, for what it does.


class Stop(Exception):
    """The end of a command that was asked to stop, with the status to exit with."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


def start(
    work: Callable[[], str],
    description: str | None,
    failures: tuple[type[Exception], ...] = (),
) -> None:
    """Runs a command and exits: with 0 only on success, and no traceback for a user's mistake.

    Args:
      work: does it; returns the closing line, which says where everything is and what to run
        next.
      description: the first part of --help.
      failures: exceptions beside ValueError, ImportError and OSError whose message is enough.
    """
    parse = functools.partial(_parse, description or "")
    app.run(functools.partial(_main, work, failures), flags_parser=parse)


def say(text: str) -> None:
    """Prints what a quiet command leaves out."""
    if not _is_quiet():
        print(text, flush=True)


def hush() -> None:
    """Only warnings from here on: TensorFlow tells of every step of an export at level 0."""
    if FLAGS.verbosity <= 0:
        logging.set_verbosity(logging.WARNING)


def numbers(kind: type, name: str, words: list[str]) -> tuple:
    """The values of a list flag.

    Raises:
      ValueError: one of them is no number.
    """
    try:
        return tuple(kind(word) for word in words)
    except ValueError as error:
        raise ValueError(
            f"--{name} must be numbers with commas between. Received: {','.join(words)}"
        ) from error


def _is_quiet() -> bool:
    return FLAGS.quiet or FLAGS.verbosity < 0


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
    if FLAGS.quiet:
        FLAGS.verbosity = -1
    logging.set_verbosity(FLAGS.verbosity)
    if FLAGS.verbosity <= 0:  # Its warnings are about how this project calls it.
        tf.get_logger().setLevel("ERROR")
    try:
        closing = work()
    except Stop as stopped:
        _fail(str(stopped), stopped.status, prefix="")
    except KeyboardInterrupt:
        _fail("stopped; the same command resumes from here", 130, prefix="")
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        logging.debug("details", exc_info=True)
        first = (str(error) or "allocation failed").splitlines()[0]
        _fail(
            f"out of memory: {first[:300]}. A smaller --batch_size or --nodes_per_pass needs less"
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
