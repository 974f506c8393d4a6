"""Memory of a run: what is changed where it does not fit, and what is refused."""

import numpy as np
import pytest

from rar_tf import memory
from rar_tf.presets import build
from rar_tf.runs import memory_plan
from rar_tf.runs.estimate import RunTime, estimate
from tests.support import tiny_run

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def setting():
    """(preset of 10 nodes and 6 images, classifier)."""
    preset = tiny_run.preset().replace(ig_steps=10, completeness=False)
    return preset, build.classifier(preset, 3, SHAPE)


def plan(setting, monkeypatch, free, bytes_of_image=None):
    monkeypatch.setattr(memory, "free_bytes", lambda: free)
    if bytes_of_image is not None:
        monkeypatch.setattr(memory_plan, "_bytes_of_image", lambda *arguments: bytes_of_image)
    return memory_plan.memory_plan(*setting, SHAPE)


@pytest.mark.parametrize("free", [None, 2**33])
def test_small_images_change_nothing(setting, monkeypatch, free):
    result = plan(setting, monkeypatch, free)
    assert result == memory_plan.MemoryPlan(setting[0], 128)


def test_fewer_nodes_in_a_pass_where_all_do_not_fit(setting, monkeypatch):
    """Six images of 10 nodes take 600 kB: 450 kB hold 7 nodes of each."""
    result = plan(setting, monkeypatch, 600_000, bytes_of_image=100_000)
    assert result.preset == setting[0].replace(nodes_per_pass=7)
    assert result.remark.startswith("7 of 10 nodes in a pass, as ")


def test_a_batch_that_does_not_fit_is_refused_with_one_that_does(setting, monkeypatch):
    """Of one node an image takes 100 kB: 450 kB hold four."""
    with pytest.raises(ValueError, match=r"batch_size=6 takes .*; choose --batch_size=4 or less"):
        plan(setting, monkeypatch, 600_000, bytes_of_image=1_000_000)
    with pytest.raises(ValueError, match="choose a smaller --image_size"):
        plan(setting, monkeypatch, 60_000, bytes_of_image=1_000_000)


def test_validation_batches_fit(setting, monkeypatch):
    count = memory.activation_bytes(lambda x: setting[1](x, training=False), SHAPE)
    result = plan(setting, monkeypatch, 4 * 20 * count / 0.75, bytes_of_image=1)
    assert result.validation_batch == 20 and "validation in batches of 20 images" in result.remark


def test_the_trial_leaves_the_weights_as_they_were(setting):
    preset, classifier = setting
    before = [value.copy() for value in classifier.get_weights()]
    assert memory_plan._bytes_of_image(preset, classifier, SHAPE) >= 1
    for one, other in zip(before, classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_time_of_a_run_is_the_sum_of_its_parts():
    assert RunTime(5.0, 0.5, 2.0, steps=10, validations=3).total == 16.0


def test_the_estimate_counts_validations_and_the_natural_start():
    """Nine steps, validated at 0, 4, 8 and 9."""
    text = estimate(tiny_run.preset(), tiny_run.tiny_data())
    assert "for 9 steps; 4 validations of " in text and "natural" not in text
    preset = tiny_run.preset().replace(init_from="natural", natural_steps=3)
    assert "minutes for 3 steps of natural training; " in estimate(preset, tiny_run.tiny_data())
