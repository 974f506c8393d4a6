"""Batches that fit the memory, and the time that an evaluation is expected to take."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf import memory
from rar_tf.attack import Ifia, LocalSearch, LpBall, RandomSearch
from rar_tf.attribution import Explainer
from rar_tf.evaluation import evaluate, expected_time, plan
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.logits import logits_of
from rar_tf.evaluation.traced import gradient_check
from tests.support.tiny_evaluation import own_data, own_model, quick_protocol

BALL = LpBall("inf", 0.1)


@pytest.fixture(scope="module")
def small():
    """(network, images, protocol, attack, check) of a tiny evaluation."""
    model = own_model()
    images = EvaluationSet(own_data(model))
    network = logits_of(model, images).model
    protocol = quick_protocol()
    attack = protocol.attack("original")
    return network, images, protocol, attack, gradient_check(network, images, attack)


def chosen(small, free, monkeypatch, **sizes):
    monkeypatch.setattr(memory, "free_bytes", lambda: free)
    return plan.plan(*small, **sizes)


def test_activations_of_known_layers_are_counted():
    """Two convolutions without bias and one ReLU of 6x6x4 and 3x3x2 values, of 4 bytes each."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3, padding="same", use_bias=False),
            layers.ReLU(),
            layers.Conv2D(2, 3, strides=2, padding="same", use_bias=False),
        ]
    )
    count = memory.activation_bytes(lambda x: model(x, training=False), (6, 6, 3))
    assert count == 4 * (2 * 6 * 6 * 4 + 3 * 3 * 2)


def test_small_images_keep_the_usual_batches(small, monkeypatch):
    result = chosen(small, 8 * 2**30, monkeypatch)
    assert (result.batch_size, result.nodes_per_pass, result.prediction_batch) == (32, 10, 128)
    assert not result.remark


def test_unknown_memory_keeps_the_usual_batches(small, monkeypatch):
    result = chosen(small, None, monkeypatch)
    assert (result.batch_size, result.nodes_per_pass) == (32, 10) and not result.remark


@pytest.mark.parametrize("rows", [3, 11, 45])
def test_batches_take_three_quarters_of_the_free_memory(rows):
    costs = expected_time.PassCosts(1.0, 100.0, 0.0, 1.0, 1.0, 0.0)
    batch, nodes, remark = plan.fitting_batches(costs, rows * 100 / 0.75, "auto", "auto")
    assert batch * nodes <= rows < (batch + 1) * nodes
    assert nodes == min(rows, 10) and remark.startswith(f"{batch} images and {nodes} nodes")


def test_graphs_leave_less_memory_to_the_batches():
    costs = expected_time.PassCosts(1.0, 100.0, 6_000.0, 1.0, 1.0, 0.0)
    with_graphs = plan.fitting_batches(costs, 20_000, "auto", "auto")[:2]
    assert (
        with_graphs
        == plan.fitting_batches(
            expected_time.PassCosts(1.0, 100.0, 0.0, 1.0, 1.0, 0.0), 12_000, "auto", "auto"
        )[:2]
    )


def test_given_sizes_are_obeyed(small, monkeypatch):
    result = chosen(small, 10**6, monkeypatch, batch_size=5, nodes_per_pass=None)
    assert (result.batch_size, result.nodes_per_pass) == (5, None)
    assert chosen(small, 10**6, monkeypatch, batch_size=5).batch_size == 5
    costs = expected_time.PassCosts(1.0, 100.0, 0.0, 1.0, 1.0, 0.0)
    assert plan.fitting_batches(costs, 2_000, 3, "auto")[:2] == (3, 5)
    assert plan.fitting_batches(costs, 2_000, "auto", 3)[:2] == (5, 3)
    assert plan.fitting_batches(costs, 2_000, "auto", None)[:2] == (1, None)


def test_an_image_that_does_not_fit_is_refused_before_a_file_is_written(tmp_path, monkeypatch):
    model = own_model()
    monkeypatch.setattr(memory, "free_bytes", lambda: 1000)
    text = r"one image of 20x30x3 needs about .* of memory .* more than is free. Received: 0 MiB"
    with pytest.raises(ValueError, match=text):
        evaluate(model, own_data(model), protocol=quick_protocol(), output=tmp_path / "eval")
    assert not (tmp_path / "eval").exists()


@pytest.mark.parametrize("name", ["batch_size", "nodes_per_pass"])
def test_wrong_sizes_are_refused(name):
    model = own_model()
    with pytest.raises(ValueError, match=f"{name} must be >= 1. Received: {name}=0"):
        evaluate(model, own_data(model), **{name: 0})


def test_passes_of_searches_are_counted():
    """Against the calls of a network that counts them."""
    calls = {"images": 0}
    inner = own_model()

    class Counting(keras.Model):
        def call(self, x, training=False):
            calls["images"] += x.shape[0]
            return inner(x, training=training)

    network = Counting()
    x = tf.constant(own_data(inner)[0][:1] / np.float32(255))
    network(x)
    y = tf.argmax(network(x), -1, tf.int32)
    maps = Explainer(steps=6, rule="midpoint")
    clean = tf.ones(x.shape[:3])
    shared = {"threat": BALL, "k": 10, "explainer": maps}
    for search, start in (
        (RandomSearch(**shared, count=3), ()),
        (LocalSearch(**shared, count=5), (x,)),
    ):
        calls["images"] = 0
        search(network, x, y, *start, seed=tf.constant([0, 0]), clean=clean)
        first, second = expected_time.passes(search, None)
        # A forward pass alone, of the label condition, counts a half.
        assert (calls["images"] - (search.count + 1) * 0.5, second) == (first, 0)
    search = Ifia(
        **shared, steps=4, step_size=0.02, random_start=True, select_every=2, hold_label=1.0
    )
    calls["images"] = 0
    search(network, x, y, seed=tf.constant([0, 0]), clean=clean)
    first, second = expected_time.passes(search, None)
    selections = 2 + 2  # x, the start, and every second step.
    assert second == 4 * 6 and first == 4 + selections * 6.5
    assert calls["images"] == second + 4 + selections * 7


def test_the_plan_is_said_once(small, monkeypatch, caplog):
    result = chosen(small, 8 * 2**30, monkeypatch)
    with caplog.at_level("INFO", logger="absl"):
        result.announce(7)
    (line,) = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(
        r"attack on maps: about \S+ s an image, .* for 7 images, after \S+ s of preparation", line
    )
