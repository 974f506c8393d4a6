"""Logits of models that end in a softmax, in every way of writing one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.models import small_cnn, to_logits


class Probabilities(keras.Model):
    """A custom model, whose softmax is hidden in `call`."""

    def __init__(self, layers):
        super().__init__(name="custom")
        self.body = layers

    def call(self, x):
        for layer in self.body:
            x = layer(x)
        return tf.nn.softmax(x)


def head(activation=None, units=3):
    return [
        keras.layers.Flatten(),
        keras.layers.Dense(4, activation="tanh"),
        keras.layers.Dense(units, activation=activation),
    ]


def functional(*steps, name="model"):
    x = keras.Input((2, 2, 1))
    h = x
    for step in steps:
        h = step(h)
    return keras.Model(x, h, name=name)


def sequential(*steps):
    return keras.Sequential([keras.Input((2, 2, 1)), *steps])


def custom():
    model = Probabilities(head())
    model(np.zeros((1, 2, 2, 1), "float32"))
    return model


STRIPPED = {
    "dense": lambda: functional(*head("softmax")),
    "dense function": lambda: functional(*head(tf.nn.softmax)),
    "layer": lambda: functional(*head(), keras.layers.Softmax()),
    "activation": lambda: functional(*head(), keras.layers.Activation("softmax", dtype="float32")),
    "operation": lambda: functional(*head(), keras.ops.softmax),
    "activation function": lambda: functional(*head(), keras.activations.softmax),
    "lambda": lambda: functional(*head(), keras.layers.Lambda(tf.nn.softmax)),
    "sequential": lambda: sequential(*head("softmax")),
    "sequential layer": lambda: sequential(*head(), keras.layers.Softmax()),
    "nested": lambda: functional(sequential(functional(*head("softmax")))),
}
LOGARITHM = {
    "custom": custom,
    "divided": lambda: functional(*head(), keras.ops.exp, lambda h: h / keras.ops.sum(h, -1, True)),
    "ensemble": lambda: functional(
        lambda x: keras.layers.Average()(
            [functional(*head("softmax"), name=f"member{i}")(x) for i in range(2)]
        )
    ),
}


@pytest.fixture(scope="module")
def x():
    return tf.constant(np.random.default_rng(0).uniform(0, 1, (5, 2, 2, 1)).astype("float32"))


@pytest.mark.parametrize("outputs", ["auto", "probabilities"])
@pytest.mark.parametrize("name", STRIPPED)
def test_final_softmax_is_stripped(name, outputs, x):
    model = STRIPPED[name]()
    probabilities = model(x).numpy()
    logits, conversion = to_logits(model, outputs)
    assert conversion == "stripped_softmax" and logits.name == model.name
    z = logits(x).numpy()
    np.testing.assert_allclose(tf.nn.softmax(z), probabilities, atol=1e-6)
    # Logits, not log-probabilities: those of a dense layer by hand.
    w1, b1, w2, b2 = model.get_weights()
    by_hand = np.tanh(x.numpy().reshape(5, 4) @ w1 + b1) @ w2 + b2
    np.testing.assert_allclose(z, by_hand, atol=1e-5)
    assert np.abs(np.exp(z).sum(1) - 1).max() > 0.1
    # The model is as it was, and its weights are the logits'.
    np.testing.assert_array_equal(model(x), probabilities)
    model.weights[-1].assign_add([1.0, 2.0, 3.0])
    np.testing.assert_allclose(logits(x), by_hand + [1, 2, 3], atol=1e-5)


@pytest.mark.parametrize("name", LOGARITHM)
def test_other_probabilities_are_replaced_by_their_logarithm(name, x):
    model = LOGARITHM[name]()
    log, conversion = to_logits(model, "auto", sample=x)
    assert conversion == "log_probability"
    np.testing.assert_allclose(log(x, training=False), np.log(model(x)), atol=1e-6)
    model.weights[0].assign(2 * model.weights[0])
    np.testing.assert_allclose(log(x), np.log(model(x)), atol=1e-6)
    assert {id(v) for v in log.variables} == {id(v) for v in model.variables}


def test_logarithm_is_clipped_and_has_a_gradient():
    model = functional(*head(), lambda h: keras.ops.softmax(h) * 1.0)
    model.set_weights([0 * w for w in model.get_weights()])
    model.weights[-1].assign([0.0, 0.0, 200.0])
    log, conversion = to_logits(model)
    assert conversion == "log_probability"
    x = tf.zeros((1, 2, 2, 1))
    np.testing.assert_allclose(log(x)[0], [np.log(1.1754944e-38)] * 2 + [0], rtol=1e-6)
    model.weights[-1].assign([0.0, 1.0, 2.0])
    with tf.GradientTape() as tape:
        value = log(x)[0, 0]
    expected = np.array([1.0, 0, 0]) - tf.nn.softmax([0.0, 1.0, 2.0])
    np.testing.assert_allclose(tape.gradient(value, model.weights[-1]), expected, atol=1e-6)


@pytest.mark.parametrize(
    "build",
    [
        lambda: small_cnn(input_shape=(8, 8, 1)),
        lambda: functional(*head()),
        # A softmax inside does not make the outputs probabilities.
        lambda: functional(*head("softmax"), keras.layers.Dense(3)),
        lambda: functional(*head("relu")),
    ],
)
def test_logits_are_returned_unchanged(build):
    model = build()
    assert to_logits(model) == (model, "logits")


def test_given_outputs_are_not_guessed(x):
    model = functional(*head("softmax"))
    assert to_logits(model, "logits") == (model, "logits")
    log, conversion = to_logits(functional(*head("softplus")), "probabilities")
    assert conversion == "log_probability"
    assert log(x).shape == (5, 3)


def test_stripped_model_of_mixed_precision_keeps_float32_logits(x):
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        model = functional(*head(), keras.layers.Softmax(dtype="float32"))
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    logits, conversion = to_logits(model)
    assert conversion == "stripped_softmax"
    assert logits(x).dtype == tf.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: to_logits(functional(*head()), "softmax"),
            r"outputs must be one of \('auto', 'logits', 'probabilities'\)\. Received: .*'softmax'",
        ),
        (
            lambda: to_logits(functional(*head("sigmoid"), name="many")),
            r"end in logits or a softmax, .* Received: independent sigmoids at the end of 'many'",
        ),
        (
            lambda: to_logits(functional(*head("softmax", units=1))),
            r"softmax must have at least two outputs, .* Received: one at the end of 'model'",
        ),
        (
            lambda: to_logits(functional(keras.layers.Conv2D(3, 1))),
            r"one output \[B, classes\]\. Received: \(None, 2, 2, 3\)",
        ),
        (
            lambda: to_logits(functional(*head(), lambda h: [h, h])),
            r"one output .* Received: \(None, 3\), \(None, 3\)",
        ),
        (
            lambda: to_logits(custom()),
            r"input shape must be known .* pass outputs='logits', .* or a sample\. Received: None",
        ),
        (lambda: to_logits(keras.Sequential(head())), r"model must be built"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
