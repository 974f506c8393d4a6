"""Training of users' classifiers, with the pixels and outputs that they have."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import Attack, LpBall
from rar_tf.models import load_classifier
from rar_tf.objective import Batch, ig_norm, layer_ig_norm, natural
from rar_tf.training import RobustModel

SHAPE, EPSILON = (8, 8, 3), 0.05
L = keras.layers
X = np.random.default_rng(0).random((8, *SHAPE)).astype("float32")
Y = np.arange(8) % 3


def attack():
    return Attack(LpBall("inf", EPSILON), steps=3, step_size=EPSILON / 2)


def body():
    return [
        L.Conv2D(4, 3, activation="relu", kernel_initializer=keras.initializers.GlorotUniform(1)),
        L.MaxPooling2D(2),
        L.Flatten(),
    ]


def plain(units=3, **head):
    """Images in [0, 1] -> logits."""
    dense = L.Dense(units, kernel_initializer=keras.initializers.GlorotUniform(2), **head)
    return keras.Sequential([keras.Input(SHAPE), *body(), dense])


def with_first(*first):
    return keras.Sequential([keras.Input(SHAPE), *first, *plain(activation="softmax").layers])


def channels_first():
    first = {"data_format": "channels_first"}
    made = keras.Sequential(
        [keras.Input((3, 8, 8)), L.Conv2D(4, 3, activation="relu", **first),
         L.MaxPooling2D(2, **first), L.Flatten(**first), L.Dense(3)]
    )  # fmt: skip
    made.set_weights(plain().get_weights())
    return made


class Net(keras.Model):
    """The layers of `plain`, hidden in a call."""

    def __init__(self, *end, activation=None):
        super().__init__()
        self.steps = plain(activation=activation).layers
        self.end = end

    def call(self, x):
        for layer in (*self.steps, *self.end):
            x = layer(x)
        return x


def net(*end, **options):
    made = Net(*end, **options)
    made(X)
    return made


def named():
    image = keras.Input(SHAPE)
    h = image
    *layers, dense = plain(activation="softmax").layers
    for layer in layers:
        h = layer(h)
    return keras.Model(image, {"box": L.Dense(4, trainable=False)(h), "kind": dense(h)})


def trained(classifier, objective=None, **options):
    """Weights after two steps of SGD."""
    model = RobustModel(classifier, objective or ig_norm(ig_steps=3), attack(), **options)
    model.compile(keras.optimizers.SGD(0.1))
    for _ in range(2):
        model.train_step((tf.constant(X), tf.constant(Y)))
    return model, [w for w in classifier.get_weights() if w.shape not in ((4,), (36, 4))]


CLASSIFIERS = {
    "softmax": (lambda: plain(activation="softmax"), {}),
    "0..255": (lambda: with_first(L.Rescaling(1 / 255)), {}),
    "-1..1": (lambda: with_first(L.Rescaling(0.5, 0.5)), {}),
    "said": (lambda: with_first(L.Lambda(lambda v: v / 2)), {"pixels": "tests.training."
             "test_adapted_training:twice"}),
    "nested": (lambda: keras.Sequential([keras.Input(SHAPE), plain(activation="softmax")]), {}),
    "integers": (lambda: keras.Sequential([keras.Input(SHAPE, dtype="uint8"), L.Rescaling(1 / 255),
                 *plain().layers]), {}),
    "custom": (net, {}),
    "custom softmax": (lambda: net(activation="softmax"), {}),
    "named output": (named, {"output_name": "kind"}),
}  # fmt: skip


def twice(images):
    return 2 * images


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_same_network_is_trained_to_the_same_weights(name):
    """Whatever pixels it takes and outputs it has, as from images in [0, 1] to logits."""
    build, options = CLASSIFIERS[name]
    _, expected = trained(plain())
    classifier = build()
    model, weights = trained(classifier, **options)
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)
    assert model.classifier is classifier
    logits = model(X)
    np.testing.assert_allclose(logits, trained(plain())[0].classifier(X), atol=2e-5)


def test_channels_first_is_trained_along_the_right_axes():
    """The dense kernel has another order: the convolution's gradient is that of the transposed."""
    classifier = channels_first()
    model = RobustModel(classifier, natural(), None)
    expected = classifier(X.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(model(X), expected, atol=1e-6)
    model.compile(keras.optimizers.SGD(0.1))
    by_hand = channels_first()
    with tf.GradientTape() as tape:
        logits = by_hand(X.transpose(0, 3, 1, 2))
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(Y, logits))
    gradients = tape.gradient(loss, by_hand.trainable_variables)
    before = classifier.get_weights()
    model.train_step((tf.constant(X), tf.constant(Y)))
    for old, new, gradient in zip(before, classifier.get_weights(), gradients, strict=True):
        np.testing.assert_allclose(new, old - 0.1 * gradient, atol=1e-6)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_a_binary_model_is_trained_as_by_keras(activation):
    """One step of the natural objective is one of binary cross entropy."""
    by_keras, ours = plain(1, activation=activation), plain(1, activation=activation)
    loss = keras.losses.BinaryCrossentropy(from_logits=activation is None)
    by_keras.compile(keras.optimizers.SGD(0.5), loss)
    by_keras.train_on_batch(X, (Y > 0).astype("float32")[:, None])
    model = RobustModel(ours, natural(), None)
    model.compile(keras.optimizers.SGD(0.5))
    model.train_step((tf.constant(X), tf.constant((Y > 0).astype("int32")[:, None])))
    for one, other in zip(by_keras.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("name", ["0..255", "-1..1", "integers"])
def test_the_adversary_is_within_epsilon_in_the_unit_range(name):
    build, options = CLASSIFIERS[name]
    model = RobustModel(build(), ig_norm(), attack(), **options)
    model.compile("sgd")
    x_adv = model.find_adversary(Batch(tf.constant(X), tf.constant(Y, tf.int32)))
    difference = np.abs(x_adv - X)
    assert difference.max() <= EPSILON + 1e-6 and difference.mean() > EPSILON / 4
    assert tf.reduce_min(x_adv) >= 0 and tf.reduce_max(x_adv) <= 1


def test_a_layer_of_a_nested_model_is_an_objective():
    base = keras.Sequential([keras.Input(SHAPE), *body()[:2]], name="base")
    name = base.layers[0].name
    classifier = keras.Sequential([keras.Input(SHAPE), base, L.Flatten(), L.Dense(3)])
    model, _ = trained(classifier, layer_ig_norm(layer=name, ig_steps=2))
    assert name in model.objective.layers


def test_what_is_saved_takes_the_pixels_that_it_took(tmp_path):
    classifier = with_first(L.Rescaling(1 / 255))
    model, _ = trained(classifier)
    model.classifier.save(tmp_path / "model.keras")
    loaded = load_classifier(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(255 * X), tf.nn.softmax(model(X)), atol=1e-6)


def test_probabilities_that_cannot_be_undone_are_refused():
    with pytest.raises(ValueError, match="a model to train must end in logits, a softmax layer or"):
        RobustModel(net(tf.nn.softmax), natural(), None)
