"""Objectives and attacks as plain settings, and back, for the files of a RobustModel."""

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

from rar_tf.attack import Attack, LpBall, TransportPenalty
from rar_tf.models import Convention
from rar_tf.naming import is_custom
from rar_tf.objective import Objective, construct

_THREATS = {threat.__name__: threat for threat in (LpBall, TransportPenalty)}
_PLAIN = (bool, int, float, str, type(None))


def objective_config(objective: Objective) -> dict[str, Any]:
    """{"name": constructor, "settings": its arguments}.

    Raises:
      ValueError: the objective was not made by a registered constructor or `objective.construct`,
        or with a function as an argument.
    """
    if objective.construction is None:
        raise ValueError(
            "an objective that is saved must be made by a registered constructor: put @register "
            "before the function that makes it. Received: one made in another way; save_weights "
            "saves the weights alone"
        )
    name, settings = objective.construction
    for key, value in settings.items():
        if not isinstance(value, _PLAIN):
            raise ValueError(
                f"an objective that is saved must have numbers and texts as settings; {key} may "
                f"name a custom MODULE:FUNCTION. Received: {key}={value!r}"
            )
    return {"name": name, "settings": dict(settings)}


def objective_from_config(config: Mapping[str, Any]) -> Objective:
    """The objective of `objective_config`.

    Raises:
      ValueError: an unknown objective or setting, or custom code that is not imported: a file
        does not choose what is imported.
    """
    check_imported("a saved objective", config["name"], *config["settings"].values())
    return construct(config["name"], config["settings"])


def convention_config(convention: Convention) -> dict[str, Any]:
    """Fields of the convention.

    Raises:
      ValueError: a function of pixels without a name.
    """
    if not isinstance(convention.pixels, str):
        raise ValueError(
            "pixels of a model that is saved must be a name or MODULE:FUNCTION. Received: "
            f"pixels={convention.pixels!r}; save_weights saves the weights alone"
        )
    return dataclasses.asdict(convention)


def check_imported(owner: str, *values: Any) -> None:
    """Raises ValueError for a MODULE:FUNCTION of a module that is not imported yet.

    A file does not choose what is imported.
    """
    for value in values:
        if is_custom(value) and value.partition(":")[0] not in sys.modules:
            raise ValueError(
                f"custom code that {owner} names must be imported first: import "
                f"{value.partition(':')[0]}. Received: {value}"
            )


def attack_config(attack: Attack | None) -> dict[str, Any] | None:
    """Fields of the attack, and of its threat by name; None for None.

    Raises:
      ValueError: a custom threat.
    """
    if attack is None:
        return None
    name = type(attack.threat).__name__
    if _THREATS.get(name) is not type(attack.threat):
        raise ValueError(
            f"an attack that is saved must have a threat of {', '.join(_THREATS)}. Received: {name}"
        )
    fields = dataclasses.asdict(attack)
    return {**fields, "threat": {"name": name, **fields["threat"]}}


def attack_from_config(config: Mapping[str, Any] | None) -> Attack | None:
    """The attack of `attack_config`.

    Raises:
      ValueError: an unknown threat, or settings out of range.
    """
    if config is None:
        return None
    threat = dict(config["threat"])
    name = threat.pop("name")
    if name not in _THREATS:
        raise ValueError(f"threat must be one of {', '.join(_THREATS)}. Received: {name!r}")
    if threat.get("bounds") is not None:  # JSON has lists alone.
        threat["bounds"] = tuple(threat["bounds"])
    return Attack(**{**config, "threat": _THREATS[name](**threat)})
