"""The seven weight initializers that [FAR] compares, and scaling of initial kernels."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np


class _Initializer(NamedTuple):
    """Distributions of kernels and biases; widths are functions of (fan_in, fan_out)."""

    distribution: str
    kernel: Callable[[float, float], float]
    bias: Callable[[float, float], float] = lambda fan_in, fan_out: 0.0
    bias_distribution: str = "constant"


# The paper names PyTorch's defaults: He's normal is not truncated and its gain is sqrt(2);
# PTD is He uniform with a = sqrt(5), of half width sqrt(2 / (1 + 5)) sqrt(3 / fan_in).
INITIALIZERS = {
    "PTD": _Initializer(
        "uniform",
        lambda fan_in, fan_out: fan_in**-0.5,
        lambda fan_in, fan_out: fan_in**-0.5,
        "uniform",
    ),
    "CUST": _Initializer("normal", lambda fan_in, fan_out: 0.1, lambda fan_in, fan_out: 0.1),
    "UNI": _Initializer(
        "uniform", lambda fan_in, fan_out: 0.1, lambda fan_in, fan_out: 0.1, "uniform"
    ),
    "HU": _Initializer("uniform", lambda fan_in, fan_out: (6 / fan_in) ** 0.5),
    "HN": _Initializer("normal", lambda fan_in, fan_out: (2 / fan_in) ** 0.5),
    "GU": _Initializer("uniform", lambda fan_in, fan_out: (6 / (fan_in + fan_out)) ** 0.5),
    "GN": _Initializer("normal", lambda fan_in, fan_out: (2 / (fan_in + fan_out)) ** 0.5),
}


def reinitialize(model: keras.Model, name: str, seed: int = 0) -> None:
    """Redraw every kernel and bias of a built model, in place  [FAR, initializer study].

    name: kernels; biases
      PTD:  U(+-1 / sqrt(fan_in)) for both (PyTorch's default)
      CUST: N(0, 0.1^2); 0.1
      UNI:  U(+-0.1) for both
      HU:   U(+-sqrt(6 / fan_in)); 0                     (He uniform)
      HN:   N(0, 2 / fan_in); 0                          (He normal)
      GU:   U(+-sqrt(6 / (fan_in + fan_out))); 0         (Glorot uniform)
      GN:   N(0, 2 / (fan_in + fan_out)); 0              (Glorot normal)

    A kernel [..., in, out] has fan_in = (product of the other sizes) * in, and fan_out likewise;
    a bias has the fans of its layer's kernel. Other weights, such as those of
    normalizations, stay. Kernel or bias i depends on (seed, i) and its shape alone.

    Args:
      model: a built Keras model.
      name: one of `INITIALIZERS`.
      seed: seed of the draws, >= 0.

    Raises:
      ValueError: an unknown name, or a model without kernels (one not built).
    """
    if name not in INITIALIZERS:
        raise ValueError(f"name must be one of {', '.join(INITIALIZERS)}. Received: name={name!r}")
    initializer = INITIALIZERS[name]
    fans: tuple[float, float] | None = None
    for index, variable in enumerate(model.weights):
        random = np.random.default_rng([seed, index])
        if variable.name.endswith("kernel"):
            *window, inputs, outputs = variable.shape
            fans = np.prod(window) * inputs, np.prod(window) * outputs
            value = _draw(random, initializer.distribution, initializer.kernel(*fans), variable)
        elif variable.name == "bias" and fans is not None:
            # `weights` lists a layer's kernel just before its bias.
            value = _draw(random, initializer.bias_distribution, initializer.bias(*fans), variable)
        else:
            continue
        variable.assign(value)
    if fans is None:
        raise ValueError(f"model must be built and hold kernels. Received: {model.name!r}")


def scale_kernels(model: keras.Model, factor: float, first: float | None = None) -> None:
    """Multiply every kernel of a built model by a factor > 0, in place; biases stay.

    With small initial kernels, training changes the features rather than their weights
    [Chizat et al. 2019, "lazy training"].

    Args:
      model: a built Keras model.
      factor: factor of the kernels.
      first: factor of the first kernel, whose input is the image; None for `factor`.

    Raises:
      ValueError: a factor that is not positive and finite.
    """
    first = factor if first is None else first
    for name, value in {"factor": factor, "first": first}.items():
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} must be > 0 and finite. Received: {name}={value}")
    kernels = [variable for variable in model.weights if variable.name.endswith("kernel")]
    for index, kernel in enumerate(kernels):
        kernel.assign((factor if index else first) * kernel.numpy())


def _draw(
    random: np.random.Generator, distribution: str, size: float, variable: keras.Variable
) -> np.ndarray:
    if distribution == "constant":
        return np.full(variable.shape, size)
    if distribution == "uniform":
        return random.uniform(-size, size, variable.shape)
    return random.normal(0, size, variable.shape)
