"""Second derivatives of activations and of resizing, which is also done as two matrices."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from rar_tf.attack import Ifia, LpBall
from rar_tf.attribution import Explainer
from rar_tf.models import for_double_backprop
from rar_tf.models.second_derivatives import twice_differentiable

RANDOM = np.random.default_rng(3)
X = RANDOM.random((2, 8, 8, 2))
U = RANDOM.normal(size=X.shape)
WEIGHTS = np.array([1.0, -2.0, 0.5])


def network(layer, shape=(8, 8, 2)):
    """A smooth network around a layer, or a function of symbolic tensors."""
    keras.utils.set_random_seed(0)
    image = keras.Input(shape)
    h = layer(layers.Conv2D(4, 3, padding="same", activation="tanh")(image))
    h = layers.Dense(6, activation="tanh")(layers.Flatten()(h))
    return keras.Model(image, layers.Dense(3)(h))


def gradient(model, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(model(x, training=False) * tf.cast(WEIGHTS, x.dtype))
    return tape.gradient(value, x)


def hessian_product(model, x, u):
    """H u, of the sum of WEIGHTS times the outputs."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        product = tf.reduce_sum(gradient(model, x) * u)
    return tape.gradient(product, x)


def assert_finite_differences_agree(model, step, tolerance):
    x, u = (tf.cast(part, keras.config.floatx()) for part in (X, U))
    expected = (gradient(model, x + step * u) - gradient(model, x - step * u)) / (2 * step)
    assert np.linalg.norm(expected) > 1e-2
    for product in (hessian_product, tf.function(hessian_product, autograph=False)):
        error = np.linalg.norm(product(model, x, u) - expected)
        assert error < tolerance * np.linalg.norm(expected)


@pytest.fixture
def float64():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def resize_lambda(method):
    return layers.Lambda(lambda h: tf.image.resize(h, (5, 7), method=method))


# TensorFlow computes these in float32.
IN_FLOAT32 = {
    "resizing_bilinear": lambda h: layers.Resizing(5, 7)(h),
    "resizing_bicubic": lambda h: layers.Resizing(5, 7, interpolation="bicubic")(h),
    "resizing_nearest": lambda h: layers.Resizing(5, 7, interpolation="nearest")(h),
    "resizing_cropped": lambda h: layers.Resizing(5, 7, crop_to_aspect_ratio=True)(h),
    "resizing_padded": lambda h: layers.Resizing(5, 7, pad_to_aspect_ratio=True, fill_value=0.3)(h),
    "resize": lambda h: keras.ops.image.resize(h, (5, 7)),
    "up_sampling_bilinear": lambda h: layers.UpSampling2D((2, 3), interpolation="bilinear")(h),
    "up_sampling_bicubic": lambda h: layers.UpSampling2D(2, interpolation="bicubic")(h),
    "lambda_bicubic": lambda h: resize_lambda("bicubic")(h),
    "lambda_bilinear": lambda h: resize_lambda("bilinear")(h),
    "lambda_bilinear_scaled": lambda h: layers.Lambda(
        lambda h: 1 - tf.image.resize(2 * h, (5, 7))[:, 1:]
    )(h),
    "rotation": lambda h: layers.RandomRotation(0.1)(h),
    "resizing_lanczos": lambda h: layers.Resizing(5, 7, interpolation="lanczos3")(h),
    "resizing_antialias": lambda h: layers.Resizing(5, 5, antialias=True)(h),
    "up_sampling_lanczos": lambda h: layers.UpSampling2D(2, interpolation="lanczos5")(h),
    "lambda_mitchell": lambda h: resize_lambda("mitchellcubic")(h),
}
ACTIVATIONS = ("gelu", "silu", "hard_silu", "elu", "selu", "mish", "softsign", "sigmoid", "softmax")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_second_derivative_of_an_activation(float64, name):
    assert_finite_differences_agree(
        for_double_backprop(network(layers.Activation(name))), 1e-6, 1e-4
    )
    attribute = network(layers.Conv2D(3, 3, activation=name))
    assert_finite_differences_agree(for_double_backprop(attribute), 1e-6, 1e-4)


@pytest.mark.parametrize("name", IN_FLOAT32)
def test_second_derivative_in_float32(name):
    model = network(IN_FLOAT32[name])
    copy = for_double_backprop(model)
    x = tf.cast(X, tf.float32)
    np.testing.assert_array_equal(copy(x, training=False), model(x, training=False))
    assert_finite_differences_agree(copy, 1e-2, 1e-2)


def matrices(layer, height, width):
    """The resizing layer's matrices [H, H'] and [W, W'], as two Dense layers of a model."""
    rows = layer(np.eye(height, dtype="float32")[:, :, None, None] * np.ones((1, 1, width, 1)))
    columns = layer(np.eye(width, dtype="float32")[:, None, :, None] * np.ones((1, height, 1, 1)))
    by_row, by_column = np.asarray(rows)[:, :, 0, 0], np.asarray(columns)[:, 0, :, 0]

    def dense(matrix):
        return layers.Dense(
            matrix.shape[1], use_bias=False, kernel_initializer=lambda *_, **__: matrix
        )

    def apply(h):
        h = dense(by_row)(layers.Permute((3, 2, 1))(h))
        h = dense(by_column)(layers.Permute((1, 3, 2))(h))
        return layers.Permute((2, 3, 1))(h)

    return apply


def classifier(resize):
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 2))
    seeds = iter(range(10, 20))

    def normal(scale):
        return keras.initializers.RandomNormal(stddev=scale, seed=next(seeds))

    h = layers.Conv2D(6, 3, padding="same", activation="relu", kernel_initializer=normal(0.4))(
        resize(image)
    )
    h = layers.MaxPooling2D(2)(h)
    h = layers.Dense(8, activation="relu", kernel_initializer=normal(0.3))(layers.Flatten()(h))
    return keras.Model(image, layers.Dense(3, kernel_initializer=normal(0.5))(h))


def nested(layer):
    def apply(h):
        inner = keras.Sequential([keras.Input((8, 8, 2)), layer])
        outer = keras.Sequential([keras.Input((8, 8, 2)), inner])
        return outer(h)

    return apply


@pytest.mark.parametrize(("interpolation", "wrap"), [
    ("bicubic", lambda layer: layer),
    ("bicubic", nested),
    ("bilinear", nested),
    ("lanczos3", lambda layer: layer),
])  # fmt: skip
def test_resizing_is_attacked_as_its_matrices_are(interpolation, wrap):
    layer = layers.Resizing(6, 10, interpolation=interpolation)
    resized, dense = classifier(wrap(layer)), classifier(matrices(layer, 8, 8))
    x = tf.cast(X, tf.float32)
    np.testing.assert_allclose(resized(x), dense(x), atol=1e-5)
    y = tf.argmax(dense(x), -1)
    attack = Ifia(LpBall("inf", 0.1), k=10, steps=6, step_size=0.03, explainer=Explainer(steps=8))

    def score(model, x):
        maps = attack.explainer.saliency(attack.networks(model).attack_network, x, y)
        return tf.reduce_sum(maps[:, 2:5] ** 2)

    def score_gradient(model):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = score(model, x)
        return tape.gradient(value, x)

    by_layer, by_matrix = score_gradient(resized), score_gradient(dense)
    np.testing.assert_allclose(by_layer, by_matrix, atol=1e-3 * np.abs(by_matrix).max())
    along = by_matrix / tf.norm(by_matrix)
    slope = (score(resized, x + 1e-3 * along) - score(resized, x - 1e-3 * along)) / 2e-3
    assert float(slope) == pytest.approx(float(tf.norm(by_matrix)), rel=0.02)
    results = [attack(model, x, y).x_adv for model in (resized, dense)]
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)


def test_resizing_has_a_gradient_in_bfloat16():
    """TensorFlow has none of bicubic resizing."""
    for layer in (
        layers.Resizing(6, 10, interpolation="bicubic"),
        layers.Lambda(lambda h: tf.image.resize(h, (6, 10), method="bicubic")),
    ):
        model = classifier(layer)
        x = tf.cast(X, tf.float32)
        exact, coarse = (
            np.ravel(gradient(for_double_backprop(model, precision), x))
            for precision in ("float32", "mixed_bfloat16")
        )
        assert exact @ coarse > 0.95 * np.linalg.norm(exact) * np.linalg.norm(coarse) > 0


@pytest.mark.parametrize("function", [
    lambda h: tf.nn.tanh(tf.image.resize(h, (5, 7))),
    lambda h: h[:, :5, :7] * tf.image.resize(h, (5, 7)),
])  # fmt: skip
def test_bilinear_resizing_beside_other_operations(function):
    model = network(layers.Lambda(function))
    copy = for_double_backprop(model)
    np.testing.assert_array_equal(copy(X), model(X))
    assert_finite_differences_agree(copy, 1e-2, 1e-2)


def test_layers_of_a_subclassed_model_are_replaced():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.blocks = [layers.Resizing(6, 10), layers.LayerNormalization(epsilon=0.1)]
            self.end = keras.Sequential([layers.Flatten(), layers.Dense(3)])

        def call(self, x):
            resizing, norm = self.blocks
            return tf.tanh(self.end(norm(resizing(x, training=False))))

    keras.utils.set_random_seed(0)
    model = Subclassed()
    x = tf.cast(X, tf.float32)
    values = model(x)
    copy = for_double_backprop(model)
    assert copy is not model
    np.testing.assert_allclose(copy(x), values, atol=1e-5)
    assert_finite_differences_agree(copy, 1e-2, 1e-2)
    assert [a is b for a, b in zip(copy.variables, model.variables, strict=True)]


@pytest.mark.parametrize("layer", [
    layers.UpSampling2D(2, interpolation="bilinear"),
    layers.Resizing(6, 10, crop_to_aspect_ratio=True),
    layers.GroupNormalization(2, epsilon=0.1),
])  # fmt: skip
def test_images_of_any_size(layer):
    keras.utils.set_random_seed(0)
    head = [layers.GlobalAveragePooling2D(), layers.Dense(6, "tanh"), layers.Dense(3)]
    model = keras.Sequential(
        [keras.Input((None, None, 2)), layer, layers.Activation("tanh"), *head]
    )
    assert_finite_differences_agree(for_double_backprop(model), 1e-2, 2e-2)


def test_variables_names_and_other_models_stay():
    model = network(layers.LayerNormalization(name="norm"))
    copy = twice_differentiable(model)
    assert "norm" in [layer.name for layer in copy.layers]
    for a, b in zip(copy.trainable_variables, model.trainable_variables, strict=True):
        assert a is b
    plain = network(layers.Conv2D(3, 3))
    assert twice_differentiable(plain) is plain
