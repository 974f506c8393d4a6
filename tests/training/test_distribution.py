"""One device, two, and two processes give the same weights; each gets its part of a batch."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.datasets import training_batches
from rar_tf.objective import OBJECTIVES
from rar_tf.training import Distribution, WorkerLost
from tests.support import local_workers, parity

one_device = Distribution()


@functools.cache
def on_one_device(name):
    return parity.train(name, one_device)


@pytest.fixture(scope="module")
def two_processes(cli, tmp_path_factory):
    path = tmp_path_factory.mktemp("parity") / "weights.npz"
    workers = local_workers.start(cli, [("tests.support.parity", str(path))] * 2)
    for status, _, err in local_workers.finish(workers):
        assert status == 0, err
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_two_devices_equal_one(name):
    for a, b in zip(on_one_device(name), parity.train(name, parity.two_devices()), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_two_processes_equal_one_device(name, two_processes):
    for i, weights in enumerate(on_one_device(name)):
        np.testing.assert_allclose(weights, two_processes[f"{name}/{i}"], atol=1e-6)


def test_replicas_share_each_batch_in_order():
    options = {"batch_size": 8, "seed": 3, "steps": 4, "first_step": 2}
    whole = list(training_batches(parity.split(), **options))
    shared = iter(parity.two_devices().training_batches(parity.split(), **options))
    local = parity.two_devices().strategy.experimental_local_results
    for x, y in whole:
        images, labels = next(shared)
        np.testing.assert_array_equal(tf.concat(local(images), 0), x)
        np.testing.assert_array_equal(tf.concat(local(labels), 0), y)


def batch_normalized():
    image = keras.Input((4, 4, 1))
    h = keras.layers.BatchNormalization()(keras.layers.Flatten()(image))
    return keras.Model(image, keras.layers.Dense(3)(h))


def test_batch_statistics_are_those_of_the_global_batch():
    """Both replicas normalize by, keep and save the statistics of all images of a batch."""
    *_, mean, variance, _, _ = parity.train("natural", parity.two_devices(), batch_normalized)
    expected_mean, expected_variance = np.zeros(16), np.ones(16)
    for x, _ in training_batches(parity.split(), batch_size=8, seed=1, steps=3):
        images = x.numpy().reshape(8, 16)
        expected_mean = 0.9 * expected_mean + 0.1 * images.mean(0)
        expected_variance = 0.9 * expected_variance + 0.1 * images.var(0)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-5)
    np.testing.assert_allclose(variance, expected_variance, rtol=1e-5)


def test_a_batch_that_cannot_be_shared_equally_names_the_sizes_near_it():
    with pytest.raises(ValueError, match="multiple of 2, the number of devices: 62 or 64.*=63"):
        parity.two_devices().check_batch_size(63)
    with pytest.raises(ValueError, match="number of devices: 2. Received: batch_size=1"):
        parity.two_devices().training_batches(parity.split(), batch_size=1, seed=0, steps=1)
    one_device.check_batch_size(63)


def test_one_worker_tells_itself(tmp_path):
    assert one_device.broadcast(b"content") == b"content"
    assert one_device.any_worker(True) and not one_device.any_worker(False)
    with one_device.worker_folder(tmp_path, []) as folder:
        assert folder == tmp_path


def test_only_the_loss_of_a_worker_is_reported_as_one():
    two_workers = Distribution(tf.distribute.get_strategy(), worker=1, workers=2)
    message = "Graph execution error:\n\nCollective ops is aborted by: task 0 is silent\nmore"
    with pytest.raises(
        WorkerLost, match=r"(?s)worker 1 of 2 stops.*start all workers again.*task 0 is silent$"
    ):
        with two_workers.detect_lost_workers():
            raise tf.errors.UnavailableError(None, None, message)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        with two_workers.detect_lost_workers():
            raise tf.errors.ResourceExhaustedError(None, None, "memory")
    with pytest.raises(tf.errors.UnavailableError):
        with one_device.detect_lost_workers():
            raise tf.errors.UnavailableError(None, None, message)
