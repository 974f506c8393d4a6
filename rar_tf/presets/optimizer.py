"""OptimizerSettings: the part of a preset about optimization."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from rar_tf.models import AUTO, PRECISIONS
from rar_tf.naming import check_name
from rar_tf.presets.part import OPTIMIZATION, TRAINING, Part, setting

LR_SCHEDULES = ("constant", "warmup_cosine", "piecewise")
OPTIMIZERS = ("adam", "momentum")


@dataclasses.dataclass(frozen=True)
class OptimizerSettings(Part):
    """Settings of the optimizer, its learning rate and its precision."""

    batch_size: int = setting("Number of images in a batch, over all devices.", OPTIMIZATION)
    max_steps: int = setting("Number of optimizer steps.", TRAINING)
    learning_rate: float = setting("Peak learning rate.", OPTIMIZATION)
    name: str = setting(
        "Optimizer: adam, or SGD with momentum 0.9.",
        OPTIMIZATION,
        default="adam",
        name="optimizer",
        choices=OPTIMIZERS,
    )
    lr_schedule: str = setting(
        "Learning rate schedule: constant, warmup_cosine (from and to 0) or piecewise.",
        OPTIMIZATION,
        default="constant",
        choices=LR_SCHEDULES,
    )
    warmup_steps: int | None = setting(
        "Number of steps over which warmup_cosine raises the learning rate.",
        OPTIMIZATION,
        default=None,
        optional=True,
    )
    lr_boundaries: tuple[int, ...] | None = setting(
        "Steps at which the piecewise learning rate changes, ascending.",
        OPTIMIZATION,
        default=None,
        optional=True,
    )
    lr_factors: tuple[float, ...] | None = setting(
        "Factors of the piecewise learning rate, one more than lr_boundaries.",
        OPTIMIZATION,
        default=None,
        optional=True,
    )
    adam_epsilon: float | None = setting(
        "Epsilon in the denominator of Adam.", OPTIMIZATION, default=None, optional=True
    )
    weight_decay: float = setting(
        "Factor wd of the L2 loss wd * sum w^2 / 2 on kernels.", OPTIMIZATION, default=0.0
    )
    precision: str = setting(
        "Precision of the computation; weights stay float32. auto: bfloat16 where a trial shows "
        "that it works and is faster.",
        OPTIMIZATION,
        default="float32",
        choices=(AUTO, *PRECISIONS),
    )
    ema: float | None = setting(
        "Momentum of the moving average of the weights; the average is validated and saved.",
        OPTIMIZATION,
        default=None,
        optional=True,
    )

    def check(self) -> None:
        self._counts("batch_size", "max_steps")
        self._counts("warmup_steps", least=0)
        self._positive("learning_rate", "adam_epsilon")
        check_name("precision", self.precision, (AUTO, *PRECISIONS))
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must be in (0, 1). Received: ema={self.ema}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                f"weight_decay must be finite and >= 0. Received: weight_decay={self.weight_decay}"
            )
        for name, value, allowed in (
            ("optimizer", self.name, OPTIMIZERS),
            ("lr_schedule", self.lr_schedule, LR_SCHEDULES),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be {_listed(allowed)}. Received: {name}={value!r}")
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


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
