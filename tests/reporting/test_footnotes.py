"""Remarks of reports under a table and on the page."""

from rar_tf.reporting import find_results, markdown
from rar_tf.reporting.page import page
from tests.support.tiny_evaluation import report

RANDOM = {"name": "random", "text": "the classifier is <random>", "masks": True}
FEW = {"name": "few_pixels", "text": "few pixels", "masks": False}


def results(folder):
    reports = {
        "a": report("a", remarks=[RANDOM, FEW]),
        "b": report("b"),
        "c": report("c", remarks=[FEW]),
    }
    for name, part in reports.items():
        (folder / name).mkdir()
        part.save(folder / name / "report.json")
    return find_results(f"{folder}/*")


def test_rows_have_the_numbers_of_their_footnotes(tmp_path):
    text = markdown(results(tmp_path))
    assert "| a [1] [2] |" in text and "| b |" in text and "| c [2] |" in text
    assert "[1] attack worst_case, warning: the classifier is <random>\n" in text
    assert "[2] attack worst_case, note: few pixels\n" in text and "[3]" not in text


def test_the_page_has_a_box_above_the_pictures(tmp_path):
    shown = results(tmp_path)
    text = page(shown, {}, [])
    box = text.index('<div class="remarks">')
    assert text.index("</table>") < box < text.index("<h2>Pictures</h2>")
    assert "a, attack worst_case, warning: the classifier is &lt;random&gt;</li>" in text
    assert "<random>" not in text
    assert '<div class="remarks">' not in page([r for r in shown if r.approach == "b"], {}, [])
