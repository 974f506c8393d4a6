"""Names with suggestions, and custom code named "module:function"."""

import difflib
import importlib
import inspect
import pathlib
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

CUSTOM = " or a custom MODULE:FUNCTION"


def check_name(what: str, name: str, known: Iterable[str], where: str = "") -> None:
    """Raises ValueError unless `name` is one of `known`; the message suggests the nearest."""
    known = sorted(known)
    if name in known:
        return
    raise ValueError(
        f"{what} must be one of {', '.join(known)}{where}. "
        f"Received: {what}={name!r}.{_hint(str(name), known)}"
    )


def find(what: str, name: str, known: Mapping[str, Any], kinds: Iterable[str] = ()) -> Any:
    """Value of a name: `known[name]`, or the function of "module:function", imported.

    The module is any that Python finds: an installed one, or a file of the current directory
    where that is on `sys.path`, as under `python -m`.

    Args:
      what: the setting that holds the name, for messages.
      name: a key of `known`, or "module:function".
      known: values by name.
      kinds: prefixes that may precede a colon, for suggestions alone.

    Raises:
      ValueError: an unknown name, no such module or function, or a module that fails.
    """
    if name in known:
        return known[name]
    if not is_custom(name):
        check_name(what, name, known, CUSTOM)
    module_name, _, attribute = name.partition(":")
    module = _module(what, name, module_name, kinds)
    value = getattr(module, attribute, None)
    if callable(value):
        return value
    own = [
        key
        for key, part in vars(module).items()
        if callable(part) and getattr(part, "__module__", None) == module.__name__
    ]
    raise ValueError(
        f"{what}={name} must name a function of {module.__file__ or module_name}, which has "
        f"{', '.join(own) or 'none'}. Received: {attribute!r}"
        f"{'' if value is None else f', a {type(value).__name__}'}.{_hint(attribute, own)}"
    )


def is_custom(name: str) -> bool:
    """Whether `name` has the form "module:function"."""
    form = r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*"
    return isinstance(name, str) and re.fullmatch(form, name) is not None


def call_custom(
    what: str, name: str, function: Callable, returns: type, /, *args: Any, **arguments: Any
) -> Any:
    """Result of a custom function, checked to be a `returns`.

    Raises:
      ValueError: the function fails, or returns something else.
    """
    try:
        value = function(*args, **arguments)
    except Exception as error:  # Whatever a user's code raises, the message says where.
        raise ValueError(f"{what}={name} failed: {_reason(error)}") from error
    if not isinstance(value, returns):
        raise ValueError(
            f"{what}={name} must return a {returns.__module__.split('.')[0]} {returns.__name__}. "
            f"Received: {type(value).__name__}"
        )
    return value


def parameters(function: Callable) -> dict[str, Any]:
    """Names of a function's arguments that can be given by keyword, with their defaults.

    `inspect.Parameter.empty` where there is none.
    """
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(function).parameters.values()
    return {part.name: part.default for part in found if part.kind in kinds}


def plain(value: Any) -> Any:
    """For `json.dumps(default=...)`: a function as "module:function".

    Raises:
      TypeError: any other object.
    """
    if callable(value):
        name = getattr(value, "__qualname__", type(value).__qualname__)
        return f"{getattr(value, '__module__', type(value).__module__)}:{name}"
    raise TypeError(f"{type(value).__name__} has no plain form")


def as_file_name(name: str) -> str:
    """A name such as "folder:photos/pets" as one part of a path: "folder_photos_pets"."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("_.") or "_"


def _module(what: str, name: str, module_name: str, kinds: Iterable[str]) -> types.ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ValueError(f"{what}={name}: importing failed: {_reason(error)}") from error
        here = {path.stem for path in pathlib.Path.cwd().glob("*.py")}
        raise ValueError(
            f"{what}={name} must name a module that Python finds, such as a file {module_name}.py "
            f"in the current directory. Received: {module_name!r}, which is not found."
            f"{_hint(module_name, {*here, *kinds})}"
        ) from error
    except Exception as error:  # A module of the user's may raise anything.
        raise ValueError(f"{what}={name}: importing failed: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Type and message of an error, with the line of custom code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    text = f"{type(error).__name__}: {error}"
    installed = tuple({sys.prefix, sys.base_prefix, str(pathlib.Path(__file__).parent)})
    own = [f for f in frames if not f.filename.startswith((*installed, "<"))]
    return f"{text} ({own[-1].filename}, line {own[-1].lineno})" if own else text


def _hint(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
