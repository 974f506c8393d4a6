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


def check_name(setting: str, name: str, choices: Iterable[str], context: str = "") -> None:
    """Raise ValueError unless `name` is one of `choices`; the message suggests the nearest.

    Args:
      setting: the setting that holds the name, for messages.
      name: the name.
      choices: all valid names.
      context: text that follows the list of choices in messages.
    """
    choices = sorted(choices)
    if name in choices:
        return
    raise ValueError(
        f"{setting} must be one of {', '.join(choices)}{context}. "
        f"Received: {setting}={name!r}.{_hint(str(name), choices)}"
    )


def find(setting: str, name: str, choices: Mapping[str, Any], prefixes: Iterable[str] = ()) -> Any:
    """Value of a name: `choices[name]`, or the function of "module:function", imported.

    The module is any that Python finds: an installed one, or a file of the current directory
    where that is on `sys.path`, as under `python -m`.

    Args:
      setting: the setting that holds the name, for messages.
      name: a key of `choices`, or "module:function".
      choices: values by name.
      prefixes: other words that may precede a colon, for suggestions alone.

    Raises:
      ValueError: an unknown name, no such module or function, or a module that fails.
    """
    if name in choices:
        return choices[name]
    if not is_custom(name):
        check_name(setting, name, choices, CUSTOM)
    module_name, _, attribute = name.partition(":")
    module = _module(setting, name, module_name, prefixes)
    value = getattr(module, attribute, None)
    if callable(value):
        return value
    functions = [
        key
        for key, member in vars(module).items()
        if callable(member) and getattr(member, "__module__", None) == module.__name__
    ]
    raise ValueError(
        f"{setting}={name} must name a function of {module.__file__ or module_name}, which has "
        f"{', '.join(functions) or 'none'}. Received: {attribute!r}"
        f"{'' if value is None else f', a {type(value).__name__}'}.{_hint(attribute, functions)}"
    )


def is_custom(name: str) -> bool:
    """Whether `name` has the form "module:function"."""
    form = r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*"
    return isinstance(name, str) and re.fullmatch(form, name) is not None


def call_custom(
    setting: str, name: str, function: Callable, returns: type, /, *args: Any, **arguments: Any
) -> Any:
    """Result of a custom function, checked to be of the type `returns`.

    Args:
      setting: the setting that names the function, for messages.
      name: "module:function".
      function: the function.
      returns: the type that it must return.
      *args: positional arguments of the function.
      **arguments: keyword arguments of the function.

    Raises:
      ValueError: the function fails, or returns something else.
    """
    try:
        value = function(*args, **arguments)
    except Exception as error:  # Custom code may raise anything.
        raise ValueError(f"{setting}={name} failed: {_reason(error)}") from error
    if not isinstance(value, returns):
        raise ValueError(
            f"{setting}={name} must return a {returns.__module__.split('.')[0]} "
            f"{returns.__name__}. Received: {type(value).__name__}"
        )
    return value


def parameters(function: Callable) -> dict[str, Any]:
    """Names of a function's arguments that can be given by keyword, with their defaults.

    An argument without a default has `inspect.Parameter.empty`.
    """
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    signature = inspect.signature(function)
    return {p.name: p.default for p in signature.parameters.values() if p.kind in kinds}


def json_default(value: Any) -> Any:
    """Name "module:function" of a function, for `json.dumps(default=json_default)`.

    Raises:
      TypeError: any other object.
    """
    if callable(value):
        name = getattr(value, "__qualname__", type(value).__qualname__)
        return f"{getattr(value, '__module__', type(value).__module__)}:{name}"
    raise TypeError(f"{type(value).__name__} has no plain form")


def as_file_name(name: str) -> str:
    """File name made of a name: "folder:photos/pets" becomes "folder_photos_pets"."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("_.") or "_"


def import_module(setting: str, name: str) -> types.ModuleType:
    """The module of this name: an installed one, or a file of the current directory.

    Args:
      setting: the setting that holds the name, for messages.
      name: dotted name of the module.

    Raises:
      ValueError: no such module, or one that fails.
    """
    return _module(setting, name, name, ())


def _module(setting: str, name: str, module_name: str, prefixes: Iterable[str]) -> types.ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ValueError(f"{setting}={name}: importing failed: {_reason(error)}") from error
        local_modules = {path.stem for path in pathlib.Path.cwd().glob("*.py")}
        raise ValueError(
            f"{setting}={name} must name a module that Python finds, such as a file "
            f"{module_name}.py in the current directory. Received: {module_name!r}, which is not "
            f"found.{_hint(module_name, {*local_modules, *prefixes})}"
        ) from error
    except Exception as error:  # A custom module may raise anything.
        raise ValueError(f"{setting}={name}: importing failed: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Type and message of an error, with the line of custom code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    text = f"{type(error).__name__}: {error}"
    installed = tuple({sys.prefix, sys.base_prefix, str(pathlib.Path(__file__).parent)})
    custom = [f for f in frames if not f.filename.startswith((*installed, "<"))]
    return f"{text} ({custom[-1].filename}, line {custom[-1].lineno})" if custom else text


def _hint(name: str, choices: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, choices, n=1)
    return f" Did you mean {matches[0]!r}?" if matches else ""
