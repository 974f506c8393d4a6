"""Settings on a command line, as NAME=VALUE, and sizes that may be automatic."""

import json
from collections.abc import Iterable
from typing import Any

from absl import flags

from rar_tf.cli.command import FLAGS


def parse_settings(flag: str, texts: Iterable[str]) -> dict[str, Any]:
    """Settings by name; a value is parsed as JSON (a list becomes a tuple), else it is text.

    Args:
      flag: name of the flag, for the error.
      texts: settings, each NAME=VALUE.

    Raises:
      ValueError: a setting without "=".
    """
    result: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{flag} must be NAME=VALUE. Received: {flag}={text}")
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = value
        result[name] = tuple(parsed) if isinstance(parsed, list) else parsed
    return result


def define_size(name: str, text: str) -> None:
    """Define a flag for the size of a batch, "auto" by default."""
    flags.DEFINE_string(name, "auto", text)


def size(name: str) -> int | str:
    """Value of a flag of `define_size`: a number, or "auto".

    Raises:
      ValueError: another text.
    """
    value = FLAGS[name].value
    if value == "auto":
        return value
    try:
        return int(value)
    except ValueError as error:
        raise ValueError(
            f"--{name} must be a number or auto. Received: --{name}={value}"
        ) from error
