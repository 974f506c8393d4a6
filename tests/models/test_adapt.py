"""Models that fit a data set, models that do not, and their errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.models import Adapted, Conversions, adapt_to_dataset, load_classifier
from tests.models.test_to_logits import STRIPPED

SHAPE = (4, 6, 3)


def model(*first, shape=SHAPE, classes=3, scale=1.0):
    steps = [*first, keras.layers.Flatten(), keras.layers.Dense(classes)]
    made = keras.Sequential([keras.Input(shape), *steps], name="custom")
    made.set_weights([scale * w for w in made.get_weights()])
    return made


def test_a_fitting_model_is_returned_unchanged():
    custom = model()
    same = Adapted(custom, Conversions())
    assert adapt_to_dataset(custom, SHAPE, 3, name="pets") == same
    assert adapt_to_dataset(custom, SHAPE, 2, name="pets", exact=False) == same
    any_size = keras.Sequential(
        [keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    )
    assert adapt_to_dataset(any_size, SHAPE, 3, name="pets") == Adapted(any_size, Conversions())
    # Back to [0, 255] first, or no rescaling at all.
    rescaled = model(keras.layers.Rescaling(255.0), keras.layers.Rescaling(1 / 255))
    assert adapt_to_dataset(rescaled, SHAPE, 3, name="pets").model is rescaled
    centered = model(keras.layers.Rescaling(2.0, -1.0))
    assert adapt_to_dataset(centered, SHAPE, 3, name="pets").model is centered


@pytest.mark.parametrize(
    ("custom", "classes", "message"),
    [
        (lambda: model(shape=(4, 6, 1)), 3, r"must take images 4x6x3 as pets has them\. .*6, 1\)"),
        (model, 4, "must have 4 classes, as pets has. Received: a model of 3 classes"),
        (lambda: model(scale=np.nan), 3, "finite logits of images of pets. Received: NaN"),
    ],
)
def test_models_that_do_not_fit(custom, classes, message):
    with pytest.raises(ValueError, match=message):
        adapt_to_dataset(custom(), SHAPE, classes, name="pets")


@pytest.mark.parametrize("name", sorted(STRIPPED.keys() - {"lambda"}))
def test_logits_without_their_softmax_are_saved_as_plain_keras(name, tmp_path):
    custom = STRIPPED[name]()
    adapted = adapt_to_dataset(custom, (2, 2, 1), 3, name="pets")
    logits = adapted.model
    assert adapted.conversions.outputs == "stripped_softmax"
    logits.save(tmp_path / "logits.keras")
    assert "rar_tf" not in logits.to_json()
    x = tf.random.stateless_uniform((2, 2, 2, 1), (0, 0))
    np.testing.assert_allclose(load_classifier(tmp_path / "logits.keras")(x), logits(x), atol=1e-6)
