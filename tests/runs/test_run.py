"""Whole runs in this process: natural starts, divergence, bad data; deaths are in test_faults."""

import dataclasses
import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from rar_tf.models import load_classifier
from rar_tf.presets import build, resolve
from rar_tf.runs import Divergence, Workdir, WorkdirError, train
from rar_tf.runs.estimate import estimate
from rar_tf.runs.outcome import below_chance
from rar_tf.runs.validation_callback import read_metrics
from tests.support import tiny_run


def test_natural_start_lies_in_the_workdir_and_a_finished_run_is_not_repeated(tmp_path):
    preset = tiny_run.preset().replace(
        init_from="natural", natural_steps=2, max_steps=2, batch_size=6
    )
    data = tiny_run.tiny_data()
    large = preset.replace(batch_size=31)
    small = Workdir(tmp_path / "small")
    for refused in (lambda: train(large, small, data), lambda: estimate(large, data)):
        with pytest.raises(ValueError, match=r"batch_size must be <= 30.*=31; --batch_size sets"):
            refused()
    assert not small.preset.exists()
    workdir = Workdir(tmp_path / "run")
    classifier = train(preset, workdir, data)
    assert workdir.natural.model.exists()
    before = workdir.model.stat().st_mtime_ns
    again = train(preset, workdir, data)
    assert workdir.model.stat().st_mtime_ns == before
    for a, b in zip(classifier.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(WorkdirError, match=r"weight: 0.7 -> 0.5"):
        train(preset.replace(weight=0.5), workdir, data)
    # 128 of its own are more than there are.
    assert json.loads(workdir.natural.preset.read_text())["batch_size"] == 6
    natural = [row["step"] for row in read_metrics(workdir.natural.metrics)]
    assert natural == [0, 2]


def test_a_run_of_an_earlier_version_goes_on_to_the_same_weights(tmp_path):
    """Its preset.json has every name, null where it does not apply, and `chunk`."""
    workdir = Workdir(tmp_path)
    whole = train(tiny_run.preset(), workdir, tiny_run.tiny_data()).get_weights()
    former = dict.fromkeys(["chunk", "gamma", "layer"]) | json.loads(workdir.preset.read_text())
    workdir.preset.write_text(json.dumps(former))
    workdir.model.unlink()
    max(workdir.checkpoints.glob("*.npz")).unlink()
    resumed = train(tiny_run.preset(), workdir, tiny_run.tiny_data()).get_weights()
    for a, b in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_model_file_loads_without_this_project(tmp_path):
    workdir = Workdir(tmp_path)
    classifier = train(tiny_run.preset().replace(max_steps=1), workdir, tiny_run.tiny_data())
    x = np.random.default_rng(0).random((2, 8, 8, 1)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import keras, numpy, sys; m = keras.models.load_model('model.keras');"
        "numpy.save('y.npy', m(numpy.load('x.npy')));"
        "sys.exit(any(name.startswith('rar_tf') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True, timeout=120)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), classifier(x), atol=1e-6)


def test_divergence_names_step_parts_and_the_last_good_checkpoint(tmp_path):
    preset = tiny_run.preset().replace(
        learning_rate=1e30,
        lr_schedule="constant",
        checkpoint_every=1,
        optimizer="momentum",
    )
    workdir = Workdir(tmp_path)
    with pytest.raises(Divergence, match=r"(?s)not finite at step \d+: .*loss=.*term=.*Last good"):
        train(preset, workdir, tiny_run.tiny_data())
    assert not workdir.model.exists()
    for path in workdir.checkpoints.glob("*.npz"):
        with np.load(path) as file:
            assert all(np.isfinite(file[key]).all() for key in file.files if "/" in key)


def test_missing_splits_and_unfit_start_models_are_named(tmp_path):
    data = dataclasses.replace(tiny_run.tiny_data(), train=None, missing="Add train.gz.")
    with pytest.raises(FileNotFoundError, match=r"no train split here.*Add train.gz"):
        train(tiny_run.preset(), Workdir(tmp_path / "a"), data)
    image = keras.Input((5, 5, 1))
    other = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(image)))
    other.save(tmp_path / "other.keras")
    (tmp_path / "junk.keras").write_bytes(b"junk")
    for name, message in (
        ("other.keras", r"must take images 8x8x1 .*Received: .* \(None, 5, 5, 1\)"),
        ("junk.keras", "must be a complete .keras file"),
        ("none.keras", "must be a .keras file.*is not there"),
    ):
        preset = tiny_run.preset().replace(init_from=str(tmp_path / name))
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            train(preset, Workdir(tmp_path / f"run-{name}"), tiny_run.tiny_data())


def own_model(path, *, activation=None, probabilities=False):
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1))
    z = keras.layers.Dense(3, activation=activation)(keras.layers.Flatten()(image))
    model = keras.Model(image, z / keras.ops.sum(z, -1, True) if probabilities else z)
    model.save(path)
    return model


def test_ones_own_classifier_is_trained_on_from_its_weights_and_keeps_its_softmax(tmp_path):
    own = own_model(tmp_path / "own.keras", activation="softmax")
    preset = tiny_run.preset().replace(
        init_from=str(tmp_path / "own.keras"),
        learning_rate=1e-9,
        max_steps=1,
        weight_decay=2.0,
    )
    trained = train(preset, Workdir(tmp_path / "run"), tiny_run.tiny_data())
    x = np.random.default_rng(0).random((2, 8, 8, 1)).astype("float32")
    np.testing.assert_allclose(trained(x), own(x), atol=1e-5)
    np.testing.assert_allclose(load_classifier(tmp_path / "run/model.keras")(x), trained(x))
    built = build.classifier(preset, 3, (8, 8, 1))
    kernel = built.get_weights()[0]
    assert float(sum(built.losses)) == pytest.approx(np.sum(kernel**2), rel=1e-5)
    own_model(tmp_path / "odd.keras", activation="softplus", probabilities=True)
    preset = preset.replace(init_from=str(tmp_path / "odd.keras"))
    with pytest.raises(ValueError, match=r"must end in logits, a softmax layer .*odd\.keras"):
        train(preset, Workdir(tmp_path / "odd"), tiny_run.tiny_data())
    assert not (tmp_path / "odd").exists()


def test_weight_decay_holds_after_a_natural_start_and_the_initializer_before_it(tmp_path):
    data = tiny_run.tiny_data()
    preset = tiny_run.preset().replace(
        init_from="natural",
        natural_steps=1,
        max_steps=1,
        weight_decay=0.5,
        initializer="UNI",
        learning_rate=1e-9,
    )
    workdir = Workdir(tmp_path)
    train(preset, workdir, data)
    first = load_classifier(workdir.natural.model)
    assert all(np.abs(w).max() < 0.12 for w in first.get_weights())  # U(+-0.1), then one step
    assert json.loads(workdir.natural.preset.read_text())["initializer"] == "UNI"
    last = load_classifier(workdir.model)
    for a, b in zip(first.get_weights(), last.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert float(sum(last.losses)) > 0 and not first.losses


def test_estimate_measures_real_steps():
    text = estimate(tiny_run.preset(), tiny_run.tiny_data())
    assert "s a step" in text and "minutes for 9 steps" in text and "GiB peak memory" in text


def test_chunked_presets_train_to_the_same_weights():
    def weights(nodes_per_pass):
        from rar_tf.training import RobustModel

        preset = tiny_run.preset().replace(ig_steps=4, nodes_per_pass=nodes_per_pass)
        model = RobustModel(
            build.classifier(preset, 3, (8, 8, 1)),
            preset.objective.build(),
            preset.build_attack(),
        )
        model.compile(keras.optimizers.SGD(0.01))
        data = tiny_run.tiny_data().train
        x, y = data.images / np.float32(255), data.labels
        model.fit(x, y, batch_size=10, shuffle=False, epochs=1, verbose=0)
        return model.classifier.get_weights()

    for a, b in zip(weights(None), weights(2), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_resolve_covers_data_sets_without_published_values():
    preset = resolve("folder:/somewhere", "ig_norm")
    assert (preset.attack.epsilon, preset.attack.step_size) == pytest.approx((8 / 255, 8 / 255))


def test_validation_accuracy_that_is_not_above_chance(tmp_path):
    row = {"natural_accuracy": 0.62, "num_examples": 100, "majority_share": 0.5}
    assert "0.6200 of 100 images is not above" in below_chance(row)
    assert below_chance(row | {"natural_accuracy": 0.63}) is None
    # A row of a version that did not write the share.
    assert below_chance({"natural_accuracy": 0.0, "num_examples": 9}) is None
    workdir = Workdir(tmp_path)
    train(tiny_run.preset(), workdir, tiny_run.tiny_data())
    assert [row["majority_share"] for row in read_metrics(workdir.metrics)] == [1 / 3] * 4
