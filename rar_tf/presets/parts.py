"""The parts of a preset: frozen dataclasses that check themselves.

A field's metadata holds its name on disk and as a flag, its help and its topic in --help. A part or
a field that does not apply is None.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from rar_tf.attack import DECAYS, Attack, LpBall, Threat, TransportPenalty
from rar_tf.checks import check_count
from rar_tf.datasets import image_sides
from rar_tf.models import INITIALIZERS, PRECISIONS
from rar_tf.naming import check_name
from rar_tf.objective import Objective, construct, settings

WHAT = "What to train"
ATTACK = "The attack in training"
OPTIMIZATION = "Optimization"
VALIDATION = "Validation and checkpoints"
LR_SCHEDULES = ("constant", "warmup_cosine", "piecewise")
OPTIMIZERS = ("adam", "momentum")


def _field(
    help: str,
    topic: str,
    *,
    default: Any = dataclasses.MISSING,
    name: str | None = None,
    choices: Sequence[str] = (),
    optional: bool = False,
) -> Any:
    """A field with its metadata; `optional` may be set also where the preset leaves it None."""
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
    """Base of the parts: the type of each field is checked on construction."""

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


@dataclasses.dataclass(frozen=True)
class DataSettings(Part):
    """Which data set, and the size of its images."""

    name: str = _field("Data set.", WHAT, name="dataset")
    image_size: tuple[int, ...] | None = _field(
        "Height and width that images are scaled to, as HEIGHT,WIDTH or the side of a square.",
        WHAT,
        default=None,
        optional=True,
    )

    def check(self) -> None:
        object.__setattr__(self, "image_size", image_sides(self.image_size))


@dataclasses.dataclass(frozen=True)
class ModelSettings(Part):
    """The classifier and the weights that training starts from."""

    architecture: str | None = _field(
        "Architecture of the classifier; None for that of a .keras file.", WHAT, default=None
    )
    init_from: str = _field(
        "Weights to start from: scratch, natural (train a natural model first) or a .keras file.",
        WHAT,
        default="scratch",
    )
    natural_steps: int | None = _field(
        "Optimizer steps of the natural start.", OPTIMIZATION, default=None
    )
    initializer: str | None = _field(
        f"Weight initializer: {', '.join(INITIALIZERS)}, or own for the architecture's.",
        WHAT,
        default=None,
        optional=True,
    )
    init_scale: float | None = _field(
        "Factor of the initial kernels.", WHAT, default=None, optional=True
    )
    first_init_scale: float | None = _field(
        "Factor of the first initial kernel; init_scale by default.",
        WHAT,
        default=None,
        optional=True,
    )

    @property
    def from_file(self) -> bool:
        """Whether the classifier comes from a `.keras` file."""
        return self.init_from.endswith(".keras")

    def check(self) -> None:
        if self.init_from not in ("scratch", "natural") and not self.from_file:
            raise ValueError(
                "init_from must be scratch, natural or a .keras file. "
                f"Received: init_from={self.init_from}"
            )
        if self.architecture is None and not self.from_file:
            raise ValueError("architecture must be given. Received: None")
        if self.initializer is not None:
            check_name("initializer", self.initializer, INITIALIZERS)
        self._counts("natural_steps")
        self._positive("init_scale", "first_init_scale")


@dataclasses.dataclass(frozen=True)
class ObjectiveSettings(Part):
    """An objective by name, and the settings of its constructor."""

    name: str = _field("Objective to minimize.", WHAT, name="objective")
    values: dict[str, Any] = dataclasses.field(
        default_factory=dict, metadata={"name": None, "topic": None}
    )

    def check(self) -> None:
        defaults = {
            name: setting.default
            for name, setting in settings(self.name).items()
            if not setting.required
        }
        given = {name: value for name, value in self.values.items() if value is not None}
        object.__setattr__(self, "values", defaults | given)
        self.build()

    def build(self) -> Objective:
        """The objective."""
        return construct(self.name, self.values)


@dataclasses.dataclass(frozen=True)
class BallSettings(Part):
    """Inner maximization inside an lp ball around the image."""

    norm: str | int = _field(
        "Norm of the ball: inf or 2.", ATTACK, default="inf", choices=("inf", "2")
    )
    epsilon: float = _field(
        "Radius of the ball, in pixel units (pixels in [0, 1]).", ATTACK, default=0.1
    )
    steps: int = _field("Steps of the inner maximization.", ATTACK, default=2, name="attack_steps")
    step_size: float = _field(
        "Size of the attack's first step, in pixel units.",
        ATTACK,
        default=0.1,
        name="attack_step_size",
    )
    decay: str | None = _field(
        "Decay of the attack's step size: constant, or linear to 0.",
        ATTACK,
        default=None,
        name="attack_decay",
        choices=DECAYS,
        optional=True,
    )

    def check(self) -> None:
        self._positive("step_size")
        if self.decay is not None:
            check_name("attack_decay", self.decay, DECAYS)
        self.build()

    def threat(self) -> Threat:
        """The allowed set."""
        return LpBall(norm=self.norm, epsilon=self.epsilon)

    def build(self) -> Attack:
        """The inner maximization."""
        decay = self.decay or "constant"
        return Attack(self.threat(), steps=self.steps, step_size=self.step_size, decay=decay)


@dataclasses.dataclass(frozen=True)
class TransportSettings(Part):
    """Inner maximization at a price for moving, without a ball  [RAR eq. 7]."""

    gamma: float = _field(
        "Price of moving an image, in nats per unit of squared distance.", ATTACK, default=1.0
    )
    steps: int = _field("Steps of the inner maximization.", ATTACK, default=5, name="attack_steps")
    step_size: float = _field(
        "Size of the attack's first step, in pixel units.",
        ATTACK,
        default=0.1,
        name="attack_step_size",
    )
    decay: str | None = _field(
        "Decay of the attack's step size: constant, or linear to 0.",
        ATTACK,
        default=None,
        name="attack_decay",
        choices=DECAYS,
        optional=True,
    )

    check = BallSettings.check
    build = BallSettings.build

    def threat(self) -> Threat:
        """The allowed set."""
        return TransportPenalty(self.gamma)


@dataclasses.dataclass(frozen=True)
class OptimizerSettings(Part):
    """How the weights are optimized."""

    batch_size: int = _field("Global batch size.", OPTIMIZATION)
    max_steps: int = _field("Optimizer steps.", WHAT)
    learning_rate: float = _field("Peak learning rate.", OPTIMIZATION)
    name: str = _field(
        "Optimizer: adam, or SGD with momentum 0.9.",
        OPTIMIZATION,
        default="adam",
        name="optimizer",
        choices=OPTIMIZERS,
    )
    lr_schedule: str = _field(
        "Learning rate schedule: constant, warmup_cosine (from and to 0) or piecewise.",
        OPTIMIZATION,
        default="constant",
        choices=LR_SCHEDULES,
    )
    warmup_steps: int | None = _field(
        "Steps over which warmup_cosine raises the learning rate.",
        OPTIMIZATION,
        default=None,
        optional=True,
    )
    lr_boundaries: tuple[int, ...] | None = _field(
        "Steps at which the piecewise learning rate changes, ascending.",
        OPTIMIZATION,
        default=None,
        optional=True,
    )
    lr_factors: tuple[float, ...] | None = _field(
        "Factors of the piecewise learning rate, one more than lr_boundaries.",
        OPTIMIZATION,
        default=None,
        optional=True,
    )
    adam_epsilon: float | None = _field(
        "Epsilon of Adam.", OPTIMIZATION, default=None, optional=True
    )
    weight_decay: float = _field(
        "Factor wd of the L2 loss wd * sum w^2 / 2 on kernels.", OPTIMIZATION, default=0.0
    )
    precision: str = _field(
        "Precision of the computation; weights stay float32.",
        OPTIMIZATION,
        default="float32",
        choices=PRECISIONS,
    )
    ema: float | None = _field(
        "Momentum of the weights' moving average, which is validated and saved; none by default.",
        OPTIMIZATION,
        default=None,
        optional=True,
    )

    def check(self) -> None:
        self._counts("batch_size", "max_steps")
        self._counts("warmup_steps", least=0)
        self._positive("learning_rate", "adam_epsilon")
        check_name("precision", self.precision, PRECISIONS)
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must be in (0, 1). Received: ema={self.ema}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                f"weight_decay must be finite and >= 0. Received: weight_decay={self.weight_decay}"
            )
        for name, value, known in (
            ("optimizer", self.name, OPTIMIZERS),
            ("lr_schedule", self.lr_schedule, LR_SCHEDULES),
        ):
            if value not in known:
                raise ValueError(f"{name} must be {_listed(known)}. Received: {name}={value!r}")
        if self.lr_schedule == "warmup_cosine":
            self._needed("warmup_steps", f"lr_schedule={self.lr_schedule}")
        if self.name == "adam":
            self._needed("adam_epsilon", f"optimizer={self.name}")
        if self.lr_schedule == "piecewise":
            self._check_piecewise()

    def _check_piecewise(self) -> None:
        boundaries = self._needed("lr_boundaries", f"lr_schedule={self.lr_schedule}")
        factors = self._needed("lr_factors", f"lr_schedule={self.lr_schedule}")
        if len(factors) != len(boundaries) + 1:
            raise ValueError(
                "lr_factors must have one value more than lr_boundaries. "
                f"Received: lr_boundaries={boundaries}, lr_factors={factors}"
            )
        if list(boundaries) != sorted(set(boundaries)) or min(boundaries, default=1) < 1:
            raise ValueError(
                f"lr_boundaries must be >= 1 and ascending. Received: lr_boundaries={boundaries}"
            )
        if not all(0 <= factor < math.inf for factor in factors):
            raise ValueError(f"lr_factors must be finite and >= 0. Received: lr_factors={factors}")

    def _needed(self, name: str, where: str) -> Any:
        if getattr(self, name) is None:
            raise ValueError(f"{name} must be given for {where}. Received: None")
        return getattr(self, name)


@dataclasses.dataclass(frozen=True)
class ValidationSettings(Part):
    """How often a run validates and saves."""

    validate_every: int = _field("Steps between validations.", VALIDATION, default=500)
    checkpoint_every: int = _field("Steps between checkpoints.", VALIDATION, default=250)

    def check(self) -> None:
        self._counts("validate_every", "checkpoint_every")


AttackSettings = BallSettings | TransportSettings
# What an objective's `threat` names.
ATTACKS: Mapping[str | None, type[AttackSettings] | None] = {
    "ball": BallSettings,
    "transport": TransportSettings,
    None: None,
}
PARTS: tuple[type[Part], ...] = (
    DataSettings,
    ModelSettings,
    ObjectiveSettings,
    BallSettings,
    TransportSettings,
    OptimizerSettings,
    ValidationSettings,
)


def flat_fields(part: type[Part]) -> dict[str, dataclasses.Field]:
    """Fields of a part that stand on disk under a name of their own, by that name."""
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
    """Raises ValueError unless the value is of the field's type; an integer is a float too."""
    kinds = kinds_of(field)
    if float in kinds:
        kinds = (*kinds, int)
    parts = value if isinstance(value, tuple) else ()
    if (
        not isinstance(value, kinds)
        or (isinstance(value, bool) and bool not in kinds)
        or not all(isinstance(part, (int, float)) for part in parts)
    ):
        name = name_of(field)
        wanted = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
        raise ValueError(f"{name} must be of type {wanted}. Received: {name}={value!r}")


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
