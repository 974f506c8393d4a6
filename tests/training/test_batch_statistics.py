"""BatchNormalization in training: modes, population statistics, frozen layers, two devices."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import Attack, LpBall
from rar_tf.objective import OBJECTIVES, aat, natural
from rar_tf.presets import build
from rar_tf.runs import Workdir, train
from rar_tf.runs.validation_callback import read_metrics
from rar_tf.training import PopulationStatistics, RobustModel
from tests.support import tiny_run
from tests.support.modern_models import (
    SubclassedClassifier,
    batch_norm_classifier,
    nested_classifier,
)
from tests.support.parity import two_devices

RANDOM = np.random.default_rng(0)
X = RANDOM.random((12, 8, 8, 1)).astype("float32")
Y = (np.arange(12) % 3).astype("int32")


def robust(classifier, objective=None, **options):
    objective = objective or aat(0.5, ig_steps=2, attack_ig_steps=1)
    attack = Attack(LpBall(2, 0.2), steps=2, step_size=0.1)
    model = RobustModel(classifier, objective, attack, seed=1, **options)
    model.compile(keras.optimizers.SGD(0.1))
    return model


def norms(model):
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


def statistics(model):
    return [np.copy(v.numpy()) for n in norms(model) for v in (n.moving_mean, n.moving_variance)]


def changed(before, after):
    return [bool((a != b).any()) for a, b in zip(before, after, strict=True)]


def subclassed():
    model = SubclassedClassifier()
    model(X)
    return model


def test_population_statistics_are_those_of_all_images():
    """Law of total variance, for the layer on the image; the next ones by one batch of all."""
    classifier = batch_norm_classifier()
    batches = [(X[:4], Y[:4]), (X[4:8], Y[4:8]), (X[8:], Y[8:])]
    before = statistics(classifier)
    with PopulationStatistics(classifier, batches).applied():
        norm = classifier.get_layer("first_norm")
        np.testing.assert_allclose(norm.moving_mean.numpy(), [X.mean()], rtol=1e-5)
        np.testing.assert_allclose(norm.moving_variance.numpy(), [X.var()], rtol=1e-5)
    assert not any(changed(before, statistics(classifier)))
    PopulationStatistics(classifier, [(X, Y)]).estimate()
    # Inference is then what training mode computes of that one batch.
    np.testing.assert_allclose(
        classifier(X, training=False), classifier(X, training=True), atol=1e-5
    )
    with pytest.raises(ValueError, match="need at least one batch. Received: none"):
        PopulationStatistics(classifier, []).estimate()


def test_statistics_of_a_frozen_layer_are_not_estimated():
    classifier = batch_norm_classifier()
    norms(classifier)[1].trainable = False
    before = statistics(classifier)
    PopulationStatistics(classifier, [(X, Y)]).estimate()
    assert changed(before, statistics(classifier)) == [True, True, False, False, True, True]


def test_frozen_statistics_stay_and_the_loss_is_that_of_inference():
    classifier = batch_norm_classifier()
    PopulationStatistics(classifier, [(X, Y)]).estimate()
    classifier(X[:5], training=True)  # Statistics of no batch.
    model = robust(classifier, natural(), batch_statistics="frozen")
    before, gamma = statistics(classifier), norms(classifier)[1].gamma.numpy()
    expected = model.evaluate(X, Y, batch_size=12, verbose=0, return_dict=True)["loss"]
    history = model.fit(X, Y, batch_size=12, verbose=0).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert not any(changed(before, statistics(classifier)))
    assert (norms(classifier)[1].gamma.numpy() != gamma).any()


@pytest.mark.parametrize(("make", "name"), [
    (batch_norm_classifier, "madry"),
    (batch_norm_classifier, "ig_norm"),
    (nested_classifier, "natural"),
    (subclassed, "aat"),
])  # fmt: skip
def test_statistics_move_unless_frozen(make, name):
    settings = {} if name in ("natural", "madry") else {"ig_steps": 1}
    for mode in ("moving", "frozen"):
        classifier = make()
        model = robust(classifier, OBJECTIVES[name](**settings), batch_statistics=mode)
        before = statistics(classifier)
        model.train_step((tf.constant(X), tf.constant(Y)))
        assert changed(before, statistics(classifier)) == [mode == "moving"] * len(before)


@pytest.mark.parametrize("make", [batch_norm_classifier, nested_classifier, subclassed])
@pytest.mark.parametrize("when", ["after_compile", "after_fit"])
def test_a_layer_frozen_at_any_time_keeps_statistics_and_weights(make, when):
    classifier = make()
    model = robust(classifier, natural())
    if when == "after_fit":
        model.fit(X, Y, batch_size=12, verbose=0)
    layer = norms(classifier)[-1]
    layer.trainable = False
    before = [np.copy(v.numpy()) for v in classifier.variables]
    model.fit(X, Y, batch_size=12, verbose=0)
    kept = {id(v) for v in layer.variables}
    for variable, value in zip(classifier.variables, before, strict=True):
        if id(variable) in kept or "seed" in variable.path:
            np.testing.assert_array_equal(variable.numpy(), value)
        elif variable.trainable:
            assert (variable.numpy() != value).any(), variable.path
    layer.trainable = True
    model.compile("sgd")
    frozen = [np.copy(v.numpy()) for v in layer.variables]
    model.fit(X, Y, batch_size=12, verbose=0)
    assert all(changed(frozen, [v.numpy() for v in layer.variables]))


@pytest.mark.parametrize("name", ["natural", "aat"])
def test_two_devices_equal_one(name):
    """Batch statistics are those of the global batch."""
    settings = {"ig_steps": 1, "attack_ig_steps": 1} if name == "aat" else {}

    def weights(strategy):
        with strategy.scope():
            model = robust(batch_norm_classifier(), OBJECTIVES[name](**settings))
        data = tf.data.Dataset.from_tensors((X, Y)).repeat(2)
        model.fit(data, steps_per_epoch=2, shuffle=False, verbose=0)
        return model.classifier.get_weights()

    one, two = weights(tf.distribute.get_strategy()), weights(two_devices().strategy)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_a_preset_chooses_the_statistics():
    preset = tiny_run.preset().replace(
        architecture=ARCHITECTURE, init_scale=None, first_init_scale=None, precision="float32"
    )
    with pytest.raises(ValueError, match="needs statistics of a trained model.*init_from=scratch"):
        preset.replace(batch_statistics="frozen")
    natural_start = preset.replace(init_from="natural", natural_steps=2)
    for mode in (None, "frozen"):
        classifier = batch_norm_classifier()
        chosen = natural_start if mode is None else natural_start.replace(batch_statistics=mode)
        model = build.robust_model(chosen, classifier)
        before = statistics(classifier)
        model.train_step((tf.constant(X), tf.constant(Y)))
        assert any(changed(before, statistics(classifier))) == (mode is None)


ARCHITECTURE = "tests.support.modern_models:batch_norm_classifier"


@pytest.mark.parametrize("ema", [None, 0.5])
def test_a_run_saves_and_validates_the_statistics_that_belong_to_the_weights(tmp_path, ema):
    preset = tiny_run.preset().replace(
        architecture=ARCHITECTURE, init_scale=None, first_init_scale=None, ema=ema
    )
    data, workdir = tiny_run.tiny_data(), Workdir(tmp_path)
    saved = train(preset, workdir, data)
    before = statistics(saved)
    images, labels = (np.asarray(part) for part in data.require("train").read(np.arange(30)))
    x = images / np.float32(255)
    # The image's own layer: batches of one epoch are all images, where they are of equal size.
    size = preset.optimizer.batch_size
    if 30 % size == 0:
        np.testing.assert_allclose(before[0], [x.mean()], rtol=1e-4)
        np.testing.assert_allclose(before[1], [x.var()], rtol=1e-4)
    rows = read_metrics(workdir.metrics)
    images, labels = data.require("validation").read(np.arange(6))
    predicted = np.argmax(saved(images / np.float32(255), training=False), -1)
    assert rows[-1]["natural_accuracy"] == pytest.approx(np.mean(predicted == labels))
    # A run that died after an earlier checkpoint ends with the same weights and statistics.
    whole = saved.get_weights()
    workdir.model.unlink()
    max(workdir.checkpoints.glob("*.npz")).unlink()
    for a, b in zip(whole, train(preset, workdir, data).get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert read_metrics(workdir.metrics) == rows


def test_a_run_on_two_devices_ends_with_the_statistics_of_one(tmp_path):
    preset = tiny_run.preset().replace(
        architecture=ARCHITECTURE,
        init_scale=None,
        first_init_scale=None,
        ema=0.5,
        optimizer="momentum",
        adam_epsilon=None,
        learning_rate=0.05,
        precision="float32",
        max_steps=2,
        validate_every=1,
    )
    data = tiny_run.tiny_data()
    one, two = (
        train(preset, Workdir(tmp_path / name), data, distribution=distribution)
        for name, distribution in (("one", None), ("two", two_devices()))
    )
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_aat_keeps_the_accuracy_of_a_pretrained_network():
    """The moving statistics follow the weights: no validation without them loses accuracy."""
    labels = (np.arange(96) % 3).astype("int32")
    random = np.random.default_rng(1)
    x = random.random((96, 8, 8, 1)).astype("float32") * 0.5
    for label in range(3):
        x[labels == label, :, 2 * label : 2 * label + 3] += 0.4
    classifier = batch_norm_classifier()
    pretraining = robust(classifier, natural())
    pretraining.compile(keras.optimizers.Adam(0.01))
    pretraining.fit(x, labels, batch_size=32, epochs=30, verbose=0)
    model = robust(classifier)
    model.compile(keras.optimizers.Adam(0.003))
    start = model.evaluate(x, labels, verbose=0, return_dict=True)["accuracy"]
    assert start > 0.95
    for _ in range(4):
        model.fit(x, labels, batch_size=32, epochs=4, verbose=0)
        accuracy = model.evaluate(x, labels, verbose=0, return_dict=True)["accuracy"]
        assert accuracy > start - 0.05
