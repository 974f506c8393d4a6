"""Architectures by name."""

import numpy as np
import pytest

from rar_tf.models import ARCHITECTURES, build


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_build_hands_on_every_argument(architecture):
    arguments = {"num_classes": 3, "input_shape": (8, 8, 3)}
    model = build(architecture, **arguments, seed=4, weight_decay=0.01)
    expected = ARCHITECTURES[architecture](3, (8, 8, 3), seed=4)
    assert model.name == architecture
    assert model.input_shape == (None, 8, 8, 3) and model.output_shape == (None, 3)
    assert model.losses and not build(architecture, **arguments).losses
    for a, b in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gtsrb_resnt", r"Received: architecture='gtsrb_resnt'\. Did you mean 'gtsrb_resnet'\?"),
        ("vgg", r"must be one of .*small_cnn.*\. Received: architecture='vgg'\.$"),
    ],
)
def test_unknown_name(name, message):
    with pytest.raises(ValueError, match=message):
        build(name, num_classes=2, input_shape=(8, 8, 3))
