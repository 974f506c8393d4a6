"""Spread, shape and bounds of each initializer, in closed form."""

import keras
import numpy as np
import pytest
from scipy import stats

from rar_tf.models import INITIALIZERS, reinitialize, resnet18, scale_kernels, small_cnn

# kernel: (distribution, half width or deviation by fan_in, fan_out); bias: likewise.
EXPECTED = {
    "PTD": ("uniform", lambda i, o: 1 / np.sqrt(i), "uniform", lambda i: 1 / np.sqrt(i)),
    "CUST": ("norm", lambda i, o: 0.1, "constant", lambda i: 0.1),
    "UNI": ("uniform", lambda i, o: 0.1, "uniform", lambda i: 0.1),
    "HU": ("uniform", lambda i, o: np.sqrt(6 / i), "constant", lambda i: 0),
    "HN": ("norm", lambda i, o: np.sqrt(2 / i), "constant", lambda i: 0),
    "GU": ("uniform", lambda i, o: np.sqrt(6 / (i + o)), "constant", lambda i: 0),
    "GN": ("norm", lambda i, o: np.sqrt(2 / (i + o)), "constant", lambda i: 0),
}
# Of the kernels of `small_cnn`, in order.
FANS = [(25, 800), (800, 1600), (3136, 1024), (1024, 10)]


@pytest.fixture(scope="module")
def model():
    return small_cnn()


def follows(values, distribution, size):
    """Kolmogorov-Smirnov at a level that a right sampler fails once in 1e4 runs; seeds are set."""
    if distribution == "constant":
        return (values == np.float32(size)).all()
    law = stats.uniform(-size, 2 * size) if distribution == "uniform" else stats.norm(0, size)
    return stats.kstest(values.ravel()[:20_000], law.cdf).pvalue > 1e-4


@pytest.mark.parametrize("name", EXPECTED)
def test_distributions(name, model):
    kernel_law, kernel_size, bias_law, bias_size = EXPECTED[name]
    reinitialize(model, name, seed=1)
    weights = model.get_weights()
    for kernel, bias, (fan_in, fan_out) in zip(weights[::2], weights[1::2], FANS, strict=True):
        assert follows(kernel, kernel_law, kernel_size(fan_in, fan_out))
        assert follows(bias, bias_law, bias_size(fan_in))
        if kernel_law == "uniform":
            bound = np.float32(kernel_size(fan_in, fan_out))
            assert 0.98 * bound < np.abs(kernel).max() <= bound


def test_the_normals_are_not_truncated(model):
    for name in ("CUST", "HN", "GN"):
        reinitialize(model, name)
        kernel = model.get_layer("dense1").kernel.numpy()
        assert np.abs(kernel).max() > 4 * kernel.std()


def test_all_are_listed():
    assert list(INITIALIZERS) == list(EXPECTED)


def test_seeds(model):
    draws = []
    for seed in (0, 0, 1):
        reinitialize(model, "PTD", seed)
        draws.append(model.get_weights())
    for first, again, other in zip(*draws, strict=True):
        np.testing.assert_array_equal(first, again)
        assert np.abs(first - other).max() > 0
    # What a model draws does not hang on what it held, nor on which of two equal models it is.
    other = small_cnn(seed=7)
    reinitialize(other, "PTD", 1)
    np.testing.assert_array_equal(other.get_weights()[0], draws[2][0])


def test_normalizations_keep_their_weights():
    model = resnet18(2, (8, 8, 3))
    norm = model.get_layer("stem_norm")
    norm.gamma.assign(np.arange(64.0))
    reinitialize(model, "UNI")
    np.testing.assert_array_equal(norm.gamma, np.arange(64.0))
    np.testing.assert_array_equal(norm.beta, 0)
    np.testing.assert_array_equal(norm.moving_variance, 1)
    assert np.abs(model.get_layer("stem_conv").kernel).max() <= np.float32(0.1)


def test_nested_and_frozen_layers():
    inner = keras.Sequential([keras.Input((64,)), keras.layers.Dense(32)])
    inner.trainable = False
    model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(64), inner])
    reinitialize(model, "HU")
    assert 0.9 < np.abs(inner.layers[0].kernel).max() / np.sqrt(6 / 64) <= 1.000001


def test_errors(model):
    with pytest.raises(ValueError, match=r"name must be one of PTD, CUST, .*GN\. Received: .*'he'"):
        reinitialize(model, "he")
    with pytest.raises(ValueError, match=r"must be built and hold kernels\. Received: 'late'"):
        reinitialize(keras.Sequential([keras.layers.Dense(2)], name="late"), "HU")


def test_scale_of_kernels():
    model = small_cnn(seed=3)
    before = model.get_weights()
    scale_kernels(model, 0.25)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old / 4 if old.ndim > 1 else old)
    scale_kernels(model, 4.0, first=2.0)
    for index, (old, new) in enumerate(zip(before, model.get_weights(), strict=True)):
        np.testing.assert_array_equal(new, old if index else old / 2)
    with pytest.raises(ValueError, match="factor must be > 0 and finite. Received: factor=0"):
        scale_kernels(model, 0)
    with pytest.raises(ValueError, match="first must be > 0 and finite. Received: first=inf"):
        scale_kernels(model, 1.0, first=float("inf"))
