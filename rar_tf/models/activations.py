"""Twice differentiable replacements of ReLU, and models with them on shared variables."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from rar_tf.models.rewrite import elementwise, kind, replace_operations


class _ReluForm(NamedTuple):
    """Form of a ReLU: slope `negative_slope` below 0, then 1, then 0 above `max_value`."""

    negative_slope: float = 0.0
    max_value: float | None = None


_RELU_FUNCTIONS = (
    (keras.activations.relu, _ReluForm()),
    (keras.ops.relu, _ReluForm()),
    (tf.nn.relu, _ReluForm()),
    (keras.activations.leaky_relu, _ReluForm(0.2)),
    (keras.ops.leaky_relu, _ReluForm(0.2)),
    (tf.nn.leaky_relu, _ReluForm(0.2)),
    (keras.activations.relu6, _ReluForm(0.0, 6.0)),
    (keras.ops.relu6, _ReluForm(0.0, 6.0)),
    (tf.nn.relu6, _ReluForm(0.0, 6.0)),
)


def softplus(x: tf.Tensor, beta: float = 1.0, negative_slope: float = 0.0) -> tf.Tensor:
    """Smooth (leaky) ReLU of slope a below 0: `a x + (1 - a) log(1 + exp(beta x)) / beta`.

    With beta = 1 it is the activation of the network that the original's evaluation ascends.
    """
    return negative_slope * x + (1 - negative_slope) / beta * tf.math.softplus(beta * x)


def relu_with_softplus_second_derivative(
    x: tf.Tensor, beta: float = 1.0, negative_slope: float = 0.0
) -> tf.Tensor:
    """(Leaky) ReLU whose second derivative is that of `softplus`  [FAR].

    The value and the first derivative are ReLU's exactly; the derivative of the first
    derivative is `(1 - a) beta sigmoid(beta x) (1 - sigmoid(beta x))`, a the slope below 0.
    Where the value is computed inside a `tf.function`, the first derivative must be taken inside
    it too: TensorFlow raises TypeError for two derivatives from outside.
    """

    @tf.custom_gradient
    def relu(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        value = tf.nn.leaky_relu(x, negative_slope) if negative_slope else tf.nn.relu(x)
        return value, lambda upstream: slope(upstream, x)

    @tf.custom_gradient
    def slope(upstream: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def second_derivative(upper: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            gate = tf.sigmoid(beta * x)
            curvature = (1 - negative_slope) * beta * gate * (1 - gate)
            return first_derivative(upper, x), upper * upstream * curvature

        return first_derivative(upstream, x), second_derivative

    def first_derivative(upstream: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        if negative_slope:
            return tf.raw_ops.LeakyReluGrad(gradients=upstream, features=x, alpha=negative_slope)
        return tf.raw_ops.ReluGrad(gradients=upstream, features=x)

    return relu(x)


def bounded_softplus(x: tf.Tensor, beta: float, max_value: float) -> tf.Tensor:
    """Smooth ReLU with the bound m: `(log(1 + exp(beta x)) - log(1 + exp(beta (x - m)))) / beta`.

    With s = sigmoid(beta x) and t = sigmoid(beta (x - m)) its derivative is `s - t`, and the
    derivative of that `beta (s - t) (1 - s - t)`: fewer operations than those of the two terms.
    """

    @tf.custom_gradient
    def smooth(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        scaled = beta * x
        value = tf.math.softplus(scaled) - tf.math.softplus(scaled - beta * max_value)
        return value / beta, lambda upstream: slope(upstream, x)

    @tf.custom_gradient
    def slope(upstream: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        gate, curvature = _gate_and_curvature(x, beta, max_value)

        def second_derivative(upper: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return upper * gate, upper * upstream * curvature()

        return upstream * gate, second_derivative

    return smooth(x)


def bounded_relu_with_softplus_second_derivative(
    x: tf.Tensor, beta: float, max_value: float
) -> tf.Tensor:
    """ReLU with a bound, `min(max(x, 0), m)`, whose second derivative is `bounded_softplus`'s."""

    @tf.custom_gradient
    def relu(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        return bounded(x), lambda upstream: slope(upstream, x)

    @tf.custom_gradient
    def slope(upstream: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def second_derivative(upper: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            _, curvature = _gate_and_curvature(x, beta, max_value)
            return first_derivative(upper, x), upper * upstream * curvature()

        return first_derivative(upstream, x), second_derivative

    def bounded(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu6(x) if max_value == 6.0 else tf.clip_by_value(x, 0.0, max_value)

    def first_derivative(upstream: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        if max_value == 6.0:
            return tf.raw_ops.Relu6Grad(gradients=upstream, features=x)
        return tf.where((x > 0) & (x < max_value), upstream, tf.zeros_like(upstream))

    return relu(x)


def _gate_and_curvature(
    x: tf.Tensor, beta: float, max_value: float
) -> tuple[tf.Tensor, Callable[[], tf.Tensor]]:
    """First derivative of `bounded_softplus`, and a function that returns the second one."""
    scaled = beta * x
    low, high = tf.sigmoid(scaled), tf.sigmoid(scaled - beta * max_value)
    gate = low - high
    return gate, lambda: beta * gate * (1 - (low + high))


def softplus_twin(model: keras.Model, beta: float = 1.0) -> keras.Model:
    """The model with `softplus` in place of every ReLU, on the same variables.

    With beta = 1 it is the network that the original's evaluation attack ascends. Replaced
    functions, arguments and errors are those of `with_softplus_second_derivative`.
    """
    return _replace_relus(model, softplus, bounded_softplus, beta)


def with_softplus_second_derivative(model: keras.Model, beta: float = 1.0) -> keras.Model:
    """The model with `relu_with_softplus_second_derivative`, on the same variables  [FAR].

    Outputs and first derivatives are those of the model. Replaced are ReLU, LeakyReLU and
    ReLU6 as layers, as operations of `keras.ops`, and as attributes of layers (such as
    `activation`), at any depth of Functional and Sequential models and of custom
    layers and models. A function that a custom `call` applies directly is not found:
    `count_relus` counts the ReLUs that are.

    The result is for calling, with `training=False` as attacks do, not for saving; a change of
    the model's weights changes its weights.

    Args:
      model: a built Keras model.
      beta: sharpness of the softplus, > 0; it is ReLU in the limit of infinity.

    Returns:
      A model on the same variables; the model itself if it has no ReLU.

    Raises:
      ValueError: beta <= 0, a model that is not built, or a ReLU with a threshold.
    """
    return _replace_relus(
        model,
        relu_with_softplus_second_derivative,
        bounded_relu_with_softplus_second_derivative,
        beta,
    )


def count_relus(model: keras.Model) -> int:
    """Number of ReLUs that `softplus_twin` replaces; a shared layer counts once.

    Raises:
      ValueError: a model that is not built, or a ReLU with a threshold.
    """
    relus = []

    def count(value: Any) -> Any:
        if _relu_form(value) is not None:
            relus.append(value)
        return value

    replace_operations(model, count)
    return len(relus)


def _replace_relus(
    model: keras.Model,
    smooth: Callable[[tf.Tensor, float, float], tf.Tensor],
    bounded: Callable[[tf.Tensor, float, float], tf.Tensor],
    beta: float,
) -> keras.Model:
    if not beta > 0:
        raise ValueError(f"beta must be > 0. Received: beta={beta}")

    def replace(value: Any) -> Any:
        form = _relu_form(value)
        if form is None:
            return value

        def activation(x: tf.Tensor) -> tf.Tensor:
            if form.max_value is None:
                return smooth(x, beta, form.negative_slope)
            if not form.negative_slope:
                return bounded(x, beta, form.max_value)
            y = smooth(x, beta, form.negative_slope)
            return y - smooth(x - form.max_value, beta, 0.0)

        return elementwise(value, activation) if kind(value) else activation

    return replace_operations(model, replace)


def _relu_form(value: Any) -> _ReluForm | None:
    """Form of a function, layer or operation that is a ReLU; None for anything else."""
    name = kind(value)
    if name is None:
        return next((form for function, form in _RELU_FUNCTIONS if value is function), None)
    if name not in ("relu", "leakyrelu", "relu6"):
        return None
    if getattr(value, "threshold", 0.0):
        raise ValueError(
            "a ReLU must have threshold 0 to be replaced by softplus. "
            f"Received: {value.name!r} with threshold={value.threshold}"
        )
    max_value = 6.0 if name == "relu6" else getattr(value, "max_value", None)
    return _ReluForm(getattr(value, "negative_slope", 0.0), max_value)
