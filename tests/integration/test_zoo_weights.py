"""The weights that stand in zoo/: natural accuracy anew, against what their cards say."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rar_tf import datasets
from rar_tf.datasets import mnist, to_unit
from rar_tf.serving import zoo


@pytest.mark.parametrize("name", zoo.names())
def test_natural_accuracy_is_that_of_the_card(name):
    """On the first 1,000 test images, within three binomial standard errors."""
    dataset = name.split("/")[0]
    if not mnist.SYSTEM_FOLDERS[dataset].is_dir():
        pytest.skip(f"{dataset} is not installed on this machine")
    test = datasets.load(dataset).require("test")
    images, labels = to_unit(np.asarray(test.images[:1000])), np.asarray(test.labels[:1000])
    logits = zoo.load(name).predict(tf.constant(images), batch_size=100, verbose=0)
    measured = np.mean(logits.argmax(-1) == labels)
    (stated,) = (m["value"] for m in zoo.card(name)["metrics"] if m["name"] == "natural_accuracy")
    assert abs(measured - stated) <= 3 * math.sqrt(stated * (1 - stated) / 1000)
