"""The residual networks against a NumPy forward pass, known parameter counts, saved files."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.models import flower_resnet, gtsrb_resnet, resnet18, small_cnn

SMALL = (8, 8, 3)
BUILDERS = [gtsrb_resnet, flower_resnet, resnet18, small_cnn]


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).uniform(0, 1, (2, *SMALL)).astype("float32")


def leaky(h):
    return np.where(h < 0, 0.1 * h, h)


def conv(h, kernel, stride):
    """SAME convolution as a sum over the kernel's taps."""
    size = kernel.shape[0]
    out = -(-h.shape[1] // stride)
    total = max((out - 1) * stride + size - h.shape[1], 0)
    before = total // 2
    h = np.pad(h, [(0, 0), (before, total - before), (before, total - before), (0, 0)])
    result = 0
    for i in range(size):
        for j in range(size):
            window = h[:, i : i + out * stride : stride, j : j + out * stride : stride]
            result = result + window[:, :out, :out] @ kernel[i, j]
    return result


def reference(weights, x, units_per_stage):
    """The original's `forward` on pixels in [0, 255], from its kernels in order."""
    weights = [np.asarray(w, "float64") for w in weights]
    kernels = iter(weights[:-2])
    pixels = 255 * x.astype("float64")
    mean = pixels.mean((1, 2, 3), keepdims=True)
    std = pixels.std((1, 2, 3), keepdims=True)
    h = (pixels - mean) / np.maximum(std, 1 / np.sqrt(pixels[0].size))
    h = conv(h, next(kernels), 1)
    for stage, channels in enumerate((16, 32, 64)):
        for unit in range(units_per_stage):
            stride = 2 if stage > 0 and unit == 0 else 1
            shortcut = leaky(h) if stage == unit == 0 else h
            branch = conv(leaky(h), next(kernels), stride)
            branch = conv(leaky(branch), next(kernels), 1)
            if shortcut.shape[-1] != channels:
                b, height, width, c = shortcut.shape
                blocks = shortcut.reshape(b, height // 2, 2, width // 2, 2, c)
                padded = np.zeros((b, height // 2, width // 2, channels))
                padded[..., c // 2 : c // 2 + c] = blocks.mean((2, 4))
                shortcut = padded
            h = branch + shortcut
    return leaky(h).mean((1, 2)) @ weights[-2] + weights[-1]


@pytest.mark.parametrize(("build", "units"), [(gtsrb_resnet, 2), (flower_resnet, 1)])
def test_forward_is_the_originals(build, units, x):
    model = build(5, SMALL, seed=3)
    # A bias of zero would hide a forgotten one.
    model.get_layer("logits").bias.assign(np.arange(5.0))
    expected = reference(model.get_weights(), x, units)
    assert np.abs(expected - np.arange(5.0)).max() > 0.1
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-4)


def kernel_count(units):
    stem, dense_inputs = 27 * 16, 64
    first = {16: 16, 32: 16, 64: 32}
    stages = sum(9 * c * (first[c] + c) + (units - 1) * 18 * c * c for c in (16, 32, 64))
    return stem + stages, dense_inputs


@pytest.mark.parametrize(
    ("build", "units", "classes", "total"),
    [(gtsrb_resnet, 2, 43, 173_723), (flower_resnet, 1, 17, 75_265)],
)
def test_parameter_counts(build, units, classes, total):
    kernels, features = kernel_count(units)
    model = build()
    assert model.count_params() == kernels + (features + 1) * classes == total
    assert model.output_shape == (None, classes)


@pytest.mark.parametrize("normalization", ["batch_norm", "group_norm"])
@pytest.mark.parametrize(
    ("classes", "shape", "total"),
    # What the reference implementations report: kuangliu/pytorch-cifar and torchvision.
    [(10, (32, 32, 3), 11_173_962), (1000, (224, 224, 3), 11_689_512)],
)
def test_resnet18_parameter_counts(classes, shape, total, normalization):
    model = resnet18(classes, shape, normalization=normalization)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == total
    final = 4 if shape[0] == 32 else 7
    assert model.get_layer("unit_4_2_add").output.shape == (None, final, final, 512)


def group_norm(h, groups=32):
    grouped = h.reshape(*h.shape[:3], groups, -1)
    centred = grouped - grouped.mean((1, 2, 4), keepdims=True)
    return (centred / np.sqrt(centred.var((1, 2, 4), keepdims=True) + 1e-3)).reshape(h.shape)


@pytest.mark.parametrize(
    ("name", "before", "size", "stride"),
    [("unit_1_2", "unit_1_1_relu2", (8, 64), 1), ("unit_2_1", "unit_1_2_relu2", (8, 64), 2)],
)
def test_resnet18_unit_by_hand(name, before, size, stride):
    model = resnet18(2, (8, 8, 3), normalization="group_norm")
    unit = keras.Model(model.get_layer(before).output, model.get_layer(f"{name}_relu2").output)
    h = np.random.default_rng(1).standard_normal((2, size[0], *size)).astype("float32")

    def normal_conv(h, layer, stride):
        return group_norm(conv(h, model.get_layer(f"{name}_{layer}").kernel.numpy(), stride))

    branch = np.maximum(normal_conv(h, "conv1", stride), 0)
    shortcut = h if stride == 1 else normal_conv(h, "shortcut", stride)
    expected = np.maximum(shortcut + normal_conv(branch, "conv2", 1), 0)
    np.testing.assert_allclose(unit(h), expected, atol=1e-4)


def test_channels_are_padded_on_both_sides():
    model = flower_resnet(2, SMALL)
    weights = {v.path: v for v in model.trainable_variables}
    for path, variable in weights.items():
        if "conv" in path and "stem" not in path:
            variable.assign(tf.zeros_like(variable))
    features = keras.Model(model.input, model.get_layer("unit_3_1_add").output)
    h = features(np.random.default_rng(2).uniform(0, 1, (1, *SMALL)))
    used = np.flatnonzero(np.abs(h).max((0, 1, 2)))
    # 16 channels amid 32 begin at 8, those amid 64 at 16.
    np.testing.assert_array_equal(used, np.arange(24, 40))


def standardized(model):
    return keras.Model(model.input, model.get_layer("stem_conv").input)


def test_standardization_is_tensorflows_on_256_levels(x):
    expected = tf.image.per_image_standardization(255 * x)
    np.testing.assert_allclose(standardized(flower_resnet(2, SMALL))(x), expected, atol=1e-5)


def test_standardization_floor():
    model = standardized(flower_resnet(2, SMALL))
    floor = 1 / (255 * np.sqrt(192))
    checker = np.indices(SMALL).sum(0) % 2 * 2 - 1.0
    np.testing.assert_array_equal(model(np.full((1, *SMALL), 0.25)), 0)
    below = 0.5 + (floor / 4) * checker[None]
    np.testing.assert_allclose(model(below)[0], checker / 4, atol=2e-4)
    above = 0.5 + (4 * floor) * checker[None]
    np.testing.assert_allclose(model(above)[0], checker, atol=2e-4)


def test_brightness_does_not_matter_above_the_floor(x):
    model = gtsrb_resnet(7, SMALL)
    expected = model(x)
    for t in (0.05, 0.3, 0.9):
        np.testing.assert_allclose(model(np.float32(t) * x), expected, atol=2e-4)


@pytest.mark.parametrize("build", [gtsrb_resnet, flower_resnet])
def test_gradients_at_a_constant_image_are_finite(build):
    model = build(3, SMALL)
    x = tf.zeros((1, *SMALL))
    with tf.GradientTape() as tape:
        tape.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            logit = model(x)[:, 0]
        gradient = inner.gradient(logit, x)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
    assert np.isfinite(tape.gradient(gradient, x)).all()


def test_initial_weights():
    model = gtsrb_resnet(43, seed=5)
    for variable in model.trainable_variables[:-2]:
        size, _, inputs, outputs = variable.shape
        expected = np.sqrt(2 / (size * size * outputs))
        count = size * size * inputs * outputs
        assert abs(np.std(variable) / expected - 1) < 4 / np.sqrt(2 * count)
        assert abs(np.mean(variable)) < 4 * expected / np.sqrt(count)
        # An untruncated normal passes two standard deviations in 4.6% of its draws.
        assert 0.02 < np.mean(np.abs(variable) > 2 * expected) < 0.08
    dense, bias = model.trainable_variables[-2:]
    bound = np.sqrt(3 / 64)
    assert 0.98 * bound < np.abs(dense).max() <= bound
    assert abs(np.std(dense) / (bound / np.sqrt(3)) - 1) < 0.05
    np.testing.assert_array_equal(bias, 0)


def test_seeds():
    first, again, other = (gtsrb_resnet(5, SMALL, seed=s).get_weights() for s in (0, 0, 100))
    for a, b, c in zip(first[:-1], again, other, strict=False):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a - c).max() > 0.01
    # Equal shapes within a model draw different numbers.
    assert np.abs(first[1] - first[2]).max() > 0.1


@pytest.mark.parametrize("build", BUILDERS)
def test_weight_decay(build):
    model = build(3, SMALL, weight_decay=2e-4)
    kernels = [w.numpy() for w in model.trainable_variables if w.path.endswith("kernel")]
    expected = 2e-4 * sum((k.astype("float64") ** 2).sum() / 2 for k in kernels)
    assert len(model.losses) == len(kernels)
    np.testing.assert_allclose(sum(model.losses), expected, rtol=1e-5)
    assert build(3, SMALL).losses == []


def test_mixed_precision_keeps_float32_standardization_and_logits(x):
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        model = gtsrb_resnet(5, SMALL)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    assert model.get_layer("stem_conv").input.dtype == "float32"
    assert model.get_layer("unit_2_1_conv1").compute_dtype == "bfloat16"
    logits = model(x)
    assert logits.dtype == tf.float32
    np.testing.assert_allclose(logits, gtsrb_resnet(5, SMALL)(x), atol=0.2)


def test_saved_models_load_without_this_project(x, tmp_path):
    models = {build.__name__: build(5, SMALL, weight_decay=1e-4) for build in BUILDERS}
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
    np.save(tmp_path / "x.npy", x)
    program = """
import json, pathlib, sys
import keras, numpy as np
logits = {
    path.stem: keras.ops.convert_to_numpy(keras.models.load_model(path)(np.load("x.npy"))).tolist()
    for path in pathlib.Path().glob("*.keras")
}
print(json.dumps([logits, [name for name in sys.modules if name.startswith("rar_tf")]]))
"""
    # -I: neither the working directory nor PYTHONPATH is searched for this project.
    run = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    logits, modules = json.loads(run.stdout.splitlines()[-1])
    assert modules == []
    assert logits.keys() == models.keys()
    for name, model in models.items():
        np.testing.assert_allclose(logits[name], model(x), atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gtsrb_resnet(1), r"num_classes must be >= 2\. Received: num_classes=1"),
        (
            lambda: flower_resnet(3, (30, 32, 3)),
            r"height and width >= 4 and divisible by 4\. Received: input_shape=\(30, 32, 3\)",
        ),
        (lambda: gtsrb_resnet(3, (32, 32)), r"must be \(height, width, channels\)"),
        (lambda: gtsrb_resnet(weight_decay=-1), r"weight_decay must be >= 0\. Received: .*=-1"),
        (
            lambda: resnet18(3, (32, 32, 3), normalization="layer"),
            r"normalization must be one of \('batch_norm', 'group_norm'\)\. Received: 'layer'",
        ),
        (lambda: resnet18(3, (4, 4, 3)), r"height and width >= 8\. Received"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
