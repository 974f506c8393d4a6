"""Convention: how a user's classifier takes images and gives classes."""

import dataclasses
from typing import Any

from rar_tf.models.pixels import PIXELS, PixelFn
from rar_tf.models.to_logits import OUTPUTS
from rar_tf.naming import check_name, find, is_custom


@dataclasses.dataclass(frozen=True)
class Convention:
    """How a classifier takes pixels and gives classes, as far as its user says it.

    Attributes:
      pixels: pixels that it takes: a name of `PIXELS`, "MODULE:FUNCTION" or a function, from images
        [B, H, W, C] in [0, 1] to them, differentiable in TensorFlow. "auto" is what its layers
        show, else [0, 1].
      outputs: kind of its outputs, one of `OUTPUTS`, see `to_logits`.
      output_name: name of the output that classifies, of a model with several; or its number.
    """

    pixels: str | PixelFn = "auto"
    outputs: str = "auto"
    output_name: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.pixels) and not is_custom(self.pixels):
            check_name("pixels", self.pixels, PIXELS, " or a custom MODULE:FUNCTION")
        if self.outputs not in OUTPUTS:
            raise ValueError(
                f"outputs must be one of {OUTPUTS}. Received: outputs={self.outputs!r}"
            )

    @property
    def functions(self) -> tuple[PixelFn, ...]:
        """The custom function of pixels, if there is one."""
        if callable(self.pixels):
            return (self.pixels,)
        return (find("pixels", self.pixels, {}),) if is_custom(self.pixels) else ()


@dataclasses.dataclass(frozen=True)
class Conversions:
    """What stands between images in [0, 1] [B, H, W, C] and a classifier, and behind it.

    Attributes:
      pixels: pixels that the classifier takes: a name, "MODULE:FUNCTION" or "preprocessor".
      pixels_by: "user", "layers" (what its layers compute), "family" (names of its layers) or
        "default".
      outputs: conversion of its outputs, a name of `CONVERSIONS`.
      output_name: name of the output that classifies; None for the only one.
      data_format: "channels_last" or "channels_first".
      descriptions: what is done, in words; empty for nothing.
    """

    pixels: str = "0..1"
    pixels_by: str = "default"
    outputs: str = "logits"
    output_name: str | None = None
    data_format: str = "channels_last"
    descriptions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The descriptions as one line."""
        return "; ".join(self.descriptions)

    def to_plain(self) -> dict[str, Any]:
        """The conversions as plain data, for reports and cards."""
        return dataclasses.asdict(self) | {"descriptions": list(self.descriptions)}
