"""Writes examples/robust_explanations.ipynb from the cells of the .py file, with their outputs.

    python -m scripts.gen_notebook

Cells begin with `# %%`, text cells with `# %% [markdown]`. Jupyter is not needed;
tests/examples/test_notebook.py fails if text or code differ.
"""

import ast
import base64
import contextlib
import io
import json
import pathlib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "examples" / "robust_explanations.py"
NOTEBOOK = SOURCE.with_suffix(".ipynb")
_DPI = 70


def cells(source: str) -> list[tuple[str, str]]:
    """Kind ("markdown" or "code") and text of each cell."""
    result = []
    for part in re.split(r"^# %%", source, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        if "[markdown]" in head:
            body = re.sub(r"^# ?", "", body, flags=re.MULTILINE)
        result.append(("markdown" if "[markdown]" in head else "code", body.strip("\n")))
    return result


def execute(code: str, names: dict[str, Any]) -> list[dict]:
    """Runs a cell in the namespace `names`; returns its text and figures as notebook outputs."""
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    value = None
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        exec(compile(tree, "<cell>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    outputs: list[dict] = []
    if stdout.getvalue():
        text = stdout.getvalue().splitlines(keepends=True)
        outputs.append({"name": "stdout", "output_type": "stream", "text": text})
    figures = [plt.figure(number) for number in plt.get_fignums()]
    outputs += [_image(part) for part in figures + [value] * isinstance(value, Figure)]
    plt.close("all")
    return outputs


def _image(figure: "Figure") -> dict:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
    data = {"image/png": base64.b64encode(buffer.getvalue()).decode("ascii")}
    return {"data": data, "metadata": {}, "output_type": "display_data"}


def notebook(source: str) -> dict:
    """The executed notebook, in notebook format 4.5."""
    names: dict[str, Any] = {"__name__": "__main__"}
    written = []
    count = 0
    for number, (kind, text) in enumerate(cells(source)):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        if kind == "code":
            count += 1
            cell |= {"execution_count": count, "outputs": execute(text, names)}
        written.append(cell | {"source": text.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": written, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def main() -> None:
    """Writes the notebook."""
    text = json.dumps(notebook(SOURCE.read_text(encoding="utf-8")), indent=1, sort_keys=True)
    NOTEBOOK.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
