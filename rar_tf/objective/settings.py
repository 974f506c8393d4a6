"""Settings of an objective, read from the signature and docstring of its constructor."""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable
from typing import Any

_PLAIN = (bool, int, float, str)
_REQUIRED = inspect.Parameter.empty


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting of an objective: a keyword argument of its constructor.

    Attributes:
      name: name of the argument.
      kinds: types that the value may have; empty where the constructor has no annotation.
      default: default value; `inspect.Parameter.empty` where the value must be given.
      help: first sentence about the argument in the constructor's docstring.
    """

    name: str
    kinds: tuple[type, ...]
    default: Any
    help: str = ""

    @property
    def required(self) -> bool:
        """Whether the constructor has no default."""
        return self.default is _REQUIRED

    def check(self, value: Any) -> None:
        """Raises ValueError unless the value has one of the types; an integer is a float too."""
        if value is None and self.default is None or not self.kinds:
            return
        kinds = (*self.kinds, int) if float in self.kinds else self.kinds
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            wanted = " or ".join(kind.__name__ for kind in self.kinds)
            raise ValueError(
                f"{self.name} must be of type {wanted}. Received: {self.name}={value!r}"
            )


def settings_of(constructor: Callable) -> dict[str, Setting]:
    """Settings of a constructor by name, in the order of its signature.

    Arguments that accept neither a number nor a text, such as size functions, are not settings.
    """
    hints = typing.get_type_hints(constructor)
    texts = _argument_texts(constructor)
    result = {}
    for name, parameter in inspect.signature(constructor).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            continue
        kinds = _plain_kinds(hints.get(name), parameter.default)
        unknown = name not in hints and parameter.default in (None, _REQUIRED)
        if kinds or unknown:
            result[name] = Setting(name, kinds, parameter.default, texts.get(name, ""))
    return result


def _plain_kinds(hint: Any, default: Any) -> tuple[type, ...]:
    """Types among bool, int, float and str that an argument accepts."""
    if hint is None:
        return (type(default),) if type(default) in _PLAIN else ()
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return tuple(kind for kind in (typing.get_args(hint) if union else (hint,)) if kind in _PLAIN)


def _argument_texts(function: Callable) -> dict[str, str]:
    """First sentence of the docstring's Args section about each argument."""
    _, _, section = (inspect.getdoc(function) or "").partition("\nArgs:\n")
    section = re.split(r"\n\n", section)[0]
    entries = re.findall(r"^  (\w[\w, ]*): (.*(?:\n    .*)*)", section, re.M)
    return {
        name: re.split(r"(?<=\.)\s", " ".join(text.split()))[0]
        for names, text in entries
        for name in names.split(", ")
    }
