"""Choice of the precision by a trial, on this processor."""

import keras
import pytest
import tensorflow as tf

from rar_tf import models
from rar_tf.models import precision


def network(shape=(8, 8, 3)):
    layers = keras.layers
    return keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(2)])


def with_seconds(monkeypatch, full, half):
    """Trials in which both precisions take these seconds."""
    monkeypatch.setattr(precision, "_trials", {})
    monkeypatch.setattr(precision, "_step", lambda model, name, shape: lambda: name)
    times = dict(zip(models.PRECISIONS, (full, half), strict=True))
    monkeypatch.setattr(precision, "_timed", lambda step: times[step()])


def test_the_faster_precision_is_chosen(monkeypatch):
    with_seconds(monkeypatch, 2.0, 1.0)
    trial = models.try_precisions(network())
    assert (trial.precision, trial.reason) == (
        "mixed_bfloat16",
        "bfloat16 is 2.0 times as fast here",
    )
    with_seconds(monkeypatch, 1.0, 3.0)
    trial = models.try_precisions(network())
    assert (trial.precision, trial.reason) == ("float32", "bfloat16 is 3.0 times as slow here")


def test_equal_architectures_share_a_trial_and_other_images_do_not(monkeypatch):
    with_seconds(monkeypatch, 2.0, 1.0)
    first = models.try_precisions(network())
    with monkeypatch.context() as later:
        later.setattr(precision, "_timed", lambda step: 1 / 0)
        assert models.try_precisions(network()) is first
        with pytest.raises(ZeroDivisionError):
            models.try_precisions(network((8, 9, 3)))


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.AbortedError(None, None, "could not create a primitive descriptor. Run again"),
        tf.errors.UnimplementedError(None, None, "the op is not there\n\t [[node]]"),
        LookupError("gradient registry has no entry"),
        TypeError("x has dtype bfloat16"),
    ],
)
def test_a_precision_that_fails_is_not_chosen(monkeypatch, error):
    def fail(name):
        if name == "mixed_bfloat16":
            raise error

    monkeypatch.setattr(precision, "_trials", {})
    monkeypatch.setattr(precision, "_step", lambda model, name, shape: lambda: fail(name))
    trial = models.try_precisions(network())
    assert trial.precision == "float32" and "\n" not in trial.reason
    assert trial.reason.startswith("bfloat16 fails on this processor (")
    with pytest.raises(ValueError, match="precision must be float32 on this processor"):
        models.check_precision(network(), "mixed_bfloat16")
    models.check_precision(network(), "float32")


def test_models_that_cannot_be_rewritten_stay_in_float32():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, x):
            return self.dense(keras.ops.reshape(x, (-1, 12)))

    model = Own()
    model(tf.zeros([1, 2, 2, 3]))
    assert models.try_precisions(model).precision == "float32"


def test_sizes_of_images_may_be_unknown_to_the_model():
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(2, 3), layers.GlobalAveragePooling2D()]
    )
    assert models.try_precisions(model).seconds == {}
    assert models.try_precisions(model, (8, 8, 3)).precision in models.PRECISIONS


def test_unknown_precisions_are_refused():
    text = "precision must be auto or one of float32, mixed_bfloat16. Received: precision='float64'"
    with pytest.raises(ValueError, match=text):
        models.check_precision(network(), "float64")
