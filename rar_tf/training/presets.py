"""Presets: data set x objective x schedule -> every setting of a run, as plain data."""

import dataclasses
import difflib

from rar_tf.objective import CATALOGUE

SCHEDULES = ("fast", "paper")


@dataclasses.dataclass(frozen=True)
class Preset:
    """Every setting that decides the weights; None where a setting does not apply.

    Attributes:
      dataset, objective, schedule, architecture: names.
      init_from: "scratch", "natural" (train a natural model first) or a `.keras` file.
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
      weight: lambda or beta of the objective.
      ig_steps, attack_ig_steps, ig_rule: quadrature in the gradient step and the attack.
      chunk: nodes in memory at once in the gradient step; None for all.
      validate_every, checkpoint_every: in steps.
    """

    dataset: str
    objective: str
    schedule: str
    architecture: str
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
    weight: float | None = None
    ig_steps: int | None = None
    attack_ig_steps: int | None = None
    ig_rule: str | None = None
    chunk: int | None = None
    validate_every: int = 500
    checkpoint_every: int = 250


# What the original experiments share per data set  [DESIGN: RAR's published code]
_PAPER = {
    "mnist": {
        "architecture": "small_cnn",
        "batch_size": 50,
        "max_steps": 100_000,
        "epsilon": 0.3,
        "attack_steps": 40,
        "attack_step_size": 0.01,
        "attack_ig_steps": 10,
        "weights": {"ig_norm": 1.0, "ig_sum_norm": 0.1},
    },
    "fashion_mnist": {
        "architecture": "small_cnn",
        "batch_size": 50,
        "max_steps": 100_000,
        "epsilon": 0.1,
        "attack_steps": 20,
        "attack_step_size": 0.01,
        "attack_ig_steps": 10,
        "weights": {"ig_norm": 1.0, "ig_sum_norm": 0.1},
    },
    "gtsrb": {
        "architecture": "gtsrb_resnet",
        "batch_size": 64,
        "max_steps": 70_000,
        "epsilon": 8 / 255,
        "attack_steps": 7,
        "attack_step_size": 2 / 255,
        "attack_ig_steps": 5,
        "weights": {"ig_norm": 1.0, "ig_sum_norm": 1.0},
    },
    "oxford_flowers17": {
        "architecture": "flower_resnet",
        "batch_size": 16,
        "max_steps": 70_000,
        "epsilon": 8 / 255,
        "attack_steps": 7,
        "attack_step_size": 2 / 255,
        "attack_ig_steps": 5,
        "weights": {"ig_norm": 0.1, "ig_sum_norm": 0.1},
    },
}
# (peak of a mean loss, peak of the original's summed IG losses, weight decay of either)
_MOMENTUM = {"gtsrb": (1e-2, 1e-2), "oxford_flowers17": (1e-2, 1e-3)}

# What the fast schedule takes where the papers give no values: 8-bit colour images.
_GENERIC = {"architecture": "resnet18", "epsilon": 8 / 255}

_FAST_WEIGHTS = {"ig_norm": 1.0, "ig_sum_norm": 0.1}


def resolve(
    dataset: str, objective: str, schedule: str = "fast", *, seed: int = 0, **overrides
) -> Preset:
    """The preset of (data set, objective, schedule) with single values overridden.

    Args:
      dataset: a name; "fast" takes any, "paper" those that [RAR] reports.
      objective: a name of `rar_tf.objective.CATALOGUE`.
      schedule: "fast" or "paper".
      seed: of the run.
      **overrides: fields of `Preset`; None leaves the preset's value.

    Raises:
      ValueError: an unknown name, or an override of a setting that does not apply.
    """
    _check_name("objective", objective, CATALOGUE)
    _check_name("schedule", schedule, SCHEDULES)
    if schedule == "paper":
        _check_name("dataset", dataset, _PAPER, " for --schedule=paper")
        values = _paper(dataset, objective)
    else:
        values = _fast(dataset, objective)
    preset = Preset(dataset=dataset, objective=objective, schedule=schedule, seed=seed, **values)
    overrides = {name: value for name, value in overrides.items() if value is not None}
    for name, value in overrides.items():
        if not hasattr(preset, name):
            known = [field.name for field in dataclasses.fields(Preset)]
            _check_name("setting", name, known)
        if getattr(preset, name) is None and name != "chunk":
            raise ValueError(
                f"{name} does not apply to objective={objective}, schedule={schedule}, "
                f"optimizer={preset.optimizer}. Received: {name}={value}"
            )
    return _checked(dataclasses.replace(preset, **overrides))


def differences(before: dict, after: dict) -> list[str]:
    """Lines `name: before -> after` for the settings in which two presets differ."""
    names = [*before, *(name for name in after if name not in before)]
    return [
        f"{name}: {before.get(name)!r} -> {after.get(name)!r}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _check_name(what, name, known, where=""):
    if name in known:
        return
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"{what} must be one of {', '.join(sorted(known))}{where}. Received: {what}={name!r}.{hint}"
    )


def _checked(preset: Preset) -> Preset:
    """The preset, if its numbers make sense.

    Raises:
      ValueError: otherwise.
    """
    for name in ("batch_size", "max_steps", "natural_steps", "ig_steps", "attack_ig_steps"):
        value = getattr(preset, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} must be >= 1. Received: {name}={value}")
    for name in ("learning_rate", "attack_step_size", "chunk"):
        value = getattr(preset, name)
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{name} must be > 0 and finite. Received: {name}={value}")
    for name in ("validate_every", "checkpoint_every"):
        if getattr(preset, name) < 1:
            raise ValueError(f"{name} must be >= 1. Received: {name}={getattr(preset, name)}")
    return preset


def _attack_settings(objective: str, values: dict) -> dict:
    """The settings that this objective uses, of those given."""
    if objective == "natural":
        return {}
    names = ["norm", "epsilon", "attack_steps", "attack_step_size"]
    if objective != "madry":
        names += ["weight", "ig_steps", "attack_ig_steps", "ig_rule"]
    return {name: values[name] for name in names}


def _paper(dataset: str, objective: str) -> dict:
    table = _PAPER[dataset]
    settings = {
        "norm": "inf",
        "ig_steps": 50,
        "ig_rule": "right",
        "weight": table["weights"].get(objective),
        **{name: value for name, value in table.items() if name != "weights"},
    }
    values = {
        "architecture": table["architecture"],
        "init_from": "scratch",
        "batch_size": table["batch_size"],
        "max_steps": table["max_steps"],
        "natural_steps": None,
        **_attack_settings(objective, settings),
    }
    if dataset in _MOMENTUM:
        mean_peak, summed_peak = _MOMENTUM[dataset]
        summed = "ig" in objective
        # The original sums its IG losses over the batch; ours are means.
        scale = table["batch_size"] if summed else 1
        return values | {
            "optimizer": "momentum",
            "learning_rate": (summed_peak if summed else mean_peak) * scale,
            "weight_decay": 2e-4 / scale,
            "lr_schedule": "piecewise",
            "lr_boundaries": (500, 60_000),
            "lr_factors": (0.1, 1.0, 0.1),
        }
    if objective == "natural":
        values["max_steps"] = 25_000
    return values | {
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "lr_schedule": "constant",
        "adam_epsilon": 1e-8,
    }


def _fast(dataset: str, objective: str) -> dict:
    table = _PAPER.get(dataset, _GENERIC)
    natural = objective == "natural"
    settings = {
        "norm": "inf",
        "epsilon": table["epsilon"],
        "attack_steps": 5,
        "attack_step_size": 0.3 * table["epsilon"],
        "weight": table.get("weights", _FAST_WEIGHTS).get(objective),
        "ig_steps": 3,
        "attack_ig_steps": 1,
        "ig_rule": "midpoint",
    }
    return {
        "architecture": table["architecture"],
        "init_from": "scratch" if natural else "natural",
        "batch_size": 128 if natural else 64,
        "max_steps": 1_300 if natural else 3_000,
        "natural_steps": None if natural else 1_300,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "lr_schedule": "warmup_cosine",
        "warmup_steps": 100,
        "adam_epsilon": 1e-7,
        **_attack_settings(objective, settings),
    }
