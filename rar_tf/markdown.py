"""Markdown tables."""

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown table of a header and rows of cells.

    Raises:
      ValueError: a row of another length than the header.
    """
    lines = [tuple(header), ("---",) * len(header), *(tuple(row) for row in rows)]
    for line in lines:
        if len(line) != len(header):
            raise ValueError(f"rows must have {len(header)} cells. Received: {line}")
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
