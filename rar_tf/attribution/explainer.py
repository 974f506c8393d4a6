"""Explainer: the map and the output that explain a prediction."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from rar_tf.attribution.gradients import input_gradient, integrated_gradients, smooth_grad
from rar_tf.attribution.outputs import label_logit
from rar_tf.attribution.quadrature import nodes_and_weights
from rar_tf.attribution.saliency import saliency

METHODS = ("integrated_gradients", "input_gradient", "smooth_grad")
# (classifier, images [B, H, W, C], classes [B]) -> differentiable map [B, H, W, C]
AttributionFn = Callable[[keras.Model, tf.Tensor, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Explainer:
    """Map that explains the logit `f_y` of a class.

    Attributes:
      method: "integrated_gradients", "input_gradient" (the Simple Gradient of [GAZ17]),
        "smooth_grad", or a custom function (classifier, x, classes) -> map [B, H, W, C].
      steps: number of quadrature intervals, or of noisy samples of "smooth_grad"; ignored
        by other methods.
      rule: quadrature rule; "right" is what the original implementation computes.
      sigma: standard deviation of SmoothGrad's noise, in pixel units.
      baseline: pixel value of the uniform image where the path of integrated gradients starts;
        0 is black.

    Raises:
      ValueError: an unknown method or rule, steps < 1, sigma < 0, or a baseline outside [0, 1].
    """

    method: str | AttributionFn = "integrated_gradients"
    steps: int = 100
    rule: str = "right"
    sigma: float = 0.1
    baseline: float = 0.0

    def __post_init__(self) -> None:
        if not callable(self.method) and self.method not in METHODS:
            raise ValueError(f"method must be one of {METHODS}. Received: method={self.method!r}")
        nodes_and_weights(self.rule, self.steps)
        if not self.sigma >= 0:
            raise ValueError(f"sigma must be >= 0. Received: sigma={self.sigma}")
        if not 0 <= self.baseline <= 1:
            raise ValueError(f"baseline must be in [0, 1]. Received: baseline={self.baseline}")

    def attribution(
        self,
        classifier: keras.Model,
        x: tf.Tensor,
        y: tf.Tensor,
        *,
        baseline: tf.Tensor | None = None,
        nodes_per_pass: int | None = None,
        first_row: tf.Tensor | int = 0,
        shift: tf.Tensor | float = 0.0,
        weight_gradients: bool = False,
    ) -> tf.Tensor:
        """Signed attribution [B, H, W, C], in logits; differentiable by x.

        Args:
          classifier: images -> logits.
          x: [B, H, W, C] float32, pixels in [0, 1].
          y: [B] int, classes.
          baseline: [B, H, W, C] in place of the uniform image.
          nodes_per_pass: nodes or samples in one pass of the classifier; None for all.
          first_row: number of the first row among all rows; keys SmoothGrad's noise.
          shift: offset of the nodes, see `integrated_gradients`.
          weight_gradients: whether the map is also differentiated by the variables, see
            `integrated_gradients`.
        """
        if callable(self.method):
            return self.method(classifier, x, y)
        output = label_logit(classifier)
        if self.method == "input_gradient":
            return input_gradient(output, x, y)
        options: dict[str, Any] = {
            "nodes_per_pass": nodes_per_pass,
            "weight_gradients": weight_gradients,
        }
        if self.method == "smooth_grad":
            # One seed, so that two maps of a pair have the same noise.
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
            baseline=tf.constant(self.baseline) if baseline is None else baseline,
            steps=self.steps,
            rule=self.rule,
            shift=shift,
            **options,
        )

    def saliency(
        self, classifier: keras.Model, x: tf.Tensor, y: tf.Tensor, **options: Any
    ) -> tf.Tensor:
        """Saliency map [B, H, W] of the attribution, >= 0, of mean 1; options as `attribution`."""
        return saliency(self.attribution(classifier, x, y, **options))
