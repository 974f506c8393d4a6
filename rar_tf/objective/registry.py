"""Registry of the objectives, by name.

A constructor's keyword arguments are the objective's settings, for registered and custom
constructors alike.
"""

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from rar_tf.naming import call_custom, find, is_custom
from rar_tf.objective.objective import Objective, constructed
from rar_tf.objective.settings import Setting, settings_of

OBJECTIVES: dict[str, Callable[..., Objective]] = {}
Constructor = typing.TypeVar("Constructor", bound=Callable[..., Objective])


def register(constructor: Constructor) -> Constructor:
    """Add a constructor to the registry under its own name.

    Returns:
      The constructor, whose objectives state their name and settings (`Objective.construction`).
    """
    name, signature = constructor.__name__, inspect.signature(constructor)

    @functools.wraps(constructor)
    def construct(*args: Any, **arguments: Any) -> Objective:
        objective = constructor(*args, **arguments)
        bound = signature.bind(*args, **arguments)
        bound.apply_defaults()
        return constructed(objective, name, _settings(constructor, bound.arguments))

    OBJECTIVES[name] = construct
    return typing.cast(Constructor, construct)


def _settings(constructor: Callable, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that are settings, and others that are not the default."""
    parameters = inspect.signature(constructor).parameters
    accepted = settings_of(constructor)
    return {
        name: value
        for name, value in arguments.items()
        if name in accepted or value is not parameters[name].default
    }


@functools.cache
def settings(objective: str) -> dict[str, Setting]:
    """Settings of an objective by name, see `settings_of`.

    Args:
      objective: a name of `OBJECTIVES`, or "module:function" of a custom constructor.

    Raises:
      ValueError: an unknown name, or no such function.
    """
    return settings_of(find("objective", objective, OBJECTIVES))


def construct(objective: str, values: Mapping[str, Any]) -> Objective:
    """Makes the objective of this name with these settings.

    Args:
      objective: a name of `OBJECTIVES`, or "module:function" of a custom constructor.
      values: settings by name; absent ones and None take the constructor's default.

    Raises:
      ValueError: an unknown objective or setting, a value of another type, a setting that must
        be given and is not, or a custom constructor that fails.
    """
    accepted = settings(objective)
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        if name not in accepted:
            raise ValueError(
                f"settings of objective={objective} are {', '.join(accepted) or 'none'}. "
                f"Received: {name}={value!r}"
            )
        accepted[name].check(value)
    for name, setting in accepted.items():
        if setting.required and name not in given:
            raise ValueError(f"{name} must be given for objective={objective}. Received: None")
    constructor = find("objective", objective, OBJECTIVES)
    if is_custom(objective):
        made = call_custom("objective", objective, constructor, Objective, **given)
        return constructed(made, objective, given)
    return constructor(**given)
