import numpy as np
import pytest
import tensorflow as tf

from rar_tf.datasets import Split, ordered_batches, to_unit, training_batches
from rar_tf.datasets.batches import step_indices


def numbered(size, side=2):
    """A split whose image i is filled with i and whose label is i."""
    images = (
        np.zeros((size, side, side, 1), np.uint8)
        + np.arange(size, dtype=np.uint8)[:, None, None, None]
    )
    return Split(images, np.arange(size, dtype=np.int32))


def labels_of(dataset):
    return [y.numpy().tolist() for _, y in dataset]


def test_every_uint8_value_becomes_exactly_its_float32_quotient():
    split = Split(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), np.zeros(1, np.int32))
    ((x, _),) = ordered_batches(split, 1)
    expected = (np.arange(256) / 255).astype(np.float32).reshape(1, 16, 16, 1)
    assert x.dtype == tf.float32
    np.testing.assert_array_equal(x.numpy(), expected)
    np.testing.assert_array_equal(to_unit(split.images), expected)


def test_the_stream_is_one_permutation_an_epoch_after_the_other():
    expected = np.concatenate(
        [np.random.default_rng((7, epoch)).permutation(10) for epoch in range(3)]
    )
    batches = labels_of(training_batches(numbered(10), batch_size=4, seed=7, steps=7))
    assert np.concatenate(batches).tolist() == expected[:28].tolist()


def test_a_batch_larger_than_the_split_spans_epochs():
    indices = step_indices(0, size=3, batch_size=7, seed=1)
    assert sorted(indices[:3]) == sorted(indices[3:6]) == [0, 1, 2]


def test_a_resumed_run_sees_the_batches_of_an_uninterrupted_one():
    split = numbered(23)
    full = labels_of(training_batches(split, batch_size=5, seed=3, steps=12))
    tail = labels_of(training_batches(split, batch_size=5, seed=3, first_step=7, steps=5))
    assert tail == full[7:]


def test_another_seed_is_another_order():
    split = numbered(50)
    first, second = (
        labels_of(training_batches(split, batch_size=50, seed=seed, steps=1)) for seed in (0, 1)
    )
    assert first != second


def test_images_and_labels_stay_together_and_batches_are_static():
    dataset = training_batches(numbered(20, side=3), batch_size=6, seed=0, steps=4)
    assert dataset.element_spec == (
        tf.TensorSpec((6, 3, 3, 1), tf.float32),
        tf.TensorSpec((6,), tf.int32),
    )
    for x, y in dataset:
        np.testing.assert_array_equal(np.round(x.numpy()[:, 0, 0, 0] * 255), y.numpy())


def test_ordered_batches_keep_order_and_the_partial_end():
    assert labels_of(ordered_batches(numbered(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]


def test_two_replicas_share_one_global_batch():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    dataset = training_batches(numbered(20), batch_size=6, seed=0, steps=3)
    halves = [
        [part.numpy().tolist() for part in strategy.experimental_local_results(y)]
        for _, y in strategy.experimental_distribute_dataset(dataset)
    ]
    assert [len(half) for pair in halves for half in pair] == [3] * 6
    assert [first + second for first, second in halves] == labels_of(dataset)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, r"batch_size must be >= 1\. Received: batch_size=0"),
        ({"steps": 0}, r"steps must be >= 1\. Received: steps=0"),
        ({"first_step": -1}, r"first_step must be >= 0\. Received: first_step=-1"),
        ({"seed": -2}, r"seed must be >= 0\. Received: seed=-2"),
        ({"split": None}, r"split must hold examples\. Received: split=None"),
        ({"split": numbered(0)}, r"split must hold examples\. Received: an empty split"),
    ],
)
def test_errors_of_training_batches(arguments, message):
    good = {"split": numbered(4), "batch_size": 2, "seed": 0, "steps": 1}
    with pytest.raises(ValueError, match=message):
        training_batches(**{**good, **arguments})
