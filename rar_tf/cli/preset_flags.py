"""Flags of a preset's settings, made from the fields of its parts and the registered objectives."""

import dataclasses
import pathlib
from typing import Any

from absl import flags

from rar_tf import datasets
from rar_tf.cli.command import FLAGS, flag_topic, parse_numbers
from rar_tf.cli.settings import parse_settings
from rar_tf.models import ARCHITECTURES, is_model_file, load_classifier
from rar_tf.naming import CUSTOM
from rar_tf.objective import OBJECTIVES, settings
from rar_tf.presets import SCHEDULES, Preset, resolve
from rar_tf.presets.part import ATTACK, OPTIMIZATION, TRAINING, VALIDATION, flat_fields, kinds_of
from rar_tf.presets.parts import PARTS
from rar_tf.presets.preset import shared_settings

_DATASETS = f"One of {', '.join((*datasets.names(), *datasets.CUSTOM))}."
# Additions to the help of settings: names of registries that `presets` does not list.
_NAMES = {"architecture": f"One of {', '.join(ARCHITECTURES)}{CUSTOM}."}


def define_names() -> None:
    """Define the flags that name a preset, and those of its model and data."""
    flag_topic(TRAINING)
    flags.DEFINE_string("dataset", "fashion_mnist", f"Data set. {_DATASETS}")
    flags.DEFINE_string(
        "objective", "ig_norm", f"Objective to minimize. One of {', '.join(OBJECTIVES)}{CUSTOM}."
    )
    flags.DEFINE_enum(
        "schedule",
        "fast",
        list(SCHEDULES),
        "Schedule of hyperparameters: fast takes minutes, paper takes the papers' values.",
    )
    flags.DEFINE_integer("seed", 0, "Seed for initial weights, data order and random starts.")
    flags.DEFINE_string(
        "model",
        None,
        "Custom classifier to continue training, a .keras or .h5 file: short for --init_from=FILE.",
    )
    _define_fields(TRAINING)


def define_settings() -> None:
    """Define a flag for each further setting of a preset.

    A flag that is not given is None and leaves the preset's value, so that 0 is respected.
    """
    flag_topic("Settings of the objective")
    _define_objective_settings()
    for title in (ATTACK, OPTIMIZATION, VALIDATION):
        flag_topic(title)
        _define_fields(title)


def preset_from_flags() -> Preset:
    """The preset that the flags define.

    Raises:
      ValueError: a setting that does not apply, or a value out of range.
    """
    overrides = {
        name: _value(name, field) for name, field in _fields().items() if name not in _POSITIONAL
    }
    overrides |= {name: FLAGS[name].value for name in shared_settings()}
    overrides["options"] = parse_settings("--options", FLAGS.options or ()) or None
    if FLAGS.model is not None:
        overrides["init_from"] = _custom_model()
    return resolve(FLAGS.dataset, FLAGS.objective, FLAGS.schedule, seed=FLAGS.seed, **overrides)


_POSITIONAL = ("dataset", "objective")
_REPEATED = ("import",)  # Given several times, not as a list.


def _fields() -> dict[str, dataclasses.Field]:
    """Fields of all parts by the name of their flag."""
    return {name: field for part in PARTS for name, field in flat_fields(part).items()}


def _define_fields(title: str) -> None:
    for name, field in _fields().items():
        if field.metadata["topic"] != title or name in _POSITIONAL:
            continue
        text = " ".join(filter(None, [field.metadata["help"], _NAMES.get(name)]))
        kinds = kinds_of(field)
        if field.metadata["choices"]:
            flags.DEFINE_enum(name, None, list(field.metadata["choices"]), text)
        elif name in _REPEATED:
            flags.DEFINE_multi_string(name, None, text)
        elif tuple in kinds:
            flags.DEFINE_list(name, None, text)
        else:
            _define(name, kinds, text)


def _define_objective_settings() -> None:
    for name in dict.fromkeys(n for objective in OBJECTIVES for n in settings(objective)):
        by_objective = {o: settings(o)[name] for o in OBJECTIVES if name in settings(o)}
        text = next((setting.help for setting in by_objective.values() if setting.help), "")
        text = f"{text[:1].upper()}{text[1:]} Setting of {', '.join(by_objective)}."
        _define(name, next(iter(by_objective.values())).kinds, text)
    flags.DEFINE_alias("chunk", "nodes_per_pass")
    flags.DEFINE_multi_string(
        "options", None, "Further setting of a custom objective, as NAME=VALUE."
    )


def _define(name: str, kinds: tuple[type, ...], text: str) -> None:
    if bool in kinds:
        flags.DEFINE_bool(name, None, text)
    elif float in kinds:
        flags.DEFINE_float(name, None, text)
    elif int in kinds and str not in kinds:
        flags.DEFINE_integer(name, None, text)
    else:
        flags.DEFINE_string(name, None, text)


def _value(name: str, field: dataclasses.Field) -> Any:
    """The flag's value in the type of its field."""
    value = FLAGS[name].value
    if value is None:
        return None
    kinds = kinds_of(field)
    if tuple in kinds and "str" in str(field.type):
        return tuple(value)
    if tuple in kinds:
        return parse_numbers(float if "float" in str(field.type) else int, name, value)
    if int in kinds and str in kinds and value.isdigit():
        return int(value)
    return value


def _custom_model() -> str:
    if FLAGS.init_from is not None:
        raise ValueError(
            "--model=FILE is short for --init_from=FILE: give one of them. "
            f"Received: --model={FLAGS.model} and --init_from={FLAGS.init_from}"
        )
    if not is_model_file(FLAGS.model):
        if pathlib.Path(FLAGS.model).is_dir():
            load_classifier(FLAGS.model)  # Says what the folder holds.
        raise ValueError(f"--model must be a .keras or .h5 file. Received: --model={FLAGS.model}")
    return FLAGS.model
