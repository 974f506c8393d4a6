"""Settings on a command line, as NAME=VALUE."""

import json
from collections.abc import Iterable
from typing import Any


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
