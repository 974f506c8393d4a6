"""TF_CONFIG: what it says, and what is wrong with it."""

import json

import pytest
import tensorflow as tf

from rar_tf.training import distribute
from rar_tf.training.tf_config import read_tf_config
from tests.support import parity

ADDRESSES = ["10.0.0.1:2222", "node-2.example:2222"]


def config(cluster, kind="worker", index=0):
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def test_workers_are_numbered_with_the_chief_first():
    assert read_tf_config(config({"worker": ADDRESSES}, index=1)) == (ADDRESSES, 1)
    with_chief = {"worker": ADDRESSES, "chief": ["boss:1"]}
    assert read_tf_config(config(with_chief, "chief")) == (["boss:1", *ADDRESSES], 0)
    assert read_tf_config(config(with_chief, "worker", 1)) == (["boss:1", *ADDRESSES], 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"JSON .*Received: ''"),
        ("{'cluster': 1}", "JSON .*Received"),
        ("[]", 'with "cluster" and "task"'),
        ('{"cluster": {"worker": ["a:1"]}}', 'with "cluster" and "task"'),
        (config({"worker": ["a:1"], "ps": ["b:1"]}), r"only. Received: \['ps'\]"),
        (config({"worker": "a:1"}), "a list of addresses at \"worker\". Received: 'a:1'"),
        (config({"worker": ["a"]}), "addresses HOST:PORT. Received: 'a'"),
        (config({"worker": ["a:70000"]}), "addresses HOST:PORT. Received: 'a:70000'"),
        (config({"worker": ["a:1", "a:1"]}), "each address once"),
        (config({"worker": ["a:1"]}, index=1), "a task of the cluster. Received: .*'index': 1"),
        (config({"worker": ["a:1"]}, "evaluator"), "a task of the cluster. Received: .*evaluator"),
    ],
)
def test_what_is_wrong_is_named_beside_an_example(text, message):
    with pytest.raises(ValueError, match=r'TF_CONFIG must be like \{"cluster".*' + message):
        read_tf_config(text)


def test_names(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match=r"distribute must be one of.*Did you mean 'mirrored'\?"):
        distribute("mirorred")
    for name in ("auto", "none"):  # no GPU here
        assert (distribute(name).replicas, distribute(name).workers) == (1, 1)
    with pytest.raises(ValueError, match="TF_CONFIG must be like"):
        distribute("multi_worker")
    for text in ("not JSON", config({"worker": ["a"]})):
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(ValueError, match="TF_CONFIG must be like"):
            distribute("auto")
    monkeypatch.setenv("TF_CONFIG", "{}")  # as some schedulers set it on a machine of its own
    assert distribute("auto").workers == 1


def test_mirrored_takes_logical_processors_where_there_is_no_gpu(monkeypatch):
    assert parity.two_devices().replicas == 2
    assert isinstance(parity.two_devices().strategy, tf.distribute.MirroredStrategy)
    cpu = tf.config.list_logical_devices("CPU")[:1]
    monkeypatch.setattr(
        tf.config, "list_logical_devices", lambda kind: cpu if kind == "CPU" else []
    )
    with pytest.raises(ValueError, match="two or more GPUs.*Received: /device:CPU:0"):
        distribute("mirrored")
