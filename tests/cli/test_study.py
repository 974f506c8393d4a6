"""The studies: their cases and pages; one run of the command, stopped by its budget and resumed."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from rar_tf.evaluation.report import Accuracy
from rar_tf.presets import natural_start, resolve, studies
from rar_tf.reporting import study as study_page
from tests.reporting.test_tables import report

ROOT = pathlib.Path(__file__).parents[2]
# Within the second line's training, after two natural steps and two of the first line.
STOPPED = """
import os, signal
from rar_tf.cli import command
from rar_tf.cli import study
from rar_tf.runs import callbacks
original, seen = callbacks.GuardFinite.on_train_batch_end, []
def end(self, batch, logs=None):
    original(self, batch, logs)
    seen.append(batch)
    if len(seen) == 25:
        os.kill(os.getpid(), signal.SIGALRM)
callbacks.GuardFinite.on_train_batch_end = end
command.start(study.run, None)
"""
FLAGS = (
    "--study=lambda",
    "--only=aat-0,aat-1",
    "--dataset=npz:mine.npz",
    "--natural_steps=20",
    "--max_steps=4",
    "--set=architecture=small_cnn",
    "--set=batch_size=8",
    "--num_examples=6",
    "--accuracy_examples=6",
    "--attack=quick",
    "--output=out",
)


def case(study, name):
    return next(case for case in study.cases if case.name == name)


def finished(study, name, **values):
    result = report(name, model={"preset": {"max_steps": 7}}, protocol={"name": "far"}, **values)
    return {case(study, name): result}


def test_lambda_study_covers_its_range_early_and_stands_beside_the_paper():
    study = studies.study("lambda", "fashion_mnist")
    assert len(study.cases) == 14
    assert [c.name for c in study.cases[:4]] == ["aat-0", "adv_aat-0", "aat-1", "adv_aat-1"]
    table = study_page.table(study, finished(study, "aat-1"))
    lines = table.splitlines()
    assert lines[0].startswith("| objective | lambda | NA | AA | IN | CO | images | published NA |")
    assert [line.split(" | ")[1] for line in lines[2:9]] == "0 0.25 0.5 0.75 1 1.25 1.5".split()
    assert lines[6] == (
        "| aat | 1 | 90.86 | 0.01 | 20.00 [10.00, 30.00] | 0.4000 [0.2000, 0.6000] | 2 "
        "| 89.8 | 0.01 | .80 | .82 |"
    )
    assert lines[11] == "| adv_aat | 0.5 |  |  |  |  |  | 86.7 | 41.4 | .81 | .82 |"
    assert lines[2] == "| aat | 0 |  |  |  |  |  |  |  |  |  |"
    assert "13 of 14 lines are missing" in table and "Trained for 7 steps" in table
    assert not any(c.published for c in studies.study("lambda", "folder:x").cases)


def test_init_study_has_table_4_on_mnist_alone():
    study = studies.study("init", "mnist")
    assert [c.name for c in study.lines()[:3]] == ["PTD-natural", "PTD-madry", "PTD-aat"]
    assert case(study, "GN-madry").published == (".37", ".55")
    assert {c.objective for c in study.cases[:7]} == {"natural"}
    assert not any(c.published for c in studies.study("init", "fashion_mnist").cases)
    preset = studies.preset_of(case(study, "HU-natural"), "mnist", "fast", 3, {"batch_size": 9})
    aat = studies.preset_of(case(study, "HU-aat"), "mnist", "fast", 3, {"attack_steps": 2})
    assert preset == natural_start(aat)  # one model, trained once
    assert (preset.model.initializer, preset.seed, aat.attack.steps) == ("HU", 3, 2)


def test_settings_of_a_line_win_over_those_asked_for_and_strange_ones_are_named():
    study = studies.study("lambda", "mnist")
    preset = studies.preset_of(case(study, "aat-0.25"), "mnist", "fast", 0, {"weight": 9.0})
    assert preset == resolve("mnist", "aat", weight=0.25)
    with pytest.raises(ValueError, match="setting must be one of .*Did you mean 'epsilon'"):
        studies.preset_of(study.cases[0], "mnist", "fast", 0, {"epsilonn": 1})
    with pytest.raises(ValueError, match="study must be one of beta, init, lambda.*'lamda'"):
        studies.study("lamda", "mnist")


@pytest.mark.parametrize("name", studies.STUDIES)
def test_figures_are_drawn_of_what_there_is(name, tmp_path):
    study = studies.study(name, "fashion_mnist")
    some = {c: finished(study, c.name)[c] for c in (*study.cases[:3], study.cases[-1])}
    if name != "beta":  # an accuracy that was not measured, and no map that could be
        first = study.cases[0]
        none = dataclasses.replace(some[first].metrics["top_k"], mean=None, low=None, high=None)
        some[first] = dataclasses.replace(
            some[first],
            pgd_accuracy=None,
            metrics=some[first].metrics | {"top_k": none, "kendall": none},
        )
    figure = study_page.figure(name, some)
    figure.savefig(tmp_path / "figure.png")
    lines = [line for axis in figure.axes for line in axis.lines]
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in lines])
    bars = [patch.get_height() for axis in figure.axes for patch in axis.patches]
    assert 0.2 in np.round([*drawn, *bars], 6)  # IN of the report
    with pytest.raises(ValueError, match="at least one finished case"):
        study_page.figure(name, {})


def test_a_study_stopped_by_its_budget_goes_on(cli, tmp_path):
    (tmp_path / "stopped.py").write_text(STOPPED)
    random, labels = np.random.default_rng(0), np.arange(240) % 3
    images = random.integers(0, 60, (240, 8, 8, 1)) + 90 * labels[:, None, None, None]
    np.savez(tmp_path / "mine.npz", images=images.astype("uint8"), labels=labels)
    stopped = cli("stopped", *FLAGS, "--budget_minutes=60", cwd=tmp_path)
    assert stopped.returncode == 0, stopped.stderr[-2000:]
    assert "the budget is spent; the same command resumes" in stopped.stderr
    assert "13 of 14 lines are missing" in stopped.stdout
    models = tmp_path / "out/models"
    (natural,) = models.glob("natural-*/model.keras")
    assert len([*models.glob("aat-*")]) == 2 and len([*models.glob("aat-*/model.keras")]) == 1
    before = natural.stat().st_mtime_ns
    resumed = cli("eval.study", *FLAGS, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    assert "aat: resuming at step 1" in resumed.stderr
    assert "12 of 14 lines are missing" in resumed.stdout
    assert natural.stat().st_mtime_ns == before
    first = json.loads((tmp_path / "out/rows/aat-0/report.json").read_text())
    assert first["natural_accuracy"]["num_examples"] == 6 and first["counts"]["attacked"] > 0
    accuracy = f"{100 * Accuracy(**first['natural_accuracy']).value:.2f}"
    assert f"| aat | 0 | {accuracy} |" in (tmp_path / "out/table.md").read_text()
    assert (tmp_path / "out/figure.png").stat().st_size > 10_000
    other = cli("eval.study", *FLAGS, "--seed=1", cwd=tmp_path)
    assert other.returncode == 1
    assert "aat-0 has another preset, seed" in other.stderr and "Traceback" not in other.stderr
