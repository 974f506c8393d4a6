"""Resolution of names and overrides to a preset."""

from typing import Any

from rar_tf.models import is_model_file
from rar_tf.naming import check_name
from rar_tf.objective import settings
from rar_tf.presets.fast import INIT_SCALES, fast
from rar_tf.presets.paper import paper
from rar_tf.presets.preset import Preset, applies

SCHEDULES = {"fast": fast, "paper": paper}
# Settings that do not apply to the classifier of a `.keras` file.
_NOT_WITH_A_FILE = (
    "architecture",
    "initializer",
    "init_scale",
    "first_init_scale",
    "natural_steps",
)


def resolve(
    dataset: str, objective: str, schedule: str = "fast", *, seed: int = 0, **overrides: Any
) -> Preset:
    """The preset of a data set, an objective and a schedule, with settings overridden.

    Args:
      dataset: name of the data set; "fast" accepts any, "paper" those that the papers report.
      objective: a name of `rar_tf.objective.OBJECTIVES`, or "module:function" of a custom
        constructor, whose arguments' defaults are the preset's values.
      schedule: schedule of hyperparameters, "fast" or "paper".
      seed: seed for initial weights, data order and random starts.
      **overrides: settings by flat name, see `setting_names`; None keeps the preset's value.
        "options" holds settings of a custom objective by name.

    Raises:
      ValueError: an unknown name, an override that does not apply, or a value out of range.
    """
    accepted = settings(objective)
    check_name("schedule", schedule, SCHEDULES)
    names = {"dataset": dataset, "objective": objective, "schedule": schedule, "seed": seed}
    values = SCHEDULES[schedule](dataset, objective) | names
    values = {name: value for name, value in values.items() if value is not None}
    overrides = {name: value for name, value in overrides.items() if value is not None}
    options = overrides.get("options", {})
    if not isinstance(options, dict):
        raise ValueError(f"options must be settings by name. Received: options={options!r}")
    for name in options:
        check_name("option", name, accepted, f", the settings of {objective}")
    _check_applicable(values, overrides)
    changed = {**values, **overrides}
    if schedule == "fast" and "initializer" not in overrides:
        changed = {**INIT_SCALES.get(changed["architecture"], {}), **changed}
    if changed.get("initializer") == "own":
        del changed["initializer"]
    if is_model_file(str(changed["init_from"])):
        changed = _without_network_settings(changed, overrides)
    return Preset.from_flat(changed)


def natural_start(preset: Preset) -> Preset:
    """The preset of the natural model that this preset starts from, for `init_from` "natural"."""
    model = preset.model
    return resolve(
        preset.data.name,
        "natural",
        "fast",
        seed=preset.seed,
        architecture=model.architecture,
        initializer=model.initializer or "own",
        init_scale=model.init_scale,
        first_init_scale=model.first_init_scale,
        image_size=preset.data.image_size,
        **preset.data.for_custom_data,
        pixels=model.pixels,
        outputs=model.outputs,
        output_name=model.output_name,
        **{"import": model.imports},
        precision=preset.optimizer.precision,
        max_steps=model.natural_steps,
    )


def _check_applicable(values: dict[str, Any], overrides: dict[str, Any]) -> None:
    """Raises ValueError for an override of a setting that does not apply."""
    # Required settings of the objective may come from an override.
    required = [name for name, part in settings(values["objective"]).items() if part.required]
    given = {name: overrides[name] for name in required if name in overrides}
    preset = Preset.from_flat({**values, **given})
    for name, value in overrides.items():
        if not applies(preset, name):
            raise ValueError(
                f"{name} does not apply to objective={preset.objective.name}, "
                f"schedule={preset.schedule}, optimizer={preset.optimizer.name}. "
                f"Received: {name}={value}"
            )


def _without_network_settings(values: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """The settings without those that do not apply to a start from a `.keras` file."""
    for name in _NOT_WITH_A_FILE:
        if name in overrides:
            raise ValueError(
                f"{name} does not apply to init_from={values['init_from']}, which brings its own "
                f"network and weights. Received: {name}={overrides[name]}"
            )
    dropped = {*_NOT_WITH_A_FILE, "layer"} - {name for name in overrides if name == "layer"}
    return {name: value for name, value in values.items() if name not in dropped}
