"""Footnotes of a table of results: the remarks of its reports."""

from collections.abc import Hashable, Sequence
from typing import Protocol

from rar_tf.evaluation.remarks import Remark
from rar_tf.evaluation.report import Report


class _Result(Protocol):
    """A finished evaluation in a table; see `tables.Result`."""

    @property
    def report(self) -> Report: ...
    @property
    def approach(self) -> str: ...
    @property
    def setting(self) -> Hashable: ...


def lines(results: Sequence[_Result], setting: Hashable) -> list[str]:
    """The footnotes of a setting's table: each line once, after its number in brackets."""
    return [f"[{number}] {text}" for text, number in _numbers(results, setting).items()]


def marks(results: Sequence[_Result], setting: Hashable, approach: str) -> str:
    """Numbers of an approach's footnotes, such as " [1] [3]"; "" without remarks."""
    numbers = _numbers(results, setting)
    texts = [
        text
        for result in results
        if result.setting == setting and result.approach == approach
        for text in _texts(result)
    ]
    return "".join(f" [{number}]" for number in sorted({numbers[text] for text in texts}))


def box_lines(results: Sequence[_Result]) -> list[str]:
    """Remarks of all results, each after the approach and the attack."""
    return [f"{result.approach}, {text}" for result in results for text in _texts(result)]


def _numbers(results: Sequence[_Result], setting: Hashable) -> dict[str, int]:
    texts = [text for result in results if result.setting == setting for text in _texts(result)]
    return {text: number for number, text in enumerate(dict.fromkeys(texts), 1)}


def _texts(result: _Result) -> list[str]:
    report = result.report
    return [f"attack {report.attack}, {Remark(**remark).line}" for remark in report.remarks]
