"""Second derivatives of every layer of Keras that fits images, and of custom code."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from rar_tf.models import for_double_backprop, softplus_twin
from rar_tf.models.second_derivatives import exact_moments
from tests.support.finite_differences import X, assert_agree, network


def rows(layer):
    """A layer on the rows of an image as a sequence [16, 16]."""
    return lambda h: layer(layers.Reshape((16, 16))(h))


def pair(layer):
    return lambda h: layer([h, layers.Activation("tanh")(h)])


def tokens(layer):
    """A layer of attention on the 64 pixels of an image."""

    def apply(h):
        parts = layers.Reshape((64, 4))(h)
        return layer(parts)

    return apply


def volume(layer):
    return lambda h: layer(layers.Reshape((8, 8, 4, 1))(h))


LAYERS = {
    "Activation": lambda h: layers.Activation("gelu")(h),
    "ActivityRegularization": lambda h: layers.ActivityRegularization(0.1)(h),
    "AdaptiveAveragePooling1D": rows(lambda h: layers.AdaptiveAveragePooling1D(5)(h)),
    "AdaptiveAveragePooling2D": lambda h: layers.AdaptiveAveragePooling2D(3)(h),
    "AdaptiveMaxPooling1D": rows(lambda h: layers.AdaptiveMaxPooling1D(5)(h)),
    "AdaptiveMaxPooling2D": lambda h: layers.AdaptiveMaxPooling2D(3)(h),
    "Add": pair(lambda h: layers.Add()(h)),
    "AdditiveAttention": tokens(lambda h: layers.AdditiveAttention()([h, h])),
    "AlphaDropout": lambda h: layers.AlphaDropout(0.5)(h),
    "Attention": tokens(lambda h: layers.Attention(use_scale=True)([h, h])),
    "Average": pair(lambda h: layers.Average()(h)),
    "AveragePooling1D": rows(lambda h: layers.AveragePooling1D(2)(h)),
    "AveragePooling2D": lambda h: layers.AveragePooling2D(3, strides=2, padding="same")(h),
    "BatchNormalization": lambda h: layers.BatchNormalization()(h),
    "Bidirectional": rows(lambda h: layers.Bidirectional(layers.LSTM(3))(h)),
    "CenterCrop": lambda h: layers.CenterCrop(5, 5)(h),
    "Concatenate": pair(lambda h: layers.Concatenate()(h)),
    "Conv1D": rows(lambda h: layers.Conv1D(3, 3)(h)),
    "Conv1DTranspose": rows(lambda h: layers.Conv1DTranspose(3, 3)(h)),
    "Conv2D": lambda h: layers.Conv2D(4, 3, strides=2)(h),
    "Conv2D dilated": lambda h: layers.Conv2D(4, 3, dilation_rate=2)(h),
    "Conv2D grouped": lambda h: layers.Conv2D(4, 3, groups=2)(h),
    "Conv2DTranspose": lambda h: layers.Conv2DTranspose(3, 3, strides=2)(h),
    "Conv3D": volume(lambda h: layers.Conv3D(3, 3)(h)),
    "Conv3DTranspose": volume(lambda h: layers.Conv3DTranspose(2, 2)(h)),
    "ConvLSTM1D": lambda h: layers.ConvLSTM1D(2, 3)(h),
    "Cropping1D": rows(lambda h: layers.Cropping1D(1)(h)),
    "Cropping2D": lambda h: layers.Cropping2D(1)(h),
    "Dense": lambda h: layers.Dense(3, activation="silu")(h),
    "DepthwiseConv1D": rows(lambda h: layers.DepthwiseConv1D(3)(h)),
    "DepthwiseConv2D": lambda h: layers.DepthwiseConv2D(3, strides=2, padding="same")(h),
    "DepthwiseConv2D multiplied": lambda h: layers.DepthwiseConv2D(3, depth_multiplier=2)(h),
    "Dot": rows(lambda h: layers.Dot(axes=(2, 2))([h, h])),
    "Dropout": lambda h: layers.Dropout(0.5)(h),
    "ELU": lambda h: layers.ELU()(h),
    "EinsumDense": lambda h: layers.EinsumDense("bhwc,cd->bhwd", (8, 8, 3))(h),
    "Flatten": lambda h: layers.Flatten()(h),
    "GRU": rows(lambda h: layers.GRU(4)(h)),
    "GaussianDropout": lambda h: layers.GaussianDropout(0.5)(h),
    "GaussianNoise": lambda h: layers.GaussianNoise(0.5)(h),
    "GlobalAveragePooling1D": rows(lambda h: layers.GlobalAveragePooling1D()(h)),
    "GlobalAveragePooling2D": lambda h: layers.GlobalAveragePooling2D()(h),
    "GlobalAveragePooling3D": volume(lambda h: layers.GlobalAveragePooling3D()(h)),
    "GlobalMaxPooling1D": rows(lambda h: layers.GlobalMaxPooling1D()(h)),
    "GlobalMaxPooling2D": lambda h: layers.GlobalMaxPooling2D()(h),
    "GlobalMaxPooling3D": volume(lambda h: layers.GlobalMaxPooling3D()(h)),
    "GroupNormalization": lambda h: layers.GroupNormalization(2, epsilon=0.1)(h),
    "GroupNormalization instance": lambda h: layers.GroupNormalization(-1, epsilon=0.1)(h),
    "GroupedQueryAttention": tokens(lambda h: layers.GroupQueryAttention(4, 2, 1)(h, h)),
    "Identity": lambda h: layers.Identity()(h),
    "LSTM": rows(lambda h: layers.LSTM(4)(h)),
    "Lambda": lambda h: layers.Lambda(lambda h: tf.tanh(2 * h))(h),
    "LayerNormalization": lambda h: layers.LayerNormalization(epsilon=0.1)(h),
    "LayerNormalization axes": lambda h: layers.LayerNormalization((1, 2), epsilon=0.1)(h),
    "LeakyReLU": lambda h: layers.LeakyReLU()(h),
    "Masking": rows(lambda h: layers.Masking()(h)),
    "MaxPooling1D": rows(lambda h: layers.MaxPooling1D(2)(h)),
    "MaxPooling2D": lambda h: layers.MaxPooling2D(2)(h),
    "MaxPooling2D 3": lambda h: layers.MaxPooling2D(3, strides=2, padding="same")(h),
    # The kernel of TensorFlow's second derivative writes over its input.
    "MaxPooling2D of one shape": lambda h: layers.MaxPooling2D(3, strides=1, padding="same")(h),
    "MaxPooling2D 2 of one shape": lambda h: layers.MaxPooling2D(2, strides=1, padding="same")(h),
    "Maximum": pair(lambda h: layers.Maximum()(h)),
    "Minimum": pair(lambda h: layers.Minimum()(h)),
    "MultiHeadAttention": tokens(lambda h: layers.MultiHeadAttention(2, 4)(h, h)),
    "MultiHeadAttention causal": tokens(
        lambda h: layers.MultiHeadAttention(2, 4)(query=h, value=h, use_causal_mask=True)
    ),
    "Multiply": pair(lambda h: layers.Multiply()(h)),
    "Normalization": lambda h: layers.Normalization(mean=0.5, variance=0.2)(h),
    "PReLU": lambda h: layers.PReLU()(h),
    "Permute": lambda h: layers.Permute((2, 3, 1))(h),
    "RMSNormalization": lambda h: layers.RMSNormalization(epsilon=0.1)(h),
    "RNN": rows(lambda h: layers.RNN(layers.GRUCell(3))(h)),
    "ReLU": lambda h: layers.ReLU()(h),
    "RepeatVector": lambda h: layers.RepeatVector(2)(layers.Flatten()(h)),
    "Rescaling": lambda h: layers.Rescaling(2.0, -1.0)(h),
    "Reshape": lambda h: layers.Reshape((4, 64))(h),
    "SeparableConv1D": rows(lambda h: layers.SeparableConv1D(3, 3)(h)),
    "SeparableConv2D": lambda h: layers.SeparableConv2D(3, 3)(h),
    "SimpleRNN": rows(lambda h: layers.SimpleRNN(4)(h)),
    "Softmax": lambda h: layers.Softmax()(h),
    "SpatialDropout1D": rows(lambda h: layers.SpatialDropout1D(0.5)(h)),
    "SpatialDropout2D": lambda h: layers.SpatialDropout2D(0.5)(h),
    "SpatialDropout3D": volume(lambda h: layers.SpatialDropout3D(0.5)(h)),
    "SpectralNormalization": lambda h: layers.SpectralNormalization(layers.Conv2D(4, 3))(h),
    "Subtract": pair(lambda h: layers.Subtract()(h)),
    "TimeDistributed": lambda h: layers.TimeDistributed(layers.Conv1D(3, 3))(h),
    "TimeDistributed norm": lambda h: layers.TimeDistributed(
        layers.LayerNormalization(epsilon=0.1)
    )(h),
    "UnitNormalization": lambda h: layers.UnitNormalization()(h),
    "UpSampling1D": rows(lambda h: layers.UpSampling1D(2)(h)),
    "UpSampling2D": lambda h: layers.UpSampling2D(2)(h),
    "UpSampling3D": volume(lambda h: layers.UpSampling3D(2)(h)),
    "ZeroPadding1D": rows(lambda h: layers.ZeroPadding1D(1)(h)),
    "ZeroPadding2D": lambda h: layers.ZeroPadding2D(1)(h),
    "ZeroPadding3D": volume(lambda h: layers.ZeroPadding3D(1)(h)),
    # Operations of Keras, and code that a user may write.
    "layer_normalization": lambda h: keras.ops.layer_normalization(h, epsilon=0.1),
    "pad": lambda h: keras.ops.pad(h, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect"),
    "moments": lambda h: Standardized(lambda x: tf.nn.moments(x, [1, 2], keepdims=True))(h),
    "keras moments": lambda h: Standardized(lambda x: keras.ops.moments(x, (1, 2), keepdims=True))(
        h
    ),
    "lambda moments": lambda h: layers.Lambda(
        lambda x: (
            (x - tf.nn.moments(x, [1])[0][:, None])
            / tf.sqrt(0.1 + tf.nn.moments(x, [1])[1][:, None])
        )
    )(h),
    "inner norm": lambda h: WithInner(layers.LayerNormalization(epsilon=0.1))(h),
    "call argument": lambda h: Scaled()(h, scale=2.0),
    "call argument of Dense": lambda h: layers.Dense(3)(Scaled()(h, scale=tf.constant(3.0))),
    "two inputs": lambda h: TwoInputs()(h, layers.Activation("tanh")(h), gain=3.0),
    "second input by name": lambda h: TwoInputs()(h, b=layers.Activation("tanh")(h)),
    "mask": rows(lambda h: Masked()(layers.Masking()(h))),
    "named layer": lambda h: Named(layers.Dense(3))(h),
    "softsign": lambda h: layers.Lambda(tf.nn.softsign)(h),
}
# TensorFlow computes these in float32, or has no kernel for float64.
IN_FLOAT32 = {
    "AveragePooling3D": volume(lambda h: layers.AveragePooling3D(2)(h)),
    "MaxPooling3D": volume(lambda h: layers.MaxPooling3D(2)(h)),
    "AdaptiveAveragePooling3D": volume(lambda h: layers.AdaptiveAveragePooling3D(2)(h)),
    "AdaptiveMaxPooling3D": volume(lambda h: layers.AdaptiveMaxPooling3D(2)(h)),
    "Cropping3D": volume(lambda h: layers.Cropping3D(1)(h)),
    "local response": lambda h: layers.Lambda(
        lambda h: tf.nn.local_response_normalization(h, 1, 1.0, 0.5, 0.75)
    )(h),
    "crop_and_resize": lambda h: layers.Lambda(
        lambda h: tf.image.crop_and_resize(h, [[0.1, 0.1, 0.8, 0.9]] * 2, [0, 1], (5, 6))
    )(h),
    "per_image_standardization": lambda h: layers.Lambda(tf.image.per_image_standardization)(h),
}
# Not for images or activations, random at inference, or without a derivative by their input; the
# random layers of augmentation are the identity at inference.
LEFT_OUT = """
    TFSMLayer Embedding InputLayer ReversibleEmbedding Wrapper InputSpec Layer CategoryEncoding
    Discretization HashedCrossing Hashing AutoContrast Equalization MaxNumBoundingBoxes
    ContrastLimitedAdaptiveHistogramEqualization Solarization IntegerLookup MelSpectrogram Pipeline
    STFTSpectrogram StringLookup TextVectorization ConvLSTM2D ConvLSTM3D GRUCell LSTMCell
    SimpleRNNCell StackedRNNCells FlaxLayer JaxLayer TorchModuleWrapper
    AugMix CutMix MixUp RandAugment
""".split()


class Standardized(layers.Layer):
    """Custom layer with moments; their function must not be an attribute."""

    def __init__(self, moments, **options):
        super().__init__(**options)
        self.moments = moments

    def call(self, x):
        mean, variance = self.moments(x)
        return (x - mean) / tf.sqrt(variance + 0.1)


class WithInner(layers.Layer):
    """Custom layer that holds a layer in a list."""

    def __init__(self, inner, **options):
        super().__init__(**options)
        self.parts = [inner]

    def build(self, shape):
        self.parts[0].build(shape)

    def call(self, x):
        return 2 * self.parts[0](x)


class Scaled(layers.Layer):
    """Custom layer with an argument of its call."""

    def call(self, x, scale=1.0):
        return tf.tanh(x * tf.cast(scale, x.dtype))


class TwoInputs(layers.Layer):
    """Custom layer of two tensors and a number."""

    def call(self, a, b, gain=2.0, training=None):
        return a * gain + tf.tanh(b)


class Masked(layers.Layer):
    """Custom layer that takes a mask."""

    supports_masking = True

    def call(self, x, mask=None):
        return tf.tanh(x) * tf.cast(mask, x.dtype)[..., None]


class Named(layers.Layer):
    """Custom layer with an attribute of the name `layer`."""

    def __init__(self, layer, **options):
        super().__init__(**options)
        self.layer = layer
        self.activation = keras.activations.softsign

    def build(self, shape):
        self.layer.build(shape)

    def call(self, x):
        return self.activation(self.layer(x))


@pytest.fixture
def float64():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def assert_same_value(copy, model, tolerance):
    x = tf.cast(X, keras.config.floatx())
    expected = model(x, training=False)
    np.testing.assert_allclose(copy(x, training=False), expected, atol=tolerance)


@pytest.mark.parametrize("name", LAYERS)
def test_second_derivatives(float64, name):
    model = network(LAYERS[name])
    copy = for_double_backprop(model)
    assert_same_value(copy, model, 1e-12)
    # Pooling: TensorFlow's kernel is right in eager mode alone.
    assert_agree(copy, 1e-6, 1e-4, graph="Pooling" in name)


@pytest.mark.parametrize("name", IN_FLOAT32)
def test_second_derivatives_in_float32(name):
    model = network(IN_FLOAT32[name])
    copy = for_double_backprop(model)
    assert_same_value(copy, model, 1e-5)
    assert_agree(copy, 3e-3, 3e-2)


def test_no_layer_of_keras_is_forgotten():
    tested = {name.split()[0] for name in (*LAYERS, *IN_FLOAT32, "Resizing")}
    classes = {
        value.__name__
        for name, value in vars(layers).items()
        if inspect.isclass(value) and not name.startswith("Random")
    }
    assert classes - tested == set(LEFT_OUT)


def test_augmentation_is_the_identity_at_inference(float64):
    names = ("Flip", "Brightness", "Contrast", "Translation", "Zoom")
    arguments = {"Flip": (), "Translation": (0.1, 0.1)}
    augmentation = keras.Sequential(
        [getattr(layers, f"Random{name}")(*arguments.get(name, (0.1,))) for name in names]
    )
    copy = for_double_backprop(network(augmentation))
    plain = network(lambda h: h)
    plain.set_weights([v.numpy() for v in copy.trainable_variables])
    assert_same_value(copy, plain, 1e-12)
    assert_agree(copy, 1e-6, 1e-4)


def test_exact_moments_have_the_values_and_first_derivatives_of_tensorflow():
    before = tf.nn.moments
    x = tf.constant(X, tf.float32)
    for axes, keepdims in (([1, 2], True), ([0, -1], False), (1, False)):
        results = []
        for exact in (False, True):
            with tf.GradientTape() as tape:
                tape.watch(x)
                if exact:
                    with exact_moments():
                        mean, variance = tf.nn.moments(x, axes, keepdims=keepdims)
                else:
                    mean, variance = tf.nn.moments(x, axes, keepdims=keepdims)
                value = tf.reduce_sum(mean**2) + tf.reduce_sum(tf.sqrt(variance))
            results.append((mean, variance, tape.gradient(value, x)))
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    assert tf.nn.moments is before


@pytest.mark.parametrize("sizes", [(8, 8, 3, 5), (4, 6, 9, 13), (5, 7, 5, 7)])
@pytest.mark.parametrize("align_corners", [False, True])
def test_gradient_of_resizing_by_area_is_its_transpose(sizes, align_corners):
    """<A x, u> = <x, A' u> for a linear map A: TensorFlow has no gradient of it."""
    height, width, *size = sizes
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=(2, height, width, 3)), tf.float32)
    u = tf.constant(random.normal(size=(2, *size, 3)), tf.float32)
    resize = lambda x: tf.raw_ops.ResizeArea(images=x, size=size, align_corners=align_corners)  # noqa: E731
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = resize(x)
    transposed = tape.gradient(value, x, u)
    np.testing.assert_allclose(
        tf.reduce_sum(transposed * x), tf.reduce_sum(value * u), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    "method", ["bilinear", "nearest", "bicubic", "lanczos3", "gaussian", "mitchellcubic", "area"]
)
@pytest.mark.parametrize("antialias", [False, True])
def test_every_resizing_inside_custom_code(method, antialias):
    """Between two nonlinear layers, beside other operations."""

    class Resized(layers.Layer):
        def call(self, x, size=(5, 7)):
            resized = tf.image.resize(x, size, method=method, antialias=antialias)
            return tf.tanh(resized) + resized[:, :1]

    copy = for_double_backprop(network(lambda h: Resized()(h, size=(5, 6))))
    assert_agree(copy, 3e-3, 3e-2, graph=antialias)


def test_moments_of_a_subclassed_model():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = layers.Conv2D(4, 3, padding="same", activation="tanh")
            self.last = layers.Dense(3)

        def call(self, x):
            h = self.first(x)
            mean, variance = tf.nn.moments(h, [1, 2], keepdims=True)
            h = tf.tanh((h - mean) / tf.sqrt(variance + 0.1))
            return self.last(tf.reshape(h, [tf.shape(h)[0], 256]))

    keras.utils.set_random_seed(0)
    model = Subclassed()
    model(tf.cast(X, tf.float32))
    assert_agree(for_double_backprop(model), 3e-3, 1e-2)


def test_later_rewriting_reaches_the_attributes_of_custom_code():
    """A copy's call must read the copy's attributes."""

    class Activated(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.activation = keras.activations.relu

        def call(self, x):
            return self.activation(x)

    model = network(lambda h: Activated()(h))
    x = tf.cast(X, tf.float32)
    expected = softplus_twin(model, 2.0)(x)
    assert np.abs(expected - model(x)).max() > 1e-3
    np.testing.assert_allclose(
        softplus_twin(for_double_backprop(model), 2.0)(x), expected, atol=1e-6
    )
