"""The tables of the README are those that its commands print from the rows in benchmarks/."""

import subprocess
import sys

import numpy as np
import pytest

from rar_tf.evaluation.report import interval
from rar_tf.reporting.tables import find_results, markdown
from tests.support.doc_blocks import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = find_results(str(ROOT / "benchmarks/evaluation/*/*/report.json"))


def lines_of(table):
    return [line for line in table.splitlines() if line.startswith("|")]


def shown(name):
    """The table between the README's two marks of that name."""
    return lines_of(README.split(f"<!-- {name}:start -->")[1].split(f"<!-- {name}:end -->")[0])


@pytest.mark.parametrize("name, protocol", [("evaluation", "rar"), ("evaluation_far", "far")])
def test_the_evaluations(name, protocol):
    results = [result for result in RESULTS if result.setting[0] == protocol]
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


@pytest.mark.parametrize(
    "result", RESULTS, ids=lambda r: "-".join((r.approach, r.setting[0], r.report.attack))
)
def test_a_report_is_of_its_rows(result):
    rows, report = result.rows(), result.report
    assert len(rows) == report.counts["attacked"]
    assert len({row.index for row in rows}) == len(rows)
    for name, metric in report.metrics.items():
        values = np.array([getattr(row, name) for row in rows])
        found = interval(values, np.array([row.candidate for row in rows]))
        assert found.mean == pytest.approx(metric.mean) and found.low == pytest.approx(metric.low)
