"""Pixel ranges: what the layers show, what the user says, and what labelled images contradict."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.applications.imagenet_utils import preprocess_input

from rar_tf.models import Convention, adapt, check_pixels
from rar_tf.models.pixel_evidence import pixel_evidence

SHAPE = (8, 10, 3)
L = keras.layers
MODES = {
    "0..1": lambda x: x,
    "0..255": lambda x: 255 * x,
    "-1..1": lambda x: 2 * x - 1,
    "caffe": lambda x: preprocess_input(255 * x, mode="caffe"),
    "torch": lambda x: preprocess_input(255 * x, mode="torch"),
}


class Halve(keras.layers.Layer):
    """Code that no name gives away."""

    def call(self, inputs):
        return (inputs - 127.5) / 127.5


def model(*first, shape=SHAPE, classes=3):
    """Convolution and logits behind `first`."""
    steps = [L.Conv2D(2, 3, activation="relu"), L.Flatten(), L.Dense(classes)]
    return keras.Sequential([keras.Input(shape), *first, *steps], name="custom")


def after(mode):
    """A Functional model that begins with the operations of `preprocess_input`."""
    image = keras.Input(SHAPE)
    return keras.Model(image, model()(preprocess_input(image, mode=mode)))


def normalization(scale, offset=0.0):
    layer = L.Normalization()
    layer.adapt(scale * np.random.default_rng(0).random((40, *SHAPE)) + offset)
    return layer


def batch_normalized():
    """A first layer whose moving mean and variance are those of pixels in [0, 255]."""
    made = model(L.BatchNormalization())
    made.layers[0].set_weights([np.full(3, value) for value in (1.0, 0.0, 120.0, 4000.0)])
    return made


@pytest.fixture
def x():
    return np.random.default_rng(0).random((4, *SHAPE)).astype("float32")


SHOWN = {
    "rescaling": (lambda: model(L.Rescaling(1 / 255)), "0..255"),
    "to [-1, 1]": (lambda: model(L.Rescaling(1 / 127.5, -1)), "0..255"),
    "behind augmentation": (
        lambda: model(
            L.ZeroPadding2D(3), L.RandomFlip(), L.RandomRotation(0.1), L.Rescaling(1 / 255)
        ),
        "0..255",
    ),
    "behind resizing": (lambda: model(L.Resizing(5, 5), L.Rescaling(1 / 128)), "0..255"),
    "nested": (
        lambda: model(keras.Sequential([keras.Input(SHAPE), L.Rescaling(1 / 127.5, -1)])),
        "0..255",
    ),
    "lambda": (lambda: model(L.Lambda(lambda v: v / 255)), "0..255"),
    "custom layer": (lambda: model(Halve()), "0..255"),
    "normalization": (lambda: model(normalization(255)), "0..255"),
    "normalization of [0, 1]": (lambda: model(normalization(1)), "0..1"),
    "normalization of [-1, 1]": (lambda: model(normalization(1.8, -1)), "-1..1"),
    "batch normalization": (batch_normalized, "0..255"),
    "from [-1, 1]": (lambda: model(L.Rescaling(0.5, 0.5)), "-1..1"),
    "from [0, 1] to [-1, 1]": (lambda: model(L.Rescaling(2.0, -1)), "0..1"),
    "operations of mode tf": (lambda: after("tf"), "0..255"),
    "operations of mode caffe": (lambda: after("caffe"), "0..255"),
    "operations of mode torch": (lambda: after("torch"), "0..255"),
    "mobilenet v3": (
        lambda: keras.applications.MobileNetV3Small(
            weights=None, input_shape=(32, 32, 3), classifier_activation=None
        ),
        "0..255",
    ),
}
NOT_SHOWN = {
    "nothing": model,
    "there and back": lambda: model(L.Rescaling(255.0), L.Rescaling(1 / 255)),
    "standardized": lambda: model(L.Lambda(tf.image.per_image_standardization)),
    "a scale behind weights": lambda: keras.Sequential(
        [keras.Input(SHAPE), L.Conv2D(3, 3), L.Rescaling(1 / 255), L.Flatten(), L.Dense(3)]
    ),
}


@pytest.mark.parametrize("name", SHOWN)
def test_the_first_layers_show_the_pixels(name):
    build, expected = SHOWN[name]
    made = build()
    evidence = pixel_evidence(made, made.input_shape[1:])
    assert evidence.certain and evidence.pixels == expected
    z, x = adapt(made), np.random.default_rng(0).random((2, *made.input_shape[1:]))
    given = MODES[expected](x.astype("float32"))
    np.testing.assert_allclose(z.model(x, training=False), made(given, training=False), atol=1e-5)
    assert z.conversions.pixels == expected and z.conversions.pixels_by == "layers"


@pytest.mark.parametrize("name", NOT_SHOWN)
def test_layers_that_show_nothing(name):
    made = NOT_SHOWN[name]()
    assert pixel_evidence(made, SHAPE) is None
    assert adapt(made).model is made


@pytest.mark.parametrize(
    ("build", "pixels"),
    [
        (keras.applications.MobileNetV2, "-1..1"),
        (keras.applications.ResNet50, "caffe"),
        (keras.applications.ResNet50V2, "-1..1"),
        (keras.applications.VGG16, "caffe"),
        (keras.applications.DenseNet121, "torch"),
    ],
)
def test_networks_of_keras_are_known_by_their_layers(build, pixels):
    base = build(weights=None, include_top=False, input_shape=(32, 32, 3), pooling="avg")
    evidence = pixel_evidence(base, (32, 32, 3))
    assert evidence.pixels == pixels and not evidence.certain
    # What comes before the network decides.
    scaled = keras.Sequential([keras.Input((32, 32, 3)), L.Rescaling(1 / 127.5, -1), base])
    evidence = pixel_evidence(scaled, (32, 32, 3))
    assert evidence.pixels == "0..255" and evidence.certain


@pytest.mark.parametrize("pixels", MODES)
def test_pixels_that_the_user_says(pixels, x):
    made = model()
    adapted = adapt(made, Convention(pixels))
    np.testing.assert_allclose(
        adapted.model(x), made(MODES[pixels](x.copy())), atol=2e-5, rtol=1e-6
    )
    assert adapted.conversions.pixels == pixels and adapted.conversions.pixels_by == "user"
    assert bool(adapted.conversions.descriptions) == (pixels != "0..1")


def test_gradients_are_by_pixels_in_the_unit_range(x):
    """A linear model of pixels in [0, 255]: 255 times its kernel."""
    made = keras.Sequential([keras.Input(SHAPE), L.Flatten(), L.Dense(3)])
    with tf.GradientTape() as tape:
        image = tf.constant(x)
        tape.watch(image)
        logit = adapt(made, Convention("0..255")).model(image)[:, 1]
    kernel = made.get_weights()[0][:, 1].reshape(SHAPE)
    np.testing.assert_allclose(tape.gradient(logit, image)[2], 255 * kernel, rtol=1e-6)


def test_a_function_of_pixels(x):
    made = model()
    adapted = adapt(made, Convention(lambda v: keras.ops.sqrt(v)))
    np.testing.assert_allclose(adapted.model(x), made(np.sqrt(x)), atol=1e-6)
    named = adapt(made, Convention("tests.models.test_pixels:squared"))
    np.testing.assert_allclose(named.model(x), made(x**2), atol=1e-6)
    assert named.conversions.pixels == "tests.models.test_pixels:squared"


def squared(images):
    return images**2


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (lambda v: tf.round(255 * v), "must be differentiable in TensorFlow.* a gradient that is"),
        (lambda v: tf.cast(255 * v, tf.uint8), "must be differentiable .* that is none"),
        (lambda v: np.sqrt(v), "failed: NotImplementedError"),
        (lambda v: v[0], r"must return images \[B, H, W, C\]"),
        (lambda v: tf.math.log(v * 0), "must be differentiable|finite pixels"),
        ("tests.models.test_pixels:nothing", "must name a function of .*test_pixels.py"),
        (
            "0-255",
            r"pixels must be one of -1\.\.1, 0\.\.1, 0\.\.255, auto, .*'0-255'.*Did you mean",
        ),
    ],
)
def test_functions_of_pixels_that_cannot_be_used(pixels, message):
    with pytest.raises(ValueError, match=message):
        adapt(model(), Convention(pixels))


def test_caffe_needs_three_channels():
    with pytest.raises(ValueError, match="pixels=caffe must be given for images of 3 channels"):
        adapt(model(shape=(8, 10, 1)), Convention("caffe"))


def test_the_preprocessor_of_keras_hub(x):
    """Its image converter scales pixels in [0, 255], which `call` leaves out."""
    made = model()

    class Converter:
        scale, offset = [0.01, 0.02, 0.03], [-1.0, -2.0, -3.0]

    object.__setattr__(
        made, "preprocessor", type("Preprocessor", (), {"image_converter": Converter})
    )
    expected = made(255 * x * np.float32(Converter.scale) + np.float32(Converter.offset))
    adapted = adapt(made)
    np.testing.assert_allclose(adapted.model(x), expected, atol=1e-5)
    assert adapted.conversions.pixels == "preprocessor"


def brightness(center):
    """Two classes: whether the mean of the pixels it is given is above the center."""
    image = keras.Input(SHAPE)
    mean = L.GlobalAveragePooling2D()(image)
    logits = L.Dense(2)(mean)
    made = keras.Model(image, logits)
    made.set_weights([np.array([[-1.0, 1.0]] * 3), np.array([3 * center, -3 * center])])
    return made


def labelled(count):
    labels = np.arange(count) % 2
    images = (
        np.random.default_rng(0).random((count, *SHAPE)) * 0.4 + 0.5 * labels[:, None, None, None]
    )
    return images.astype("float32"), labels


@pytest.mark.parametrize(("center", "pixels"), [(115.0, "0..255"), (-0.1, "-1..1")])
def test_clearly_better_pixels_are_named(center, pixels):
    made, (images, labels) = brightness(center), labelled(40)

    def read(numbers):
        return images[numbers], labels[numbers]

    message = (
        rf"pixels=0\.\.1 \(by default\), with 20 of 40 .* pixels={pixels} gives 40; pass pixels"
    )
    with pytest.raises(ValueError, match=message):
        check_pixels(made, adapt(made), read, 40)
    check_pixels(made, adapt(made, Convention("0..1")), read, 40)
    check_pixels(made, adapt(made, Convention(pixels)), read, 40)


def test_chance_is_no_evidence():
    """Few images, right pixels, or a model that answers one class."""
    images, labels = labelled(40)

    def read(numbers):
        return images[numbers], labels[numbers]

    check_pixels(brightness(115.0), adapt(brightness(115.0)), read, 16)
    check_pixels(brightness(0.45), adapt(brightness(0.45)), read, 40)
    always_0 = brightness(-1e4)
    many = np.where(np.arange(40) < 36, 1, 0)
    check_pixels(
        always_0, adapt(always_0), lambda numbers: (images[numbers], 1 - many[numbers]), 40
    )
