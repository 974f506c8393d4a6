"""Parts of a preset: frozen dataclasses that validate their fields.

The metadata of a field holds its name on disk and as a flag, its help and its topic in --help. A
part or a field that does not apply is None.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from rar_tf.attack import DECAYS, Attack, LpBall, Threat, TransportPenalty
from rar_tf.checks import levels_hint
from rar_tf.datasets import image_sides
from rar_tf.datasets.class_order import given_classes
from rar_tf.datasets.pixels import RESIZES
from rar_tf.datasets.read_files import Form
from rar_tf.datasets.registry import check_custom_settings
from rar_tf.naming import check_name
from rar_tf.objective import Objective, construct, settings
from rar_tf.presets.model import ModelSettings
from rar_tf.presets.optimizer import OptimizerSettings
from rar_tf.presets.part import ATTACK, TRAINING, VALIDATION, Part, setting


@dataclasses.dataclass(frozen=True)
class DataSettings(Part):
    """Settings of the data: the data set, and the size of its images."""

    name: str = setting("Data set.", TRAINING, name="dataset")
    image_size: tuple[int, ...] | None = setting(
        "Height and width that images are scaled to, as HEIGHT,WIDTH or the side of a square.",
        TRAINING,
        default=None,
        optional=True,
    )

    resize: str | None = setting(
        "Way of scaling to image_size: stretch takes the whole image, crop the largest part of the "
        "size's aspect ratio, pad adds black borders. None: stretch.",
        TRAINING,
        default=None,
        choices=RESIZES,
        optional=True,
    )
    channels: int | None = setting(
        "Channels of custom images: 1 for gray, 3 for RGB. None: 3, or what arrays have.",
        TRAINING,
        default=None,
        optional=True,
    )
    classes: tuple[str, ...] | None = setting(
        "Class names of custom data in the order that numbers them, or a .txt file of them.",
        TRAINING,
        default=None,
        optional=True,
    )

    def check(self) -> None:
        sides = image_sides(self.image_size)
        object.__setattr__(self, "image_size", sides)
        object.__setattr__(self, "classes", given_classes(self.classes))
        Form(sides, self.resize or "stretch", self.channels)
        check_custom_settings(self.name, self.for_custom_data)

    @property
    def for_custom_data(self) -> dict[str, Any]:
        """Settings of custom data, arguments of `datasets.load`."""
        return {"resize": self.resize, "channels": self.channels, "classes": self.classes}


@dataclasses.dataclass(frozen=True)
class ObjectiveSettings(Part):
    """Settings of the objective: its name, and the arguments of its constructor."""

    name: str = setting("Objective to minimize.", TRAINING, name="objective")
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
        """The objective with these settings."""
        return construct(self.name, self.values)


@dataclasses.dataclass(frozen=True)
class AttackSettings(Part):
    """Settings of the inner maximization: its steps; subclasses add the allowed set."""

    steps: int = setting(
        "Number of steps of the attack (inner maximization).",
        ATTACK,
        default=2,
        name="attack_steps",
    )
    step_size: float = setting(
        "Size of the attack's first step, in pixel units.",
        ATTACK,
        default=0.1,
        name="attack_step_size",
    )
    decay: str | None = setting(
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
        raise NotImplementedError

    def build(self) -> Attack:
        """The attack with these settings."""
        decay = self.decay or "constant"
        return Attack(self.threat(), steps=self.steps, step_size=self.step_size, decay=decay)


@dataclasses.dataclass(frozen=True)
class BallSettings(AttackSettings):
    """Settings of the inner maximization inside an lp ball around the image."""

    norm: str | int = setting(
        "Norm of the ball: inf or 2.", ATTACK, default="inf", choices=("inf", "2")
    )
    epsilon: float = setting(
        "Radius of the ball, in pixel units (pixels in [0, 1]).", ATTACK, default=0.1
    )

    def threat(self) -> LpBall:
        """The allowed set."""
        return LpBall(norm=self.norm, epsilon=self.epsilon)

    def check(self) -> None:
        super().check()
        if self.norm == "inf" and self.step_size > 1:
            raise ValueError(
                "attack_step_size must be <= 1, the range of a pixel. Received: "
                f"attack_step_size={self.step_size:g}{levels_hint(self.step_size)}"
            )


@dataclasses.dataclass(frozen=True)
class TransportSettings(AttackSettings):
    """Settings of the inner maximization with a transport cost, without a ball  [RAR eq. 7]."""

    gamma: float = setting(
        "Factor of the transport cost, in nats per unit of squared distance.", ATTACK, default=1.0
    )

    def threat(self) -> TransportPenalty:
        """The allowed set."""
        return TransportPenalty(self.gamma)


@dataclasses.dataclass(frozen=True)
class ValidationSettings(Part):
    """Settings of validation and checkpoints: how many steps lie between them."""

    validate_every: int = setting("Number of steps between validations.", VALIDATION, default=500)
    checkpoint_every: int = setting("Number of steps between checkpoints.", VALIDATION, default=250)

    def check(self) -> None:
        self._counts("validate_every", "checkpoint_every")


# Settings of the attack by an objective's `threat`.
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
