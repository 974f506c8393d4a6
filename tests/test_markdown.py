"""Markdown tables."""

import pytest

from rar_tf.markdown import table


def test_a_table_of_two_columns():
    text = table(("name", "value"), [("a", "1"), ["b", ""]])
    assert text == "| name | value |\n| --- | --- |\n| a | 1 |\n| b |  |"


def test_rows_must_have_the_cells_of_the_header():
    with pytest.raises(ValueError, match=r"rows must have 2 cells. Received: \('a',\)"):
        table(("name", "value"), [("a",)])
