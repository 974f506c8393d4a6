"""Explainer: the map and the output that explain a prediction."""

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from rar_tf.attribution.custom import AttributionFn, BlackBoxError, custom_map
from rar_tf.attribution.grad_cam import grad_cam
from rar_tf.attribution.gradients import input_gradient, integrated_gradients, smooth_grad
from rar_tf.attribution.outputs import label_logit
from rar_tf.attribution.quadrature import nodes_and_weights
from rar_tf.attribution.saliency import saliency

METHODS = (
    "integrated_gradients",
    "input_gradient",
    "gradient_times_input",
    "smooth_grad",
    "grad_cam",
)


@dataclasses.dataclass(frozen=True)
class Explainer:
    """Map that explains the logit `f_y` of a class.

    Attributes:
      method: "integrated_gradients", "input_gradient" (the Simple Gradient of [GAZ17]),
        "gradient_times_input", `x * df_y/dx`, "smooth_grad", "grad_cam", or a custom function
        (classifier, x, classes) -> map [B, H, W, C] or [B, H, W], see `custom.custom_map`.
      steps: number of quadrature intervals, or of noisy samples of "smooth_grad"; ignored
        by other methods.
      rule: quadrature rule; "right" is what the original implementation computes.
      sigma: standard deviation of SmoothGrad's noise, in pixel units.
      baseline: pixel value of the uniform image where the path of integrated gradients starts;
        0 is black.
      layer: name of the layer of "grad_cam"; None for the last one before pooling and flattening,
        see `grad_cam.grad_cam`.

    Raises:
      ValueError: an unknown method or rule, steps < 1, sigma < 0, a baseline outside [0, 1], or a
        layer for another method than "grad_cam".
    """

    method: str | AttributionFn = "integrated_gradients"
    steps: int = 100
    rule: str = "right"
    sigma: float = 0.1
    baseline: float = 0.0
    layer: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.method) and self.method not in METHODS:
            raise ValueError(f"method must be one of {METHODS}. Received: method={self.method!r}")
        nodes_and_weights(self.rule, self.steps)
        if not self.sigma >= 0:
            raise ValueError(f"sigma must be >= 0. Received: sigma={self.sigma}")
        if not 0 <= self.baseline <= 1:
            raise ValueError(f"baseline must be in [0, 1]. Received: baseline={self.baseline}")
        if self.layer is not None and self.method != "grad_cam":
            raise ValueError(
                f"layer must be None for another method than grad_cam. Received: layer={self.layer}"
            )

    @property
    def is_complete(self) -> bool:
        """Whether the attribution sums to the change of the logit since the baseline."""
        return self.method == "integrated_gradients"

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
        """Signed attribution [B, H, W, C], in logits; differentiable by x unless custom.

        A map with one value a pixel, as that of "grad_cam", is divided equally among the
        channels, so that `saliency` gives that map, scaled to mean 1.

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
            return custom_map(self.method, classifier, x, y)
        if self.method == "grad_cam":
            channels = tf.shape(x)[-1]
            maps = grad_cam(classifier, x, y, self.layer)[..., tf.newaxis]
            return tf.repeat(maps, channels, -1) / tf.cast(channels, maps.dtype)
        output = label_logit(classifier)
        if self.method == "input_gradient":
            return input_gradient(output, x, y)
        if self.method == "gradient_times_input":
            return x * input_gradient(output, x, y)
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


def is_differentiable(
    explainer: Explainer, classifier: keras.Model, x: tf.Tensor, y: tf.Tensor
) -> bool:
    """Whether the explainer's map has a gradient by the image, as attacks take it, in a graph.

    The map of x is computed once, so that errors of a custom function show here.

    Args:
      explainer: explainer.
      classifier: images -> logits.
      x: [B, H, W, C] float32, pixels in [0, 1]; one image is enough.
      y: [B] int, classes.

    Raises:
      ValueError: see `custom.custom_map` and `grad_cam.grad_cam`.
    """
    x = tf.convert_to_tensor(x)
    if not callable(explainer.method):
        # All nodes at once, outside of a graph, would take much memory for large images.
        explainer = dataclasses.replace(explainer, steps=min(explainer.steps, 2))
    explainer.attribution(classifier, x, y)
    has_gradient = []

    def trace(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            attribution = explainer.attribution(classifier, x, y)
        has_gradient.append(tape.gradient(attribution, x) is not None)
        return attribution

    try:
        tf.function(trace, autograph=False).get_concrete_function(x, tf.convert_to_tensor(y))
    except BlackBoxError:
        return False
    return has_gradient[-1]
