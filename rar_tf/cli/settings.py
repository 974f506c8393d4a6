"""Parsing of settings given as NAME=VALUE."""

import json
from collections.abc import Iterable
from typing import Any


def settings(flag: str, texts: Iterable[str]) -> dict[str, Any]:
    """{name: value}; numbers and lists (as tuples) as JSON has them, else text.

    Args:
      flag: name of the flag in errors.
      texts: each NAME=VALUE.

    Raises:
      ValueError: one without "=".
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{flag} must be NAME=VALUE. Received: {flag}={text}")
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = value
        found[name] = tuple(parsed) if isinstance(parsed, list) else parsed
    return found
