"""The endpoints' functions: closed forms, bad input, bounded memory."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attribution import Explainer
from rar_tf.serving.endpoints import attribute, in_blocks, predict
from tests.support import tiny_classifier as tiny


@pytest.fixture(scope="module")
def linear():
    """logits = x . w + b with three classes on 2 x 2 x 1 images."""
    image = keras.Input((2, 2, 1))
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(image)))
    weights = np.array([[1, -2, 0], [0.5, 3, 0], [-1, 1, 0], [2, -4, 0]], "float32")
    model.set_weights([weights, np.array([0, 0, 0.25], "float32")])
    return model


def test_a_linear_model_is_attributed_exactly(linear):
    """IG_i = (x_i - b_i) w_iy for any rule and number of steps."""
    x = np.array([[1, 0.5, 0, 0.25], [0, 1, 0.5, 0], [0, 0, 0.1, 0]], "float32")
    baseline = np.full((3, 2, 2, 1), 0.5, "float32")
    found = attribute(
        linear,
        tf.constant(x.reshape(3, 2, 2, 1)),
        tf.constant([-1, 0, -1]),
        tf.constant(baseline),
        Explainer(steps=3, rule="left"),
        2,
    )
    # Logits: (1.75, -1.5, .25), (0, 3.5, .25), (-.1, .1, .25).
    np.testing.assert_array_equal(found["class"], [0, 1, 2])
    w = np.array([1, 0.5, -1, 2], "float32")
    expected = [(x[0] - 0.5) * w, (x[1] - 0.5) * w, np.zeros(4)]
    ig = np.reshape(found["attribution"], (3, 4))
    np.testing.assert_allclose(ig, expected, atol=1e-6)
    np.testing.assert_allclose(found["completeness_error"], 0, atol=1e-6)
    # |IG| / mean |IG|; a map of zeros stays zero.
    np.testing.assert_allclose(
        np.reshape(found["saliency"], (3, 4))[0],
        np.array([0.5, 0, 0.5, 0.5]) / 0.375,
        atol=1e-5,
    )
    np.testing.assert_array_equal(found["saliency"][2], 0)
    np.testing.assert_array_equal(found["valid"], True)


def test_completeness_error_is_the_quadrature_s(linear):
    """f = sum x^2: m right nodes overestimate by sum x^2 / m."""

    class Squared(keras.Model):
        def call(self, inputs):
            squares = keras.ops.sum(inputs * inputs, axis=(1, 2, 3))
            return keras.ops.stack([squares, squares - 1], -1)

    x = tf.constant(tiny.images(2))
    zeros = tf.zeros_like(x)
    right = Explainer(steps=4, rule="right")
    found = attribute(Squared(), x, tf.fill([2], -1), zeros, right)
    expected = np.sum(np.square(x), (1, 2, 3)) / 4
    np.testing.assert_allclose(found["completeness_error"], expected, rtol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -1e-6, 1 + 1e-6, 255])
def test_a_bad_image_is_told_and_its_neighbours_do_not_notice(bad):
    model, x = tiny.classifier(), tiny.images(3)
    spoilt = x.copy()
    spoilt[1, 0, 0, 2] = bad
    clean = np.stack([x[0], x[2]])
    for function in (
        lambda image: predict(model, image),
        lambda image: attribute(
            model, image, tf.fill([len(image)], -1), tf.zeros_like(image), Explainer(steps=2)
        ),
    ):
        found, expected = function(tf.constant(spoilt)), function(tf.constant(clean))
        for name, values in found.items():
            np.testing.assert_allclose(
                values[::2] if name == "valid" else tf.stack([values[0], values[2]]),
                expected[name],
                atol=1e-6,
                err_msg=name,
            )
            row = -1 if name == "class" else 0
            np.testing.assert_array_equal(values[1], np.full_like(values[1], row), name)


def test_nan_does_not_reach_other_rows_of_a_model_that_mixes_them():
    model = tiny.classifier()

    def centred(points, training):
        logits = model(points, training=training)
        return logits - tf.reduce_mean(logits, 0)

    x = tiny.images(3)
    x[1] = np.nan
    label, black = tf.fill([3], -1), tf.zeros_like(x)
    found = attribute(centred, tf.constant(x), label, black, Explainer(steps=2))
    for values in (*found.values(), *predict(centred, tf.constant(x)).values()):
        assert np.isfinite(values).all()
    np.testing.assert_array_equal(found["valid"], [True, False, True])


def test_pixels_0_and_1_are_good():
    model = tiny.classifier()
    x = np.stack([np.zeros(tiny.SHAPE), np.ones(tiny.SHAPE)]).astype("float32")
    np.testing.assert_array_equal(predict(model, tf.constant(x))["class"] >= 0, True)


@pytest.mark.parametrize(
    ("rows", "nodes_per_pass", "images_per_pass"), [(13, 3, 4), (3, 7, 2), (1, 25, 8), (9, 1, 1)]
)
def test_no_batch_puts_more_images_in_the_network_than_was_said(
    rows, nodes_per_pass, images_per_pass
):
    model, seen = tiny.classifier(), []
    explainer = Explainer(steps=7, rule="midpoint")

    def watched(points, training):
        count = tf.numpy_function(
            lambda n: seen.append(int(n)) or n, [tf.shape(points)[0]], "int32"
        )
        with tf.control_dependencies([count]):
            return model(tf.identity(points), training=training)

    def explain(image, label, baseline):
        return attribute(watched, image, label, baseline, explainer, nodes_per_pass)

    x = tf.constant(tiny.images(rows))

    @tf.function
    def call(x):
        return in_blocks(explain, (x, tf.fill([rows], -1), tf.zeros_like(x)), images_per_pass)

    found = call(x)
    assert max(seen) == min(images_per_pass, rows) * min(nodes_per_pass, 7)
    at_once = attribute(model, x, tf.fill([rows], -1), tf.zeros_like(x), explainer)
    for name, values in found.items():
        np.testing.assert_allclose(values, at_once[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, r"steps must be >= 1\. Received: steps=0"),
        ({"rule": "simpson"}, r"rule must be one of .* Received: rule='simpson'"),
        ({"baseline": 2.0}, r"baseline must be in \[0, 1\]\. Received: baseline=2.0"),
        ({"method": "lime"}, r"method must be one of .*integrated_gradients.*method='lime'"),
    ],
)
def test_an_impossible_explainer_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Explainer(**settings)
