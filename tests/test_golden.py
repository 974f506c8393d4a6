"""The original implementation's figures: agreement to 1e-5 relative, every PGD pixel."""

import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import LpBall, maximize
from rar_tf.attribution import cross_entropy, integrated_gradients, label_loss
from rar_tf.objective import Batch, ig_norm, ig_sum_norm, madry
from tests.support import oracles

FIGURES = oracles.golden("original_fashion_mnist_cnn")
M, M_ATTACK = int(FIGURES["m"]), int(FIGURES["m"]) // int(FIGURES["approx_factor"])
OPTIONS = {"ig_steps": M, "attack_ig_steps": M_ATTACK, "ig_rule": "right"}
OBJECTIVES = {
    "ar": ig_norm(1.0, **OPTIONS),
    "sum": ig_sum_norm(1.0, **OPTIONS),
    "madry": madry(),
}


@pytest.fixture(scope="module")
def setting():
    classifier, x, y, start = oracles.golden_setting()
    return classifier, Batch(tf.constant(x), tf.constant(y)), tf.constant(start)


def assert_close(ours, key, relative=1e-5):
    """Relative to the largest entry, as float32 sums of differing order demand."""
    theirs = FIGURES[key]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=relative * np.abs(theirs).max())


def test_logits_and_loss(setting):
    classifier, batch, _ = setting
    logits = classifier(batch.image)
    assert_close(logits, "logits")
    assert_close(cross_entropy(logits, batch.label), "xent")


@pytest.mark.parametrize("nodes_per_pass", [None, 7])
def test_integrated_gradients(setting, nodes_per_pass):
    classifier, batch, start = setting
    attribution = integrated_gradients(
        label_loss(classifier),
        start,
        batch.label,
        baseline=batch.image,
        steps=M,
        rule="right",
        nodes_per_pass=nodes_per_pass,
    )
    assert_close(attribution, "ig")


@pytest.mark.parametrize(
    ("name", "value", "gradients"), [("ar", "total", "g_ar"), ("sum", "adv_total", "g_adv")]
)
def test_objective_and_its_weight_gradients(setting, name, value, gradients):
    classifier, batch, start = setting
    with tf.GradientTape() as tape:
        parts = OBJECTIVES[name](classifier, batch, start)
        total = tf.reduce_sum(parts.total)
    assert_close(total, value)
    assert_close(tf.reduce_sum(parts.term), "reg")
    for index, gradient in enumerate(tape.gradient(total, classifier.trainable_variables)):
        if index == 4:
            flat = gradient.numpy().ravel().astype("float64")
            gradient = [flat.sum(), np.abs(flat).sum(), np.sqrt((flat**2).sum())]
        assert_close(gradient, f"{gradients}{index}")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_first_attack_gradient(setting, name):
    classifier, batch, start = setting
    score = OBJECTIVES[name].score(classifier, batch)
    with tf.GradientTape() as tape:
        tape.watch(start)
        value = score(start)
    assert_close(tape.gradient(value, start), f"{name}_grad0")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_pixel_of_the_attack(setting, name):
    classifier, batch, start = setting

    class FixedStart(LpBall):
        def start(self, x, seed, first_row=0):
            return start

    x_adv = maximize(
        OBJECTIVES[name].score(classifier, batch),
        batch.image,
        FixedStart(epsilon=0.1),
        steps=7,
        step_size=0.025,
        seed=[0, 0],
    )
    np.testing.assert_allclose(x_adv, FIGURES[f"{name}_xadv"], rtol=0, atol=1e-6)
