"""Objective, data set, architecture and attack of a person's own, from a folder of theirs."""

import json

import keras
import pytest

from tests.support.paths import ROOT

# A new objective in one file of under 20 lines, as docs/extending.md has it.
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
OBJECTIVE = PAGE.split("<!-- own objective:start -->\n```python\n")[1].split("```\n")[0]
MAP = PAGE.split("<!-- own map:start -->\n```python\n")[1].split("```\n")[0]
REST = """
import keras
import numpy as np
from rar_tf.attack import Ifia
from rar_tf.datasets import ImageData, Split


def stripes(seed):
    random = np.random.default_rng(seed)
    labels = np.arange(48, dtype="int32") % 2
    images = random.integers(0, 200, (48, 8, 6, 1)) + 50 * labels[:, None, None, None]
    parts = [Split(images[i::3].astype("uint8"), labels[i::3]) for i in range(3)]
    return ImageData("stripes", 2, (8, 6, 1), ("dark", "light"), "drawn here", *parts)


def net(num_classes, input_shape, seed):
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    return keras.Sequential([keras.Input(input_shape), layers.Conv2D(3, 3, activation="relu"),
                             layers.Flatten(), layers.Dense(num_classes)])


def quick(protocol):
    return (Ifia(protocol.threat, k=5, steps=2, step_size=0.02, score=away),)


def random_signs(protocol):
    return (Ifia(protocol.threat, k=5, steps=2, step_size=0.02, score="random",
                 explainer=protocol.explainer),)


def broken_map(classifier, images, classes):
    return images.no_such_thing


def away(maps, clean):
    return -keras.ops.mean(maps * clean, axis=[1, 2])


def broken(weight=1.0):
    from rar_tf.objective import Objective

    def term(classifier, batch, x_adv):
        return classifier.no_such_thing(x_adv)

    return Objective("clean", term, weight)
"""
TRAIN = (
    *("train.main", "--objective=mine:squared_change", "--dataset=rest:stripes"),
    *("--architecture=rest:net", "--init_from=scratch", "--batch_size=8", "--max_steps=3"),
    *("--weight=0.5", "--options=power=1.5", "--attack_steps=1"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Outside the repository."""
    path = tmp_path_factory.mktemp("somewhere")
    assert ROOT not in path.parents
    (path / "mine.py").write_text(OBJECTIVE)
    (path / "rest.py").write_text(REST)
    (path / "maps.py").write_text(MAP)
    return path


@pytest.fixture(scope="module")
def run(cli, folder):
    done = cli(*TRAIN, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "runs" / "rest_stripes" / "mine_squared_change"


def test_an_objective_is_one_file_of_under_20_lines():
    assert len(OBJECTIVE.strip().splitlines()) < 20


def test_training_records_what_was_named(run):
    preset = json.loads((run / "preset.json").read_text())
    assert preset["objective"] == "mine:squared_change" and preset["dataset"] == "rest:stripes"
    assert preset["architecture"] == "rest:net"
    assert (preset["weight"], preset["options"]) == (0.5, {"power": 1.5})
    model = keras.models.load_model(run / "model.keras")
    assert model.input_shape == (None, 8, 6, 1) and model.output_shape == (None, 2)


def test_the_same_command_goes_on(cli, folder, run):
    (run / "model.keras").unlink()
    again = cli(*TRAIN, cwd=folder)
    assert again.returncode == 0 and "resuming at step 3" in again.stderr
    assert (run / "model.keras").exists()


def test_evaluation_by_an_own_attack(cli, folder, run):
    done = cli(
        "eval.main", f"--workdir={run}", "--attack=rest:quick", "--num_examples=4",
        "--ig_steps=3", "--k=5", "--accuracy_examples=0", "--nostrong_pgd", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads((run / "eval" / "rar-rest_quick" / "report.json").read_text())
    assert report["searches"][0]["score"] == "rest:away"
    assert report["dataset"]["class_names"] == ["dark", "light"]


def evaluation(run, attribution, output="black_box"):
    return (
        "eval.main", f"--workdir={run}", f"--attribution={attribution}", f"--output={output}",
        "--attack=rest:random_signs", "--num_examples=4", "--k=5", "--accuracy_examples=0",
        "--nostrong_pgd",
    )  # fmt: skip


def test_a_black_box_is_measured_and_recorded(cli, folder, run):
    command = evaluation(run, "maps:occlusion")
    for _ in range(2):
        done = cli(*command, cwd=folder)
        assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads((folder / "black_box" / "report.json").read_text())
    assert report["protocol"]["explainer"]["method"] == "maps:occlusion"
    assert report["metrics"]["kendall"]["mean"] is not None
    assert report["completeness"]["mean_error"] is None
    other = cli(*evaluation(run, "grad_cam"), cwd=folder)
    assert other.returncode == 1 and "another protocol" in other.stderr


def test_a_map_that_fails_or_is_unknown_is_named(cli, folder, run):
    done = cli(*evaluation(run, "rest:broken_map", "broken_map"), cwd=folder)
    assert done.returncode == 1
    assert "error: attribution=rest:broken_map failed: AttributeError" in done.stderr
    assert "Traceback" not in done.stderr
    done = cli(*evaluation(run, "grad_cm", "unknown"), cwd=folder)
    assert done.returncode == 1 and "Did you mean 'grad_cam'?" in done.stderr


def test_export(cli, folder, run):
    done = cli(
        "train.export",
        f"--model={run}/model.keras",
        "--output=served/1",
        "--steps=2",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "mine:squared_change" in (folder / "served" / "1" / "MODEL_CARD.md").read_text()


def test_a_mistake_in_own_code_names_its_line_and_leaves_nothing(cli, folder):
    done = cli(*TRAIN[:1], "--objective=rest:broken", *TRAIN[2:-3], "--workdir=broken", cwd=folder)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    line = 1 + REST.splitlines().index("        return classifier.no_such_thing(x_adv)")
    assert "error: objective=rest:broken failed: AttributeError:" in done.stderr
    assert f"rest.py, line {line})" in done.stderr
    assert not (folder / "broken").exists()
