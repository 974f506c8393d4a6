"""Part: base of a preset's parts, and the metadata of their fields."""

import dataclasses
import math
import types
import typing
from collections.abc import Sequence
from typing import Any

from rar_tf.checks import check_count

# Topics of --help.
TRAINING = "What to train"
ATTACK = "Attack in training"
OPTIMIZATION = "Optimization"
VALIDATION = "Validation and checkpoints"


def setting(
    help: str,
    topic: str,
    *,
    default: Any = dataclasses.MISSING,
    name: str | None = None,
    choices: Sequence[str] = (),
    optional: bool = False,
) -> Any:
    """A dataclass field with the metadata of a setting.

    Args:
      help: help of its flag.
      topic: topic of its flag in --help.
      default: default value; the field is required without one.
      name: name on disk and as a flag; None for the name of the field.
      choices: allowed values; empty for any.
      optional: whether it may be set although the schedule leaves it None.
    """
    metadata = {
        "help": help,
        "topic": topic,
        "name": name,
        "choices": tuple(choices),
        "optional": optional,
    }
    return dataclasses.field(default=default, metadata=metadata)


def name_of(field: dataclasses.Field) -> str:
    """Name of a part's field on disk and as a flag."""
    return field.metadata["name"] or field.name


class Part:
    """Base class of the parts: checks the types of the fields on construction, then the values."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            _check_type(field, getattr(self, field.name))
        self.check()

    def check(self) -> None:
        """Raises ValueError where a value is out of range."""

    def _positive(self, *names: str) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.name in names and value is not None and not 0 < value < math.inf:
                name = name_of(field)
                raise ValueError(f"{name} must be > 0 and finite. Received: {name}={value}")

    def _counts(self, *names: str, least: int = 1) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if field.name in names and getattr(self, field.name) is not None:
                check_count(name_of(field), getattr(self, field.name), least)


def flat_fields(part: type[Part]) -> dict[str, dataclasses.Field]:
    """Fields of a part that are settings by themselves, by their name on disk."""
    return {
        name_of(field): field
        for field in dataclasses.fields(part)  # type: ignore[arg-type]
        if field.metadata["topic"] is not None
    }


def kinds_of(field: dataclasses.Field) -> tuple[type, ...]:
    """Plain types of a field's annotation, such as (int, NoneType) or (tuple, NoneType)."""
    union = isinstance(field.type, types.UnionType)
    hints = typing.get_args(field.type) if union else (field.type,)
    return tuple(typing.get_origin(hint) or hint for hint in hints)


def _check_type(field: dataclasses.Field, value: Any) -> None:
    """Raises ValueError unless the value has the field's type; an integer is a float too."""
    kinds = kinds_of(field)
    if float in kinds:
        kinds = (*kinds, int)
    parts = value if isinstance(value, tuple) else ()
    part_kinds = str if "str" in str(field.type) else (int, float)
    if (
        not isinstance(value, kinds)
        or (isinstance(value, bool) and bool not in kinds)
        or not all(isinstance(part, part_kinds) for part in parts)
    ):
        name = name_of(field)
        wanted = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
        raise ValueError(f"{name} must be of type {wanted}. Received: {name}={value!r}")
