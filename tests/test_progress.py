"""Progress: its lines without a terminal, and its bar on one."""

import sys

import pytest
from absl import logging

from rar_tf import progress


@pytest.fixture
def lines(monkeypatch):
    """Log lines, with a clock that goes on by 20 s at each reading."""
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    result = []
    monkeypatch.setattr(logging, "info", lambda form, *values: result.append(form % values))
    return result


def test_lines_of_images_after_30_seconds_and_at_the_end(lines):
    with progress.Progress("attack", 6, done=1) as images:
        images.advance(2)  # at 20 s: too early
        images.advance(2)  # at 40 s, the rate read at 60 s
        images.advance(1)  # at 80 s, the last
    assert lines == [
        "attack: 5 of 6 images, 0.07 images/s, 15 s left",
        "attack: 6 of 6 images, 0.05 images/s, 0 s left",
    ]


def test_lines_of_steps_show_values_by_the_rate(lines):
    steps = progress.Progress("ig_norm", 40, unit="step")
    steps.advance(40, lambda rate: {"loss": "1.500", "examples/s": f"{50 * rate:.0f}"})
    assert lines == ["ig_norm: step 40 of 40, loss 1.500, examples/s 50, 0 s left"]
