"""Checkpoints: what is saved comes back; damaged files are passed over and named."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.objective import natural
from rar_tf.runs import checkpoints
from rar_tf.training import RobustModel


def make_model(units=4):
    image = keras.Input((3, 3, 1))
    h = keras.layers.Flatten()(image)
    h = keras.layers.Dropout(0.5, seed=3)(h)  # its random state is part of the checkpoint
    model = RobustModel(keras.Model(image, keras.layers.Dense(units)(h)), natural())
    model.compile(keras.optimizers.Adam(0.1))
    model.optimizer.build(model.trainable_variables)
    return model


def advance(model, steps=1):
    x = np.random.default_rng(0).random((8, 3, 3, 1)).astype("float32")
    y = np.arange(8) % 4
    data = tf.data.Dataset.from_tensors((x, y)).repeat()
    model.fit(data, steps_per_epoch=steps, shuffle=False, verbose=0)


def state(model):
    return [v.numpy() for v in (*model.classifier.variables, *model.optimizer.variables)]


def assert_same(a, b):
    for one, two in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_restored_run_goes_on_as_if_never_stopped(tmp_path):
    model = make_model()
    advance(model, 2)
    checkpoints.save(tmp_path, model)
    advance(model, 2)
    other = make_model()
    assert checkpoints.restore_latest(tmp_path, other) == 2
    advance(other, 2)
    assert_same(state(model), state(other))


def test_no_checkpoint_is_step_zero(tmp_path):
    assert checkpoints.restore_latest(tmp_path / "none", make_model()) == 0


def test_only_the_newest_are_kept(tmp_path):
    model = make_model()
    for _ in range(4):
        advance(model)
        checkpoints.save(tmp_path, model, keep=2)
    assert [path.name for path in checkpoints.available(tmp_path)] == [
        "step-00000003.npz",
        "step-00000004.npz",
    ]


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "foreign"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, damage):
    model = make_model()
    advance(model)
    checkpoints.save(tmp_path, model)
    good = state(model)
    advance(model)
    newest = checkpoints.save(tmp_path, model)
    content = bytearray(newest.read_bytes())
    if damage == "truncate":
        content = content[: len(content) // 2]
    elif damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "empty":
        content = b""
    newest.write_bytes(bytes(content))
    if damage == "foreign":
        with open(newest, "wb") as file:
            np.savez(file, something=np.ones(3))
    other = make_model()
    assert checkpoints.restore_latest(tmp_path, other) == 1
    assert_same(state(other), good)


def test_all_damaged_is_an_error_that_names_each(tmp_path):
    model = make_model()
    for _ in range(2):
        advance(model)
        checkpoints.save(tmp_path, model).write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"(?s)no checkpoint.*step-00000002.*step-00000001"):
        checkpoints.restore_latest(tmp_path, make_model())


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    model = make_model(units=5)
    advance(model)
    checkpoints.save(tmp_path, model)
    with pytest.raises(ValueError, match=r"must have shape \(9, 4\)\. Received: \(9, 5\)"):
        checkpoints.restore_latest(tmp_path, make_model())


def test_pickled_content_is_never_loaded(tmp_path):
    with open(tmp_path / "step-00000001.npz", "wb") as file:
        np.savez(file, digest=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        checkpoints.restore_latest(tmp_path, make_model())


def test_litter_of_a_killed_write_is_removed(tmp_path):
    (tmp_path / ".step-00000009.npz.123.tmp").write_bytes(b"half")
    model = make_model()
    advance(model)
    path = checkpoints.save(tmp_path, model)
    assert list(tmp_path.iterdir()) == [path]
