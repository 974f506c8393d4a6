"""CONTRIBUTING's recipe "An objective", taken literally: one place, and everything knows it."""

import re

import keras
import numpy as np
import pytest

from rar_tf.attack import Attack, LpBall
from rar_tf.objective import OBJECTIVES, registry
from rar_tf.presets import resolve
from rar_tf.training import RobustModel
from tests.support import tiny_classifier
from tests.support.doc_blocks import ROOT, blocks

MARK = "tests/objective/test_recipe.py"
(CODE,) = [
    block.text for block in blocks(ROOT / "CONTRIBUTING.md") if block.reason.startswith(MARK)
]
NAME = re.search(r"@register\ndef (\w+)\(", CODE)[1]


@pytest.fixture
def registered():
    """The recipe's code, executed; what it registers is removed afterwards."""
    before = dict(OBJECTIVES)
    exec(compile(CODE, "CONTRIBUTING.md", "exec"), {"__name__": "recipe"})
    yield
    OBJECTIVES.clear()
    OBJECTIVES.update(before)
    registry.settings.cache_clear()


def test_the_recipe_registers_one_objective(registered):
    assert NAME in OBJECTIVES and NAME not in ("natural", "madry")
    assert set(registry.settings(NAME)) == {"weight", "power"}


def test_the_objective_resolves_and_keeps_its_settings(registered):
    preset = resolve("fashion_mnist", NAME, power=3.0)
    assert preset.objective.values["power"] == 3.0
    assert preset.to_flat()["power"] == 3.0
    assert preset.from_flat(preset.to_flat()) == preset
    with pytest.raises(ValueError, match="power must be of type float. Received: power='high'"):
        resolve("fashion_mnist", NAME, power="high")


def test_the_objective_trains_a_step(registered):
    objective = resolve("fashion_mnist", NAME).objective.build()
    model = RobustModel(
        tiny_classifier.classifier(), objective, Attack(LpBall("inf", 0.1), steps=2, step_size=0.1)
    )
    model.compile(keras.optimizers.Adam(1e-3))
    before = [weight.numpy() for weight in model.trainable_variables]
    x, y = tiny_classifier.images(8), np.arange(8) % tiny_classifier.NUM_CLASSES
    history = model.fit(x, y, batch_size=8, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    after = [weight.numpy() for weight in model.trainable_variables]
    assert all((a != b).any() for a, b in zip(before, after, strict=True))


def test_help_lists_the_objective_and_its_setting(cli, tmp_path):
    program = f"{CODE}\nfrom rar_tf.cli import train, usage\nprint(usage.text(train.__doc__))\n"
    (tmp_path / "recipe.py").write_text(program)
    text = cli("recipe", cwd=tmp_path, env={"COLUMNS": "100"}).stdout
    flat = " ".join(text.split())
    assert re.search(rf"--objective=TEXT [^-]*\b{NAME}\b", flat)
    assert re.search(rf"--power=X Exponent p of the loss change, >= 1\. Setting of {NAME}\.", flat)
