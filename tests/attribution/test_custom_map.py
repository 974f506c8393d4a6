"""Custom maps: functions of TensorFlow and black boxes, in and out of graphs."""

import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import Ifia
from rar_tf.attribution import Explainer, input_gradient, is_differentiable, label_logit
from rar_tf.evaluation import evaluate
from rar_tf.naming import json_default
from rar_tf.objective import Batch, far
from tests.support.tiny_classifier import classifier, images
from tests.support.tiny_evaluation import own_data, own_model, quick_protocol

MODEL = classifier()
X = tf.constant(images(3))
Y = tf.constant([0, 1, 2])


def by_gradient(classifier, x, classes):
    return input_gradient(label_logit(classifier), x, classes)


def by_gradient_per_pixel(classifier, x, classes):
    return tf.reduce_sum(by_gradient(classifier, x, classes), -1)


def occlusion(classifier, x, classes):
    """Fall of the logit when a quarter of the image becomes black, in numpy alone."""

    def logits(points):
        return np.asarray(classifier(points))[np.arange(len(points)), classes]

    height, width = x.shape[1] // 2, x.shape[2] // 2
    maps = np.zeros(x.shape[:3])
    for row in range(2):
        for column in range(2):
            window = np.s_[:, row * height :, column * width :]
            other = x.copy()
            other[window][:, :height, :width] = 0
            maps[window][:, :height, :width] += (logits(x) - logits(other))[:, None, None]
    return maps


def ranked(classifier, x, classes):
    """TensorFlow, without a derivative."""
    return tf.cast(tf.argsort(by_gradient_per_pixel(classifier, x, classes)), tf.float32)


def by_python_value(classifier, x, classes):
    """Not traceable: a condition on a value."""
    return x if float(tf.reduce_max(x)) > 0.5 else -x


def test_a_function_of_tensorflow_is_used_as_it_is():
    expected = by_gradient(MODEL, X, Y)
    explainer = Explainer(by_gradient)
    np.testing.assert_array_equal(explainer.attribution(MODEL, X, Y), expected)
    graph = tf.function(lambda x, y: explainer.attribution(MODEL, x, y))
    np.testing.assert_allclose(graph(X, Y), expected, rtol=1e-5, atol=1e-7)


def test_a_map_of_one_value_a_pixel_is_divided_among_the_channels():
    attribution = Explainer(by_gradient_per_pixel).attribution(MODEL, X, Y)
    expected = by_gradient_per_pixel(MODEL, X, Y)
    np.testing.assert_allclose(tf.reduce_sum(attribution, -1), expected, rtol=1e-5, atol=1e-7)
    saliency = Explainer(by_gradient_per_pixel).saliency(MODEL, X, Y)
    size = np.abs(expected)
    np.testing.assert_allclose(saliency, size / size.mean((1, 2), keepdims=True), rtol=1e-4)


def test_a_black_box_gets_arrays_and_a_classifier_of_arrays():
    expected = occlusion(MODEL, X.numpy(), Y.numpy())
    explainer = Explainer(occlusion)
    for call in (explainer.attribution, tf.function(explainer.attribution)):
        attribution = call(MODEL, X, Y)
        assert attribution.shape == X.shape
        np.testing.assert_allclose(tf.reduce_sum(attribution, -1), expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="test_custom_map:occlusion must be of TensorFlow .*black"):
        with tf.GradientTape() as tape:
            tape.watch(X)
            value = explainer.saliency(MODEL, X, Y)
        tape.gradient(value, X)


@pytest.mark.parametrize(("method", "expected"), [
    (by_gradient, True),
    (by_gradient_per_pixel, True),
    ("integrated_gradients", True),
    ("input_gradient", True),
    ("grad_cam", True),
    (occlusion, False),
    (ranked, False),
    (by_python_value, False),
    (lambda classifier, x, classes: np.asarray(x), False),
])  # fmt: skip
def test_is_differentiable(method, expected):
    assert is_differentiable(Explainer(method, 3), MODEL, X, Y) is expected


def nothing(classifier, x, classes):
    return None


def of_another_size(classifier, x, classes):
    return x[:, 1:]


def per_image(classifier, x, classes):
    return np.zeros(len(np.asarray(x)))


def text(classifier, x, classes):
    return np.full(x.shape, "a")


def undefined(classifier, x, classes):
    return x * np.nan


def failing(classifier, x, classes):
    return classifier.no_such_thing(x)


@pytest.mark.parametrize(("function", "message"), [
    (nothing, r"nothing must return maps of real numbers \(3, .*Received: None"),
    (of_another_size, r"of_another_size must return maps .*Received: float32 \(3, "),
    (per_image, r"per_image must return maps .*Received: float64 \(3,\)"),
    (text, r"text must return maps .*Received: str\d* \(3, 6, 5, 3\)"),
    (undefined, r"undefined must return finite maps\. Received: NaN or infinity"),
    (failing, r"failing failed: AttributeError: .*no_such_thing.*test_custom_map\.py, line \d+"),
])  # fmt: skip
def test_errors(function, message):
    with pytest.raises(ValueError, match=rf"attribution=.*test_custom_map:{message}"):
        Explainer(function).attribution(MODEL, X, Y)
    with pytest.raises(ValueError, match=message):
        is_differentiable(Explainer(function), MODEL, X, Y)


def test_a_black_box_is_measured_by_a_search_without_gradients_of_maps(tmp_path):
    """Random signs; each metric compares the black box's own maps."""
    model = own_model()
    x, y = own_data(model)
    protocol = quick_protocol()
    search = Ifia(
        protocol.threat,
        k=50,
        score="random",
        steps=3,
        step_size=0.05,
        explainer=Explainer(occlusion),
    )
    protocol = type(protocol)(**{**vars(protocol), "explainer": Explainer(occlusion)})
    options = {"attack": (search,), "strong_pgd": False, "accuracy_examples": 0, "batch_size": 4}
    report = evaluate(model, (x, y), protocol=protocol, output=tmp_path, **options)
    name = json_default(occlusion)
    assert report.protocol["explainer"]["method"] == name == f"{__name__}:occlusion"
    assert report.counts["attacked"] == 6 and report.metrics["kendall"].mean < 1
    assert report.completeness["mean_output_change"] > 0
    assert '"mean_error": null' in (tmp_path / "report.json").read_text()
    # The same settings, so that the rows are taken again.
    again = evaluate(model, (x, y), protocol=protocol, output=tmp_path, **options)
    assert again.metrics == report.metrics
    with pytest.raises(
        ValueError, match="a map without gradient needs an attack .*attack=original"
    ):
        evaluate(model, (x, y), protocol=protocol, **options | {"attack": "original"})


def test_an_objective_refuses_a_black_box():
    """Its attack takes the gradient by the image."""
    objective, x_adv = far(attribution=occlusion), X + 0.01
    with tf.GradientTape() as tape, pytest.raises(ValueError, match="Received: a black box"):
        tape.watch(x_adv)
        tape.gradient(objective.term(MODEL, Batch(X, Y), x_adv), x_adv)
