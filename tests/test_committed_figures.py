"""The tables of the README are those that its commands print from the rows in benchmarks/."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from rar_tf.evaluation import protocol
from rar_tf.evaluation.report import interval
from rar_tf.reporting.tables import find_results, markdown
from tests.support.doc_blocks import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
FOLDER = next(
    folder
    for folder in (ROOT / "results/evaluation", ROOT / "benchmarks/evaluation")
    if folder.is_dir()
)
RESULTS = find_results(str(FOLDER / "*/*/report.json"))


def lines_of(table):
    return [line for line in table.splitlines() if line.startswith("|")]


def shown(name):
    """The table between the README's two marks of that name."""
    return lines_of(README.split(f"<!-- {name}:start -->")[1].split(f"<!-- {name}:end -->")[0])


@pytest.mark.parametrize("name, paper", [("evaluation", "rar"), ("evaluation_far", "far")])
def test_the_evaluations(name, paper):
    results = [result for result in RESULTS if result.setting[0] == paper]
    assert shown(name) == lines_of(markdown(results))


@pytest.mark.parametrize(
    "name, command",
    [
        ("economy", ["benchmarks.ifia_economy"]),
        ("time_to_quality", ["benchmarks.time_to_quality", "--root=benchmarks/time_to_quality"]),
    ],
)
def test_the_tables_of_benchmarks(name, command):
    done = subprocess.run(
        [sys.executable, "-m", *command, "--table"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown(name) == lines_of(done.stdout)


def name_of(result):
    return "-".join((result.approach, result.setting[0], result.report.attack))


@pytest.mark.parametrize("result", RESULTS, ids=name_of)
def test_a_report_is_of_its_rows(result):
    rows, report = result.rows(), result.report
    assert len(rows) == report.counts["attacked"]
    assert len({row.index for row in rows}) == len(rows)
    for name, metric in report.metrics.items():
        values = np.array([getattr(row, name) for row in rows])
        again = interval(values, np.array([row.candidate for row in rows]))
        assert again.mean == pytest.approx(metric.mean) and again.low == pytest.approx(metric.low)


@pytest.mark.parametrize("result", RESULTS, ids=name_of)
def test_a_report_of_an_earlier_version_is_read(result):
    """The figures are those of the file; today's attack of that name has the same searches."""
    values = json.loads((result.folder / "report.json").read_text())
    report = result.report
    assert report.counts == values["counts"]
    assert {n: dataclasses.asdict(m) for n, m in report.metrics.items()} == values["metrics"]
    assert report.nodes_per_pass == values.get("chunk", values.get("nodes_per_pass"))
    for name in ("natural_accuracy", "pgd_accuracy", "strong_pgd_accuracy"):
        accuracy = getattr(report, name)
        assert (accuracy and dataclasses.asdict(accuracy)) == values[name]
    today = protocol(report.protocol["name"], report.dataset["name"], (28, 28, 1))
    plain = json.loads(json.dumps(dataclasses.asdict(today)))
    assert report.protocol == plain
    attack = today.attack(report.attack)
    searches = [dataclasses.asdict(search) for search in attack.searches]
    assert report.searches == json.loads(json.dumps(searches))
    assert report.worst_of_each_metric == attack.worst_of_each_metric
    assert report.reference == attack.reference
