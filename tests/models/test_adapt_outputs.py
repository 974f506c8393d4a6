"""Outputs, axes and custom code of users' classifiers, and their errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attribution import grad_cam, layer_integrated_gradients
from rar_tf.models import ARCHITECTURES, Convention, adapt, build, for_double_backprop
from rar_tf.models.rewrite import inlined

SHAPE = (8, 10, 3)
L = keras.layers
FIRST = {"data_format": "channels_first"}


def model(*head, shape=SHAPE, name="custom"):
    return keras.Sequential([keras.Input(shape), L.Conv2D(2, 3), L.Flatten(), *head], name=name)


class Net(keras.Model):
    """A custom model, whose call ends in `function`."""

    def __init__(self, units=3, activation=None, function=lambda z: z):
        super().__init__(name="net")
        self.convolution = L.Conv2D(2, 3, activation="relu")
        self.flatten = L.Flatten()
        self.gate = L.Dense(4, activation="sigmoid")
        self.out = L.Dense(units, activation=activation)
        self.function = function

    def call(self, x):
        h = self.flatten(self.convolution(x))
        return self.function(self.out(self.gate(h)))


def net(*arguments, **options):
    made = Net(*arguments, **options)
    made(np.zeros((1, *SHAPE), "float32"))
    return made


@pytest.fixture
def x():
    return tf.constant(np.random.default_rng(0).random((5, *SHAPE)).astype("float32"))


def two_logits(z):
    return np.concatenate([-z / 2, z / 2], -1)


BINARY = {
    "dense": lambda: model(L.Dense(1, activation="sigmoid")),
    "layer": lambda: model(L.Dense(1), L.Activation("sigmoid", dtype="float32")),
    "operation": lambda: model(L.Dense(1), L.Lambda(keras.ops.sigmoid)),
    "reshaped": lambda: model(L.Dense(1, activation="sigmoid"), L.Reshape(())),
    "nested": lambda: model(
        keras.Sequential([keras.Input((96,)), L.Dense(1, activation="sigmoid")])
    ),
    "custom": lambda: net(1, "sigmoid"),
}


@pytest.mark.parametrize("name", BINARY)
def test_one_sigmoid_is_two_logits(name, x):
    made = BINARY[name]()
    p = tf.reshape(made(x), (-1, 1))
    z = np.log(p / (1 - p))
    adapted = adapt(made)
    logits = adapted.model(x)
    assert adapted.conversions.outputs == "sigmoid_as_two_logits" and logits.shape == (5, 2)
    np.testing.assert_allclose(logits, two_logits(z), atol=1e-6)
    np.testing.assert_allclose(tf.nn.softmax(logits)[:, 1:], p, atol=1e-6)
    # Cross entropy is that of the sigmoid.
    labels = np.array([0, 1, 1, 0, 1])
    binary = keras.losses.binary_crossentropy(labels[:, None], p)
    both = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    np.testing.assert_allclose(both, binary, atol=1e-6)
    # The variables are the classifier's.
    made.weights[-1].assign_add([0.5])
    np.testing.assert_allclose(adapted.model(x), two_logits(z + 0.5), atol=1e-6)


def test_a_saturated_sigmoid_keeps_its_gradient(x):
    """sigmoid(100) is 1 in float32; the logit is 100, and has a gradient."""
    made = model(L.Dense(1, activation="sigmoid"))
    made.weights[-1].assign([100.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        margin = adapt(made).model(x)[:, 1]
    assert np.all(np.abs(margin - 50) < 5) and np.all(tape.gradient(margin, x) != 0)


@pytest.mark.parametrize("outputs", ["auto", "logits"])
def test_one_logit_is_two(outputs, x):
    made = model(L.Dense(1))
    adapted = adapt(made, Convention(outputs=outputs))
    assert adapted.conversions.outputs == "logit_as_two_logits"
    np.testing.assert_allclose(adapted.model(x), two_logits(made(x)), atol=1e-6)


def test_one_probability_of_a_custom_call(x):
    made = net(1, function=tf.nn.sigmoid)
    adapted = adapt(made)
    assert adapted.conversions.outputs == "log_probability"
    p = made(x).numpy()
    np.testing.assert_allclose(adapted.model(x), np.log(np.concatenate([1 - p, p], -1)), atol=1e-6)


@pytest.mark.parametrize("function", [tf.nn.softmax, keras.ops.softmax])
def test_softmax_in_a_custom_model(function, x):
    z = net()
    hidden = net(activation="softmax")
    hidden.set_weights(z.get_weights())
    adapted = adapt(hidden)
    assert adapted.conversions.outputs == "stripped_softmax"
    np.testing.assert_allclose(adapted.model(x), z(x), atol=1e-6)
    called = net(function=function)
    called.set_weights(z.get_weights())
    adapted = adapt(called)
    assert adapted.conversions.outputs == "log_probability"
    np.testing.assert_allclose(adapted.model(x), tf.nn.log_softmax(z(x)), atol=1e-6)


def detector(*, as_dict):
    image = keras.Input(SHAPE)
    h = L.Flatten()(L.Conv2D(2, 3)(image))
    box, kind = L.Dense(4, name="box")(h), L.Dense(3, activation="softmax", name="kind")(h)
    return keras.Model(image, {"b": box, "k": kind} if as_dict else [box, kind])


@pytest.mark.parametrize(
    ("build_model", "name", "read"),
    [
        (lambda: detector(as_dict=True), "k", lambda out: out["k"]),
        (lambda: detector(as_dict=False), "kind", lambda out: out[1]),
        (lambda: detector(as_dict=False), "1", lambda out: out[1]),
        (lambda: net(activation="softmax", function=lambda p: {"p": p, "z": -p}), "p",
         lambda out: out["p"]),
        (lambda: net(activation="softmax", function=lambda p: (-p, p)), "1", lambda out: out[1]),
    ],
)  # fmt: skip
def test_one_of_several_outputs(build_model, name, read, x):
    made = build_model()
    adapted = adapt(made, Convention(output_name=name))
    np.testing.assert_allclose(tf.nn.softmax(adapted.model(x)), read(made(x)), atol=1e-6)
    assert adapted.conversions.output_name == name
    assert f"output {name} of several taken" in adapted.conversions.descriptions


def channels_first(*head):
    steps = [L.Conv2D(4, 3, **FIRST), L.MaxPooling2D(2, **FIRST), L.BatchNormalization(axis=1)]
    return keras.Sequential([keras.Input((3, 8, 10)), *steps, *head, L.Dense(3)])


@pytest.mark.parametrize(
    "build_model",
    [
        lambda: channels_first(L.GlobalAveragePooling2D(**FIRST)),
        lambda: channels_first(L.Flatten(**FIRST)),
        lambda: keras.Sequential(
            [keras.Input((3, 8, 10)), L.Permute((2, 3, 1)), L.Conv2D(2, 3), L.Flatten(), L.Dense(3)]
        ),
    ],
)
def test_channels_first(build_model, x):
    made = build_model()
    for adapted in (adapt(made), adapt(made, image_shape=SHAPE)):
        np.testing.assert_allclose(adapted.model(x), made(tf.transpose(x, [0, 3, 1, 2])), atol=1e-6)
        assert adapted.conversions.data_format == "channels_first"
        assert adapted.model.input_shape == (None, *SHAPE)
    converted = adapt(made, Convention("0..255")).model
    np.testing.assert_allclose(converted(x), made(255 * tf.transpose(x, [0, 3, 1, 2])), rtol=1e-5)


def test_architectures_of_the_package_ignore_keras_json():
    x = np.random.default_rng(0).random((2, 16, 16, 3)).astype("float32")
    options = {"num_classes": 3, "input_shape": (16, 16, 3)}
    before = [build(name, **options)(x) for name in ARCHITECTURES]
    keras.config.set_image_data_format("channels_first")
    try:
        after = [build(name, **options)(x) for name in ARCHITECTURES]
    finally:
        keras.config.set_image_data_format("channels_last")
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_integer_input_is_read_as_real_numbers(x):
    made = keras.Sequential(
        [keras.Input(SHAPE, dtype="uint8"), L.Rescaling(1 / 255), L.Flatten(), L.Dense(3)]
    )
    levels = tf.cast(tf.round(255 * x), tf.uint8)
    adapted = adapt(made)
    np.testing.assert_allclose(
        adapted.model(tf.cast(levels, tf.float32) / 255), made(levels), atol=1e-6
    )
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = adapted.model(x)
    assert np.any(tape.gradient(value, x) != 0)


def test_any_number_of_images(x):
    made = keras.Sequential([keras.Input(SHAPE, batch_size=1), L.Flatten(), L.Dense(3)])
    expected = np.concatenate([made(x[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(adapt(made).model(x), expected, atol=1e-6)


def transfer(training=None):
    """A head on a base model with names that occur twice."""
    base = keras.Sequential(
        [keras.Input(SHAPE), L.Conv2D(4, 3, activation="relu", name="c"), L.BatchNormalization(),
         L.Dropout(0.5)],
        name="base",
    )  # fmt: skip
    image = keras.Input(SHAPE, name="image")
    h = base(image, training=training)
    h = L.Conv2D(2, 3, name="c")(h)
    return keras.Model(image, L.Dense(3)(L.Flatten()(h)))


@pytest.mark.parametrize("training", [None, False])
def test_nested_models_are_inlined_on_their_own_layers(training, x):
    made = transfer(training)
    flat = inlined(made)
    np.testing.assert_array_equal(flat(x), made(x))
    np.testing.assert_array_equal(flat(x, training=False), made(x, training=False))
    names = {layer.name for layer in flat.layers}
    assert {"c", "base_c", "base"} <= names
    assert {id(v) for v in flat.variables} == {id(v) for v in made.variables}


def test_a_layer_that_is_used_twice_stays_one():
    shared = keras.Sequential([keras.Input((4,)), L.Dense(4, name="twice")])
    image = keras.Input((4,))
    made = keras.Model(image, L.Add()([shared(image), shared(shared(image))]))
    x = np.random.default_rng(0).random((3, 4)).astype("float32")
    flat = inlined(made)
    np.testing.assert_array_equal(flat(x), made(x))
    assert [layer.name for layer in flat.layers].count("twice") == 1


def test_layers_of_a_nested_model_have_attributions(x):
    """[RAR eq. 2]: the increments of a layer sum to the change of the logit, for a linear end."""
    made = transfer()
    network = adapt(made).model
    y = tf.argmax(network(x, training=False), -1)
    options = {"baseline": tf.zeros_like(x), "steps": 50}

    def output(upper):
        return lambda h, label: tf.gather(upper(h, training=False), label, axis=1, batch_dims=1)

    change = tf.gather(
        network(x, training=False) - network(tf.zeros_like(x), training=False), y, axis=1,
        batch_dims=1,
    )  # fmt: skip
    for classifier in (made, network, for_double_backprop(network, keep=["base_c"])):
        for layer in ("base_c", "base"):
            ig = layer_integrated_gradients(classifier, layer, x, y, output=output, **options)
            np.testing.assert_allclose(tf.reduce_sum(ig, [1, 2, 3]), change, atol=1e-4)
    assert grad_cam(made, x, y, "base_c").shape == (5, 8, 10)


def test_a_stripped_model_has_layers_of_its_own(x):
    made = model(L.Dense(4, name="hidden"), L.Dense(3, activation="softmax"))
    network = adapt(made).model
    ig = layer_integrated_gradients(
        network, "hidden", x, tf.zeros(5, tf.int32), baseline=tf.zeros_like(x), steps=2
    )
    assert ig.shape == (5, 4)


@pytest.mark.parametrize(
    ("build_model", "convention", "message"),
    [
        (lambda: model(L.Dense(4, activation="sigmoid")), Convention(),
         "must end in logits or a softmax, as an image has one class. Received: independent"),
        (lambda: net(4, "sigmoid"), Convention(), "Received: independent sigmoids at the end"),
        (lambda: net(4, function=tf.nn.sigmoid), Convention(), "Received: independent sigmoids"),
        (lambda: model(L.Dense(1, activation="softmax")), Convention(), "at least two outputs"),
        (lambda: model(L.Dense(1, activation="hard_sigmoid")), Convention(),
         "kind of the one output must be known"),
        (lambda: detector(as_dict=True), Convention(),
         "output_name must be one of the model's outputs, b, k. Received: output_name=None"),
        (lambda: detector(as_dict=False), Convention(output_name="class"),
         "one of the model's outputs, box, kind. Received: output_name=class"),
        (lambda: model(L.Dense(3)), Convention(output_name="class"), "Received: output_name=class"),
        (lambda: two_inputs(),
         Convention(), "must have one input, the image. Received: 2: a, b"),
        (lambda: keras.Sequential([keras.Input(SHAPE), L.Conv2D(2, 3, **FIRST), L.Flatten(),
                                   L.Dense(3)]), Convention(), "one order of axes"),
        (Net, Convention(), "must have been called on images"),
        (lambda: net(function=lambda z: 1 / 0 if z.shape[0] == 8 else z), Convention(),
         "must run on images .* fails: ZeroDivisionError"),
    ],
)  # fmt: skip
def test_classifiers_that_are_refused(build_model, convention, message):
    with pytest.raises(ValueError, match=message):
        adapt(build_model(), convention)


def two_inputs():
    image, meta = keras.Input(SHAPE, name="a"), keras.Input((2,), name="b")
    return keras.Model([image, meta], L.Dense(3)(L.Concatenate()([L.Flatten()(image), meta])))
