"""Preset: all settings that determine the weights of a run, made of parts."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from rar_tf.attack import Attack
from rar_tf.checks import check_count
from rar_tf.naming import check_name, is_custom
from rar_tf.objective import OBJECTIVES, settings
from rar_tf.presets.part import Part, flat_fields
from rar_tf.presets.parts import (
    ATTACKS,
    PARTS,
    AttackSettings,
    DataSettings,
    ModelSettings,
    ObjectiveSettings,
    OptimizerSettings,
    ValidationSettings,
)

# Settings by their names in files of earlier versions.
_FORMER_NAMES = {"chunk": "nodes_per_pass"}
_TOP_LEVEL = ("schedule", "seed")


@dataclasses.dataclass(frozen=True)
class Preset:
    """All settings that determine the weights of a run.

    Attributes:
      schedule: schedule of hyperparameters, "fast" or "paper".
      seed: seed for initial weights, data order and random starts.
      data, model, objective, attack, optimizer, validation: the parts; `attack` is None for an
        objective without inner maximization.
    """

    schedule: str
    seed: int
    data: DataSettings
    model: ModelSettings
    objective: ObjectiveSettings
    attack: AttackSettings | None
    optimizer: OptimizerSettings
    validation: ValidationSettings

    def __post_init__(self) -> None:
        check_count("seed", self.seed, 0)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that apply."""
        parts = (self.data, self.model, self.objective, self.attack, self.optimizer)
        return tuple(part for part in (*parts, self.validation) if part is not None)

    def build_attack(self) -> Attack | None:
        """The inner maximization; None where the objective has none."""
        return None if self.attack is None else self.attack.build()

    def to_flat(self) -> dict[str, Any]:
        """Settings by name, as on disk; settings that are None are omitted.

        Settings of a custom objective that no registered one has are in "options".
        """
        values: dict[str, Any] = {"schedule": self.schedule, "seed": self.seed}
        for part in self.parts:
            for name, field in flat_fields(type(part)).items():
                values[name] = getattr(part, field.name)
        shared = shared_settings()
        named = {n: v for n, v in self.objective.values.items() if n in shared}
        options = {n: v for n, v in self.objective.values.items() if n not in shared}
        values |= named | {"options": options or None}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_flat(cls, values: Mapping[str, Any]) -> "Preset":
        """The preset of settings by name, as from `to_flat`, also those of earlier versions.

        Names that do not apply are ignored.

        Raises:
          ValueError: a setting is missing, or out of range.
        """
        given: dict[str, Any] = {
            _FORMER_NAMES.get(name, name): tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
            if value is not None
        }
        names = settings(_needed(given, "objective"))
        options = given.get("options", {})
        shared = shared_settings()
        named = {name: given[name] for name in names if name in given and name in shared}
        objective = ObjectiveSettings(given["objective"], named | dict(options))
        attack = ATTACKS[objective.build().threat]
        return cls(
            schedule=_needed(given, "schedule"),
            seed=_needed(given, "seed"),
            data=_part(DataSettings, given),
            model=_part(ModelSettings, given),
            objective=objective,
            attack=None if attack is None else _part(attack, given),
            optimizer=_part(OptimizerSettings, given),
            validation=_part(ValidationSettings, given),
        )

    def to_json(self) -> str:
        """The preset as flat JSON text."""
        return json.dumps(self.to_flat(), indent=2) + "\n"

    def replace(self, **values: Any) -> "Preset":
        """A copy with settings replaced by their flat names; None removes a setting."""
        for name in values:
            check_setting(name)
        return type(self).from_flat(self.to_flat() | values)


def shared_settings() -> tuple[str, ...]:
    """Names of the settings of all registered objectives, each a flag and a name on disk."""
    return tuple(dict.fromkeys(n for objective in OBJECTIVES for n in settings(objective)))


def setting_names() -> tuple[str, ...]:
    """Names of all settings, on disk and as flags."""
    names = [*_TOP_LEVEL, *(name for part in PARTS for name in flat_fields(part))]
    return tuple(dict.fromkeys([*names, *shared_settings(), "options"]))


def check_setting(name: str) -> None:
    """Raises ValueError unless a setting has this name."""
    check_name("setting", name, setting_names())


def applies(preset: Preset, name: str) -> bool:
    """Whether a setting applies to the preset's objective, optimizer and start.

    Raises:
      ValueError: no setting has this name.
    """
    check_setting(name)
    if name in _TOP_LEVEL:
        return True
    if name == "options":
        return is_custom(preset.objective.name)
    if name in settings(preset.objective.name):
        return True
    for part in preset.parts:
        field = flat_fields(type(part)).get(name)
        if field is not None:
            return getattr(part, field.name) is not None or field.metadata["optional"]
    return False


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Lines `name: before -> after` for the settings in which two flat presets differ."""
    names = [*before, *(name for name in after if name not in before)]
    return [
        f"{name}: {before.get(name)!r} -> {after.get(name)!r}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _part(kind: type, given: Mapping[str, Any]) -> Any:
    fields = flat_fields(kind)
    values = {field.name: given[name] for name, field in fields.items() if name in given}
    for name, field in fields.items():
        if field.default is dataclasses.MISSING:
            _needed(given, name)
    return kind(**values)


def _needed(given: Mapping[str, Any], name: str) -> Any:
    if name not in given:
        raise ValueError(f"{name} must be given. Received: None")
    return given[name]
