"""Small networks: sizes by hand, seeds, files, errors, gradients that reach all weights."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from rar_tf.models import ARCHITECTURES, batch_norm_cnn, build, mobile_net, small_vit

NAMES = ("batch_norm_cnn", "mobile_net", "small_vit")
X = np.random.default_rng(0).random((3, 28, 28, 1)).astype("float32")


def test_sizes_are_those_counted_by_hand():
    norm = 4  # gamma, beta, mean and variance of a channel
    cnn = 9 * 32 + 9 * 32 * 64 + 9 * 64 * 128 + norm * (32 + 64 + 128) + 128 * 10 + 10
    assert batch_norm_cnn().count_params() == cnn

    def block(before, after):
        hidden = 4 * before
        return before * hidden + 9 * hidden + hidden * after + norm * (2 * hidden + after)

    blocks = block(16, 24) + block(24, 24) + block(24, 48) + block(48, 48)
    ends = 9 * 16 + norm * 16 + 48 * 128 + norm * 128 + 128 * 10 + 10
    assert mobile_net().count_params() == blocks + ends
    attention = 4 * (64 * 64 + 64)
    block = attention + 2 * (2 * 64) + (64 * 128 + 128) + (128 * 64 + 64)
    stem = 16 * 64 + 64 + (64 * 64 + 49 * 64)
    assert small_vit().count_params() == stem + 3 * block + 2 * 64 + 64 * 10 + 10


@pytest.mark.parametrize("name", NAMES)
def test_seeds_fix_the_weights_and_every_weight_has_a_gradient(name):
    one, same, other = (
        build(name, num_classes=10, input_shape=(28, 28, 1), seed=seed) for seed in (1, 1, 2)
    )
    for a, b in zip(one.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one.get_weights()[0] != other.get_weights()[0]).any()
    with tf.GradientTape() as tape:
        logits = one(X, training=True)
        value = tf.reduce_sum(logits * tf.one_hot([1, 2, 3], 10))
    assert logits.shape == (3, 10)
    for variable, gradient in zip(
        one.trainable_variables, tape.gradient(value, one.trainable_variables), strict=True
    ):
        # A constant added to all keys does not change their softmax.
        is_free = "key/bias" in variable.path
        assert is_free or np.abs(gradient).max() > 0, variable.path


def test_weight_decay_is_half_the_squared_kernels():
    model = build("mobile_net", num_classes=3, input_shape=(8, 8, 3), weight_decay=0.1)
    kernels = [v.numpy() for v in model.trainable_variables if v.name.endswith("kernel")]
    expected = 0.05 * sum(np.sum(kernel**2) for kernel in kernels)
    np.testing.assert_allclose(tf.add_n(model.losses), expected, rtol=1e-5)


def test_the_position_of_a_patch_counts():
    model = small_vit()
    rolled = np.roll(X, 4, axis=2)
    before = np.asarray(model(X))
    # The positions' embeddings start at zero: then the mean of all tokens has no order.
    np.testing.assert_allclose(model(rolled), before, atol=1e-4)
    positions = model.get_layer("positions")
    positions.bias.assign(np.random.default_rng(0).normal(size=positions.bias.shape))
    assert np.abs(np.asarray(model(rolled)) - np.asarray(model(X))).max() > 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_files_load_without_this_project(name, tmp_path):
    model = ARCHITECTURES[name]()
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", X)
    code = (
        "import keras, numpy, sys; m = keras.models.load_model('model.keras');"
        "numpy.save('y.npy', m(numpy.load('x.npy')));"
        "sys.exit(any(name.startswith('rar_tf') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True, timeout=120)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model(X), atol=1e-5)


def test_errors():
    for name in NAMES:
        with pytest.raises(ValueError, match="num_classes must be >= 2. Received: num_classes=1"):
            ARCHITECTURES[name](1)
        with pytest.raises(ValueError, match="height and width >= 8. Received"):
            ARCHITECTURES[name](3, (7, 9, 1))
    with pytest.raises(ValueError, match=r"patch must divide .*\(30, 28\). Received: patch=4"):
        small_vit(3, (30, 28, 1))
