"""What training reports of itself has a closed form on a linear model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import LpBall
from rar_tf.training.validation import Validator
from tests.support import oracles

EPSILON = 0.1


def linear(weights):
    inputs = keras.Input((2, 3, 1))
    outputs = keras.layers.Dense(2, use_bias=False)(keras.layers.Flatten()(inputs))
    classifier = keras.Model(inputs, outputs)
    classifier.set_weights([weights])
    return classifier


def test_the_worst_case_of_a_linear_model():
    """[RAR Thm. 3]: max ||IG||_1 = g(-y<w, x> + eps ||w||_1) - g(-y<w, x>), at PGD's corner."""
    random = np.random.default_rng(0)
    weights = random.normal(size=(6, 2)).astype("float32")
    x = random.uniform(0.2, 0.8, (40, 6)).astype("float32")  # no bound of the pixels binds
    y = random.integers(2, size=40)
    batches = tf.data.Dataset.from_tensor_slices((x.reshape(-1, 2, 3, 1), y.astype("int32")))
    found = Validator(linear(weights), LpBall("inf", EPSILON))(batches.batch(16))
    w = weights[:, 1] - weights[:, 0]
    margin = (2 * y - 1) * (x @ w)
    norm = oracles.theorem_3_value(w, x, y, EPSILON) - oracles.theorem_3_value(w, x, y, 0.0)
    assert found.num_examples == 40
    assert found.natural_accuracy == pytest.approx(np.mean(margin > 0))
    assert found.pgd_accuracy == pytest.approx(np.mean(margin > EPSILON * np.abs(w).sum()))
    assert 0 < found.pgd_accuracy < found.natural_accuracy < 1
    assert found.ig_norm == pytest.approx(norm.mean(), abs=1e-4)


def test_no_images_are_told():
    classifier = linear(np.zeros((6, 2), "float32"))
    empty = tf.data.Dataset.from_tensor_slices((np.zeros((0, 2, 3, 1)), np.zeros(0, "int32")))
    with pytest.raises(ValueError, match="validation needs at least one image. Received: none"):
        Validator(classifier, LpBall("inf", EPSILON))(empty.batch(4))
