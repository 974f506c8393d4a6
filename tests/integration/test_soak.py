"""The soak benchmark in short, and its arithmetic."""

import numpy as np
import pytest

from benchmarks.soak import slope, soak
from rar_tf.runs import Workdir


def test_training_with_validations_and_checkpoints_keeps_its_memory_and_few_files(tmp_path):
    found = soak(300, Workdir(tmp_path), keep_checkpoints=1, every=6, max_steps=12)
    assert found.files == ["step-00000012.npz"]
    assert len(found.megabytes) >= 12
    warm = found.megabytes[8:]
    assert 100 < warm.min() and warm.max() - warm.min() < 100


def test_slope_is_that_of_a_known_line_and_its_interval_covers_the_truth():
    steps = np.arange(2000)
    rise, half = slope(500 + 0.002 * steps)
    assert rise == pytest.approx(2.0) and half == pytest.approx(0, abs=1e-6)
    noise = np.random.default_rng(0).standard_normal((200, 2000))
    found = np.array([slope(500 + 0.002 * steps + each) for each in noise])
    assert 0.9 < np.mean(np.abs(found[:, 0] - 2) < found[:, 1]) < 0.99
    with pytest.raises(ValueError, match=r"at least 600 steps .*Received: 599"):
        slope(steps[:599])
