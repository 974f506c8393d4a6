"""Presets: data set x objective x schedule -> every setting of a run, as plain data."""

import dataclasses
import types
import typing
from typing import Any

from rar_tf.attack import DECAYS
from rar_tf.checks import check_count
from rar_tf.datasets import image_sides
from rar_tf.models import INITIALIZERS, PRECISIONS
from rar_tf.naming import check_name, is_own
from rar_tf.objective import constructor
from rar_tf.training.schedules import FAST_INIT_SCALES, SCHEDULES, objective_settings


@dataclasses.dataclass(frozen=True)
class Preset:
    """Every setting that decides the weights; None where a setting does not apply.

    Attributes:
      dataset, objective, schedule: names; the first two may be "module:function".
      architecture: a name or "module:function"; None for that of the `.keras` file.
      init_from: "scratch", "natural" (train a natural model first) or a `.keras` file: one's
        own classifier, trained on from its weights.
      seed: of initial weights, data order and attack starts.
      batch_size, max_steps: of the global batch; optimizer steps.
      natural_steps: optimizer steps of the natural start.
      optimizer: "adam" or "momentum" (0.9).
      learning_rate: its peak.
      lr_schedule: "constant", "warmup_cosine" (from and to 0) or "piecewise".
      warmup_steps: of "warmup_cosine".
      lr_boundaries, lr_factors: of "piecewise"; factors of `learning_rate`.
      adam_epsilon: Adam's epsilon.
      weight_decay: factor of the L2 loss wd * sum w^2 / 2 on kernels.
      norm, epsilon: of the threat; epsilon in pixel units ([0, 1]).
      attack_steps, attack_step_size: of the inner maximization.
      attack_decay: of its step size, "constant" or "linear" (to 0); None for the first.
      gamma: price of moving, of "distributional".
      weight: lambda or beta of the objective.
      ig_steps, attack_ig_steps, ig_rule: quadrature in the gradient step and the attack, which
        with 0 nodes ascends the loss instead.
      completeness: whether the gradient step gives its norm what the quadrature misses.
      chunk: nodes in memory at once in the gradient step; None for all.
      q: of "input_gradient".
      layer: of "layer_ig_norm".
      attribution, dissimilarity: S and d_s of "far" and "adv_far".
      softplus_beta: sharpness of the second derivatives in FAR's attacks.
      base: "clean" or "adversarial", of "align".
      options: settings of one's own objective beside those named here.
      precision: "float32" or "mixed_bfloat16", of the computation; weights stay float32.
      ema: momentum of the average of the weights that is validated and saved; None for the
        last weights.
      validate_every, checkpoint_every: in steps.
      image_size: (height, width) that images are scaled to; None for the data set's own.
      initializer: of `rar_tf.models.INITIALIZERS`; None for the architecture's own, which as an
        override is called "own".
      init_scale: factor of the initial kernels; None for 1.
      first_init_scale: that of the first kernel; None for `init_scale`.
    """

    dataset: str
    objective: str
    schedule: str
    architecture: str | None
    init_from: str
    seed: int
    batch_size: int
    max_steps: int
    natural_steps: int | None
    optimizer: str
    learning_rate: float
    lr_schedule: str
    warmup_steps: int | None = None
    lr_boundaries: tuple[int, ...] | None = None
    lr_factors: tuple[float, ...] | None = None
    adam_epsilon: float | None = None
    weight_decay: float = 0.0
    norm: str | int | None = None
    epsilon: float | None = None
    attack_steps: int | None = None
    attack_step_size: float | None = None
    attack_decay: str | None = None
    gamma: float | None = None
    weight: float | None = None
    ig_steps: int | None = None
    attack_ig_steps: int | None = None
    ig_rule: str | None = None
    completeness: bool | None = None
    chunk: int | None = None
    q: float | None = None
    layer: str | None = None
    attribution: str | None = None
    dissimilarity: str | None = None
    softplus_beta: float | None = None
    base: str | None = None
    options: dict[str, Any] | None = None
    precision: str = "float32"
    ema: float | None = None
    validate_every: int = 500
    checkpoint_every: int = 250
    image_size: tuple[int, int] | None = None
    initializer: str | None = None
    init_scale: float | None = None
    first_init_scale: float | None = None


# A `.keras` file brings its own.
_NOT_WITH_A_FILE = (
    "architecture",
    "initializer",
    "init_scale",
    "first_init_scale",
    "natural_steps",
)
# What any preset may be given: another lr_schedule or optimizer may need what its own has not.
_FREE: tuple[str, ...] = (
    "warmup_steps",
    "lr_boundaries",
    "lr_factors",
    "adam_epsilon",
    "ema",
    "image_size",
    "initializer",
    "init_scale",
    "first_init_scale",
)


def resolve(
    dataset: str, objective: str, schedule: str = "fast", *, seed: int = 0, **overrides
) -> Preset:
    """The preset of (data set, objective, schedule) with single values overridden.

    Args:
      dataset: a name; "fast" takes any, "paper" those that the paper reports.
      objective: a name of `rar_tf.objective.CATALOGUE`, or "module:function" of one's own,
        whose arguments' defaults then are the preset's.
      schedule: "fast" or "paper".
      seed: of the run.
      **overrides: fields of `Preset`; None leaves the preset's value.

    Raises:
      ValueError: an unknown name, or an override of a setting that does not apply.
    """
    constructor(objective)
    check_name("schedule", schedule, SCHEDULES)
    values = SCHEDULES[schedule](dataset, objective)
    preset = Preset(dataset=dataset, objective=objective, schedule=schedule, seed=seed, **values)
    overrides = {name: value for name, value in overrides.items() if value is not None}
    for name, value in overrides.items():
        if not applies(preset, name):
            raise ValueError(
                f"{name} does not apply to objective={objective}, schedule={schedule}, "
                f"optimizer={preset.optimizer}. Received: {name}={value}"
            )
    if "image_size" in overrides:
        overrides["image_size"] = image_sides(overrides["image_size"])
    if "options" in overrides:
        overrides["options"] = _options(preset, overrides["options"])
    if "initializer" in overrides:  # as it is, unless it is scaled as well
        overrides = {"init_scale": None, "first_init_scale": None, **overrides}
        if overrides["initializer"] == "own":
            overrides["initializer"] = None
    preset = dataclasses.replace(preset, **overrides)
    if schedule == "fast":
        scales = FAST_INIT_SCALES.get(preset.architecture or "", {})
        unset: dict[str, Any] = {
            name: value for name, value in scales.items() if name not in overrides
        }
        preset = dataclasses.replace(preset, **unset)
    for field in dataclasses.fields(preset):
        _check_type(field, getattr(preset, field.name))
    if preset.init_from.endswith(".keras"):
        for name in _NOT_WITH_A_FILE:
            if name in overrides:
                raise ValueError(
                    f"{name} does not apply to init_from={preset.init_from}, which brings its own "
                    f"network and weights. Received: {name}={overrides[name]}"
                )
        without: dict[str, Any] = dict.fromkeys(_NOT_WITH_A_FILE)
        preset = dataclasses.replace(preset, **without, layer=overrides.get("layer"))
    return _checked(preset)


def applies(preset: Preset, name: str) -> bool:
    """Whether a setting means something for the preset's objective.

    Raises:
      ValueError: there is no such setting.
    """
    check_name("setting", name, [field.name for field in dataclasses.fields(Preset)])
    free = _FREE
    settings = objective_settings(preset.objective)
    if is_own(preset.objective):
        free += (*settings, "gamma")
    elif "ig_steps" in settings:
        free += ("chunk", "layer")
    if preset.attack_steps is not None:
        free += ("attack_decay",)
    return getattr(preset, name) is not None or name in free


def natural_start(preset: Preset) -> Preset:
    """Of the natural model that this preset starts from, where `init_from` is "natural"."""
    return resolve(
        preset.dataset,
        "natural",
        "fast",
        seed=preset.seed,
        architecture=preset.architecture,
        initializer=preset.initializer or "own",
        init_scale=preset.init_scale,
        first_init_scale=preset.first_init_scale,
        image_size=preset.image_size,
        precision=preset.precision,
        max_steps=preset.natural_steps,
    )


def _options(preset: Preset, given: dict[str, Any]) -> dict[str, Any]:
    """The options of one's own objective, some of them overridden by values of the same type."""
    defaults = preset.options or {}
    for name, value in given.items():
        check_name("option", name, defaults, f", the further settings of {preset.objective}")
        default = defaults[name]
        kinds = (int, float) if type(default) is float else (type(default),)
        if default is not None and type(value) not in kinds:
            raise ValueError(
                f"option {name} must be a {type(default).__name__}, as its default {default!r}. "
                f"Received: {name}={value!r}"
            )
    return defaults | given


def differences(before: dict, after: dict) -> list[str]:
    """Lines `name: before -> after` for the settings in which two presets differ."""
    names = [*before, *(name for name in after if name not in before)]
    return [
        f"{name}: {before.get(name)!r} -> {after.get(name)!r}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _checked(preset: Preset) -> Preset:
    """The preset, if its numbers make sense.

    Raises:
      ValueError: otherwise.
    """
    check_count("seed", preset.seed, 0)
    for name in ("batch_size", "max_steps", "natural_steps", "ig_steps"):
        value = getattr(preset, name)
        if value is not None:
            check_count(name, value)
    if preset.attack_ig_steps is not None:
        check_count("attack_ig_steps", preset.attack_ig_steps, 0)
    if preset.init_from not in ("scratch", "natural") and preset.architecture is not None:
        raise ValueError(
            "init_from must be scratch, natural or a .keras file. "
            f"Received: init_from={preset.init_from}"
        )
    if preset.initializer is not None:
        check_name("initializer", preset.initializer, INITIALIZERS)
    positive = ("learning_rate", "attack_step_size", "chunk", "init_scale", "first_init_scale")
    for name in positive:
        value = getattr(preset, name)
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{name} must be > 0 and finite. Received: {name}={value}")
    if preset.ema is not None and not 0 < preset.ema < 1:
        raise ValueError(f"ema must be in (0, 1). Received: ema={preset.ema}")
    if preset.attack_decay is not None:
        check_name("attack_decay", preset.attack_decay, DECAYS)
    check_name("precision", preset.precision, PRECISIONS)
    for name in ("validate_every", "checkpoint_every"):
        check_count(name, getattr(preset, name))
    return preset


def _check_type(field, value):
    """Raises ValueError unless the value is of the field's type; an integer is a number too."""
    kinds = typing.get_args(field.type) if isinstance(field.type, types.UnionType) else [field.type]
    plain = [typing.get_origin(kind) or kind for kind in kinds]
    if float in plain:
        plain.append(int)
    parts = value if isinstance(value, tuple) else ()
    if (
        not isinstance(value, tuple(plain))
        or (isinstance(value, bool) and bool not in plain)
        or not all(isinstance(part, (int, float)) for part in parts)
    ):
        wanted = " or ".join(getattr(kind, "__name__", str(kind)) for kind in plain)
        raise ValueError(f"{field.name} must be of type {wanted}. Received: {field.name}={value!r}")
