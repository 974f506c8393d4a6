"""Marked blocks of Markdown pages: tables rewritten from the data files of a folder of results.

A block of a page is

    <!-- results:NAME -->
    table
    <!-- /results -->

NAME is a table of `TABLES`, else the stem of a CSV file, shown as it stands.
"""

import csv
import json
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rar_tf.markdown import table
from rar_tf.reporting import measurements
from rar_tf.reporting.setting import Setting
from rar_tf.reporting.tables import Result, cells, find_results, header, settings

_BLOCK = re.compile(r"(<!-- results:([\w-]+) -->\n)(.*?)(<!-- /results -->)", re.DOTALL)
_OBJECTIVES = ("madry", "ig_norm", "ig_sum_norm")


def render(name: str, results: pathlib.Path) -> str:
    """Markdown of the named table.

    Args:
      name: a key of `TABLES`, or the stem of a CSV file in `results`.
      results: folder of the data files.

    Raises:
      ValueError: no table of that name, or a data file is missing or damaged.
    """
    if name in TABLES:
        return TABLES[name](results)
    path = results / f"{name}.csv"
    if not path.is_file():
        raise ValueError(
            f"a block must name a table ({', '.join(TABLES)}) or a CSV file in {results}. "
            f"Received: {name}"
        )
    return table_of_csv(path)


def table_of_csv(path: pathlib.Path) -> str:
    """Markdown of a CSV file, cell by cell as it stands.

    Raises:
      ValueError: an empty file, or a row of another length than the header.
    """
    with open(path, newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    if not lines:
        raise ValueError(f"{path} must have a header. Received: an empty file")
    return table(lines[0], lines[1:])


def rewrite(text: str, results: pathlib.Path) -> str:
    """The page with every marked block rendered anew.

    Args:
      text: Markdown of a page.
      results: folder of the data files.

    Raises:
      ValueError: a block without end, or one that cannot be rendered.
    """
    opened, closed = text.count("<!-- results:"), text.count("<!-- /results -->")
    if not opened == closed == len(_BLOCK.findall(text)):
        raise ValueError(
            "every `<!-- results:NAME -->` must be followed by a line `<!-- /results -->`. "
            f"Received: {opened} and {closed} of them"
        )
    return _BLOCK.sub(lambda match: f"{match[1]}{render(match[2], results)}\n{match[4]}", text)


def without_blocks(text: str) -> str:
    """The page without its marked blocks."""
    return _BLOCK.sub("", text)


def stale_pages(pages: Iterable[pathlib.Path], results: pathlib.Path) -> list[pathlib.Path]:
    """Pages with a block that differs from its data."""
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    return [page for page, text in texts.items() if rewrite(text, results) != text]


def rewrite_pages(pages: Iterable[pathlib.Path], results: pathlib.Path) -> list[pathlib.Path]:
    """Rewrite the blocks of pages in place.

    Returns:
      The pages that changed.
    """
    changed = stale_pages(pages, results)
    for page in changed:
        page.write_text(rewrite(page.read_text(encoding="utf-8"), results), encoding="utf-8")
    return changed


def _evaluation(results: pathlib.Path, protocol: str) -> str:
    """Table of the Fashion-MNIST evaluations by one paper's protocol."""
    shown, setting = _results_of(results, protocol)
    return table(header(setting), cells(shown, setting))


def _results_of(results: pathlib.Path, protocol: str) -> tuple[list[Result], Setting]:
    """The Fashion-MNIST evaluations by one paper's protocol, and their one setting."""
    shown = find_results(f"{results}/evaluation/*/*/report.json")
    chosen = [
        setting
        for setting in settings(shown)
        if (setting.protocol, setting.dataset) == (protocol, "fashion_mnist")
    ]
    if len(chosen) != 1:
        raise ValueError(
            f"{results}/evaluation must hold results of protocol {protocol} in one setting. "
            f"Received: {'; '.join(setting.title for setting in chosen) or 'none'}"
        )
    return shown, chosen[0]


def _summary(results: pathlib.Path) -> str:
    """Accuracies, and IN and CO under `worst_case`, of the Fashion-MNIST models of [RAR]."""
    shown, setting = _results_of(results, "rar")
    names = ("Approach", "Images", "NA", "AA", "AA strong", "IN", "CO", "published NA", "AA")
    return table(names, [row[: len(names)] for row in cells(shown, setting)])


def _quality_rows(results: pathlib.Path) -> list[dict[str, Any]]:
    paths = sorted((results / "time_to_quality").glob("*-*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _csv_rows(path: pathlib.Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _worst_case_rows(results: pathlib.Path) -> list[dict[str, str]]:
    return _csv_rows(results / "worst_case.csv")


def _json_rows(path: pathlib.Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))["rows"]


TABLES: Mapping[str, Callable[[pathlib.Path], str]] = {
    "summary": _summary,
    "time_to_quality": lambda results: measurements.time_to_quality(
        _quality_rows(results), _OBJECTIVES
    ),
    "evaluation_rar": lambda results: _evaluation(results, "rar"),
    "evaluation_far": lambda results: _evaluation(results, "far"),
    "worst_case_wins": lambda results: measurements.random_wins(_worst_case_rows(results)),
    "worst_case_margins": lambda results: measurements.margins(_worst_case_rows(results)),
    "worst_case_speed": lambda results: measurements.attack_speed(_worst_case_rows(results)),
    "accuracy_attacks": lambda results: measurements.accuracy_attacks(
        _csv_rows(results / "accuracy_attacks.csv")
    ),
    "architectures": lambda results: measurements.architectures(
        _csv_rows(results / "architectures.csv")
    ),
    "ablation": lambda results: measurements.ablation(_json_rows(results / "ablation.json")),
    "sweeps": lambda results: measurements.sweeps(_json_rows(results / "ablation.json")),
    "step_time": lambda results: measurements.step_time(_json_rows(results / "step_time.json")),
}
