"""The map that an attribution attack is about: that of the label's logit."""

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from rar_tf.attribution import (
    input_gradient,
    integrated_gradients,
    label_logit,
    nodes_and_weights,
    saliency,
    smooth_grad,
)

ATTRIBUTIONS = ("integrated_gradients", "input_gradient", "smooth_grad")


@dataclasses.dataclass(frozen=True)
class LabelMap:
    """How the label's logit `f_y` is explained.

    Attributes:
      attribution: "integrated_gradients" from a black image, "input_gradient" (the Simple
        Gradient of [GAZ17]) or "smooth_grad".
      steps: intervals of the quadrature, or noisy samples; unused by "input_gradient".
      rule: quadrature rule; "right" is what the original implementation computes.
      sigma: standard deviation of SmoothGrad's noise, in pixel units.

    Raises:
      ValueError: an unknown attribution or rule, steps < 1, or sigma < 0.
    """

    attribution: str = "integrated_gradients"
    steps: int = 100
    rule: str = "right"
    sigma: float = 0.1

    def __post_init__(self):
        if self.attribution not in ATTRIBUTIONS:
            raise ValueError(
                f"attribution must be one of {ATTRIBUTIONS}. "
                f"Received: attribution={self.attribution!r}"
            )
        nodes_and_weights(self.rule, self.steps)
        if not self.sigma >= 0:
            raise ValueError(f"sigma must be >= 0. Received: sigma={self.sigma}")

    def attribute(
        self,
        classifier: keras.Model,
        x: tf.Tensor,
        y: tf.Tensor,
        *,
        chunk: int | None = None,
        first_row: tf.Tensor | int = 0,
        shift: tf.Tensor | float = 0.0,
    ) -> tf.Tensor:
        """The signed attribution [B, H, W, C], in logits; differentiable by x alone.

        Args:
          classifier: images -> logits.
          x: [B, H, W, C] float32, pixels in [0, 1].
          y: [B] int, labels.
          chunk: nodes or samples per call of the classifier; None for all at once.
          first_row: number of the first row among all rows, which SmoothGrad's noise is keyed by.
          shift: of the nodes of integrated gradients, see there.
        """
        output = label_logit(classifier)
        if self.attribution == "input_gradient":
            return input_gradient(output, x, y)
        options: dict[str, Any] = {"chunk": chunk, "weight_gradients": False}
        if self.attribution == "smooth_grad":
            return smooth_grad(
                output,
                x,
                y,
                samples=self.steps,
                sigma=self.sigma,
                seed=tf.constant([0, 0]),
                first_row=first_row,
                **options,
            )
        return integrated_gradients(
            output,
            x,
            y,
            baseline=tf.zeros_like(x),
            steps=self.steps,
            rule=self.rule,
            shift=shift,
            **options,
        )

    def __call__(self, classifier: keras.Model, x: tf.Tensor, y: tf.Tensor, **options) -> tf.Tensor:
        """`saliency` of the attribution: [B, H, W], >= 0, of mean 1; options as `attribute`."""
        return saliency(self.attribute(classifier, x, y, **options))
