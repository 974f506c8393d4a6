"""The notebook: its text and code are the script's, its pictures are there, its code runs."""

import base64
import json

import pytest

from scripts import gen_notebook

SOURCE = gen_notebook.SOURCE.read_text(encoding="utf-8")
TEXT = gen_notebook.NOTEBOOK.read_text(encoding="utf-8")
CELLS = json.loads(TEXT)["cells"]


def test_cells_are_those_of_the_script():
    found = [(cell["cell_type"], "".join(cell["source"])) for cell in CELLS]
    assert found == gen_notebook.cells(SOURCE), "run `python -m scripts.gen_notebook`"


def test_it_is_executed_with_its_pictures_and_small():
    code = [cell for cell in CELLS if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    pictures = [part["data"]["image/png"] for part in outputs if "data" in part]
    assert len(pictures) == 3
    assert all(base64.b64decode(part).startswith(b"\x89PNG") for part in pictures)
    assert not [part for part in outputs if part["output_type"] == "error"]
    assert len(TEXT.encode()) < 500_000


def test_format_is_that_of_a_notebook():
    """https://nbformat.readthedocs.io/en/latest/format_description.html, 4.5."""
    notebook = json.loads(TEXT)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)
    for cell in CELLS:
        required = {"cell_type", "id", "metadata", "source"}
        code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == required | code


def test_cells_of_a_source():
    assert gen_notebook.cells("# %% [markdown]\n# # A\n#\n# b\n\n# %%\nx = 1\n\n\n# %%\nx\n") == [
        ("markdown", "# A\n\nb"), ("code", "x = 1"), ("code", "x")
    ]  # fmt: skip


def test_outputs_of_a_cell():
    names = {}
    assert gen_notebook.execute("x = 2\nprint(x)\nx", names) == [
        {"name": "stdout", "output_type": "stream", "text": ["2\n"]}
    ]
    assert names["x"] == 2
    shown = gen_notebook.execute("from matplotlib.figure import Figure\nFigure()", {})
    assert [part["output_type"] for part in shown] == ["display_data"]


@pytest.mark.slow
def test_its_code_runs():
    quick = SOURCE.replace("STEPS = 300", "STEPS = 1").replace("num_examples=24", "num_examples=2")
    assert quick.count("STEPS = 1") == quick.count("num_examples=2") == 1
    cells = gen_notebook.notebook(quick)["cells"]
    printed = ["".join(part.get("text", "")) for cell in cells for part in cell.get("outputs", [])]
    assert any("natural: accuracy" in text for text in printed)
