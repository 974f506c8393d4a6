"""Objectives by name, the user's own among them."""

import functools
import inspect
from collections.abc import Callable

from rar_tf.naming import call_own, find, is_own, parameters
from rar_tf.objective.catalogue import CATALOGUE
from rar_tf.objective.objective import Objective


def constructor(name: str) -> Callable[..., Objective]:
    """What makes the named objective.

    Args:
      name: of `CATALOGUE`, or "module:function": a function like those of the catalogue, whose
        keyword arguments, all with defaults, are its settings.

    Raises:
      ValueError: an unknown name, no such function, or one with an argument without default.
    """
    found = find("objective", name, CATALOGUE)
    if not is_own(name):
        return found
    required = [
        part for part, default in parameters(found).items() if default is inspect.Parameter.empty
    ]
    if required:
        raise ValueError(
            f"arguments of objective={name} are its settings and must have defaults. "
            f"Received: {', '.join(required)} without"
        )
    return functools.partial(call_own, "objective", name, found, Objective)


def own_settings(name: str) -> dict[str, object]:
    """The settings of a user's own objective, with their defaults.

    Of arguments whose default is a number, a string, a bool or None; others, such as functions,
    are left to the constructor.
    """
    found = parameters(find("objective", name, CATALOGUE))
    kinds = (bool, int, float, str, type(None))
    return {part: default for part, default in found.items() if isinstance(default, kinds)}
