"""The tables of the pages are rendered from results/, and the results agree with themselves."""

import dataclasses
import json
import re

import numpy as np
import pytest

from rar_tf.evaluation import described_search, protocol
from rar_tf.evaluation.report import interval
from rar_tf.reporting.blocks import render, stale_pages, without_blocks
from rar_tf.reporting.tables import find_results
from scripts.make_results import PAGES
from tests.support.doc_blocks import GENERATED, ROOT

RESULTS = find_results(str(ROOT / "results/evaluation/*/*/report.json"))
_FIGURE = re.compile(r"[-+~.,:()\[\]%\d\s*]*\d[-+~.,:()\[\]%\d\s*x]*")


def test_no_block_of_a_page_is_stale():
    stale = [page.name for page in stale_pages(PAGES, ROOT / "results")]
    assert not stale, "run `make results`"


def rows_of_figures(text):
    """Lines of tables with two or more cells that hold a figure and no word."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [
        line
        for line, row in zip(lines, cells, strict=True)
        if sum(bool(_FIGURE.fullmatch(cell)) for cell in row) > 1
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_table_of_figures_is_outside_a_block(page):
    if page.name not in GENERATED:
        assert not rows_of_figures(without_blocks(page.read_text(encoding="utf-8")))


def test_rows_of_figures_are_recognized():
    assert rows_of_figures("| a | 1.0 | 0.5 [0.4, 0.6] |\n") == ["| a | 1.0 | 0.5 [0.4, 0.6] |"]
    assert not rows_of_figures("| `natural` | l(x) | 1 |\n| a | 28x28x1, 55,000 | 11 MiB |\n")


@pytest.mark.parametrize("file, name", [("ablation.md", "ablation")])
def test_a_table_file_is_of_its_rows(file, name):
    text = (ROOT / "results" / file).read_text(encoding="utf-8")
    assert render(name, ROOT / "results") in re.sub(r"\|(---\|)+", _separator, text)


def _separator(match):
    return "|" + " --- |" * match[0].count("---")


def name_of(result):
    return "-".join((result.approach, result.setting.protocol, result.report.attack))


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
def test_a_committed_report_is_of_today_s_attack(result):
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
    searches = [described_search(search) for search in attack.searches]
    assert report.searches == json.loads(json.dumps(searches))
    assert report.worst_of_each_metric == attack.worst_of_each_metric
    ranking = attack.ranking and dataclasses.asdict(attack.ranking)
    assert report.ranking == json.loads(json.dumps(ranking))
    refinements = [described_search(search) for search in attack.refinements]
    assert report.refinements == json.loads(json.dumps(refinements))
