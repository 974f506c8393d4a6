"""Page of a report: tables, figures and pictures in one HTML file that opens from disk."""

import base64
import html
import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from rar_tf.evaluation.examples import AttackedExample, ExampleMetrics
from rar_tf.reporting import footnotes, tables
from rar_tf.reporting.figures import colors_of
from rar_tf.reporting.tables import Result

_PARTS = ("image", "perturbed", "map", "map after")
_ORDERS = (
    ("most robust first", "kendall", -1),
    ("most fragile first", "kendall", 1),
    ("highest top-k intersection first", "topk", -1),
    ("lowest top-k intersection first", "topk", 1),
    ("in the data set's order", "index", 1),
)

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #888; }
* { box-sizing: border-box; }
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 72rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p, li { overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: .8rem; width: 100%; }
table { font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .4rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; background: #fff; }
.controls { display: flex; flex-wrap: wrap; gap: .5rem 1rem; margin: 1rem 0; }
select { font: inherit; max-width: 100%; padding: .25rem; }
.remarks { border: 2px solid #c60; border-radius: .5rem; margin: 1rem 0; padding: 0 1rem; }
#gallery { display: grid; gap: 1rem; padding: 0;
  grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
.card { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem; }
.card .parts { display: grid; grid-template-columns: repeat(4, 1fr); gap: .3rem; }
.card figure { margin: 0; } .card figcaption { color: var(--quiet); font-size: .7rem; }
.card img { width: 100%; image-rendering: pixelated; display: block; }
.card p { margin: .4rem 0 0; font-size: .85rem; }
@media (max-width: 760px) {
  thead { display: none; }
  table, tbody, tr, td { display: block; width: 100%; }
  tr { border-bottom: 2px solid var(--line); padding: .5rem 0; }
  td { border: 0; display: flex; justify-content: space-between; padding: .1rem 0; }
  td:empty { display: none; }
  td::before { content: attr(data-label); color: var(--quiet); margin-right: 1rem; }
}
"""

_SCRIPT = """
const gallery = document.getElementById("gallery");
const order = document.getElementById("order");
const model = document.getElementById("model");
function arrange() {
  const [key, sign] = order.value.split(" ");
  const cards = Array.from(gallery.children);
  const difference = (a, b, name) => a.dataset[name] - b.dataset[name];
  cards.sort((a, b) => sign * difference(a, b, key) || difference(a, b, "index"));
  for (const card of cards) {
    card.hidden = model.value !== "" && card.dataset.model !== model.value;
    gallery.append(card);
  }
}
order.addEventListener("change", arrange);
model.addEventListener("change", arrange);
arrange();
"""


def page(
    results: list[Result],
    figures: dict[str, Figure],
    examples: list[tuple[str, AttackedExample, ExampleMetrics]],
    class_names: tuple[str, ...] | None = None,
) -> str:
    """The HTML of a report.

    Args:
      results: evaluations of the tables.
      figures: figures by caption.
      examples: cards of the gallery: (model's name, picture, its row).
      class_names: names of the labels; None for their numbers.
    """
    body = ["<h1>How robust are the explanations?</h1>"]
    for setting in tables.settings(results):
        body.append(f"<h2>{html.escape(setting.title)}</h2>")
        body.append(_table(tables.header(setting), tables.cells(results, setting)))
        body += [f"<p>{html.escape(line)}</p>" for line in tables.notes(results, setting)]
    body.append(f"<p>{html.escape(tables.EXPLANATION)}</p>")
    for caption, figure in figures.items():
        source = _data_uri(figure)
        text = html.escape(caption)
        body.append(
            f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'
        )
    body += _remarks(results)
    body += ["<h2>Pictures</h2>", _controls([name for name, _, _ in examples])]
    cards = (_card(*example, class_names) for example in examples)
    body.append(f'<div id="gallery">{"".join(cards)}</div>')
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Attribution robustness</title><style>{_STYLE}</style></head>\n"
        f"<body>{chr(10).join(body)}\n<script>{_SCRIPT}</script></body></html>\n"
    )


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    # On a narrow screen each cell has a label of its own, where "IN" alone is ambiguous.
    labels, group = [], ""
    for cell in header:
        first = cell.split()[0]
        group = first if first in ("published", "original", "quick") else group
        labels.append(cell if cell.startswith(group) or not group else f"{group} {cell}")
    lines = []
    for row in rows:
        cells = zip(labels, row, strict=True)
        tds = (f'<td data-label="{html.escape(a)}">{html.escape(b)}</td>' for a, b in cells)
        lines.append(f"<tr>{''.join(tds)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _remarks(results: list[Result]) -> list[str]:
    """A box with the remarks of all results; nothing without any."""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in footnotes.box_lines(results))
    return [f'<div class="remarks"><h2>Remarks</h2><ul>{items}</ul></div>'] if items else []


def _controls(names: list[str]) -> str:
    orders = "".join(
        f'<option value="{key} {sign}">{html.escape(text)}</option>' for text, key, sign in _ORDERS
    )
    models = "".join(
        f'<option value="{html.escape(name)}">{html.escape(name)}</option>'
        for name in dict.fromkeys(names)
    )
    return (
        f'<div class="controls"><label>Order <select id="order">{orders}</select></label>'
        '<label>Model <select id="model"><option value="">all</option>'
        f"{models}</select></label></div>"
    )


def _card(
    name: str,
    picture: AttackedExample,
    row: ExampleMetrics,
    class_names: tuple[str, ...] | None,
) -> str:
    label = class_names[row.label] if class_names else f"label {row.label}"
    parts = "".join(
        f'<figure><img src="{_data_uri(pixels)}" alt="{part}"><figcaption>{part}</figcaption>'
        "</figure>"
        for part, pixels in zip(_PARTS, colors_of(picture), strict=True)
    )
    # An image without a figure is last in every order by a metric.
    kendall, top_k = (float(np.nan_to_num(v, nan=-2)) for v in (row.kendall, row.top_k))
    figures = f"Kendall {row.kendall:.3f}, top-k {100 * row.top_k:.1f}%"
    if np.isnan(row.kendall):
        figures = "no figure, constant map" if row.constant else "no figure"
    note = "" if row.candidate else ", no candidate"
    return (
        f'<div class="card" data-model="{html.escape(name)}" data-kendall="{kendall:.6f}" '
        f'data-topk="{top_k:.6f}" data-index="{row.index}"><div class="parts">{parts}</div>'
        f"<p><b>{html.escape(name)}</b>, {html.escape(label)} (image {row.index}): "
        f"{figures}{note}</p></div>"
    )


def _data_uri(picture: Figure | np.ndarray) -> str:
    buffer = io.BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(buffer, format="png", dpi=130)
    else:
        Image.fromarray(picture).save(buffer, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
