"""Statistics of a report and its tables."""

import dataclasses
import json

import numpy as np
import pytest

from rar_tf.evaluation import Interval, load_report
from rar_tf.evaluation.examples import ExamplesFile
from rar_tf.evaluation.report import interval, summarize
from rar_tf.papers import PUBLISHED
from rar_tf.reporting import find_results, markdown, summary
from tests.support.tiny_evaluation import report, row


def saved(folder, *reports):
    for number, part in enumerate(reports):
        (folder / str(number)).mkdir(parents=True)
        part.save(folder / str(number) / "report.json")
    return f"{folder}/*"


def test_interval_of_a_normal_sample_is_that_of_the_normal_law():
    values = np.random.default_rng(0).standard_normal(400)
    found = interval(values)
    assert found.mean == pytest.approx(values.mean()) and found.median == np.median(values)
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose(
        [found.low, found.high], [values.mean() - half, values.mean() + half], atol=0.02
    )
    assert interval(values) == found and found.num_examples == 400


def test_interval_with_nan():
    values = np.array([0.2, np.nan, np.nan, 0.4])
    result = interval(values, np.array([0.2, 1.0, np.nan, 0.4]))
    assert result.mean == pytest.approx(0.3) and result.median == pytest.approx(0.3)
    assert result.num_examples == 2 and result.mean_with_ones == pytest.approx(1.6 / 3)
    assert interval(np.array([0.5, 0.5])) == Interval(0.5, 0.5, 0.5, 0.5, 2)
    assert interval(np.array([np.nan])) == Interval(*[None] * 4, 0)
    # One image has no interval.
    assert interval(np.array([0.5])) == Interval(0.5, 0.5, None, None, 1)


def test_summary_of_rows_by_hand():
    nan = float("nan")
    rows = [
        row(0, 0.2),
        row(4, nan, candidate=0, constant=1, completeness_error=0.75),
        row(7, nan, undefined=1),
        row(8, nan, candidate=0, no_map_gradient=1),
        row(9, 0.6, few_pixels=1, output_change=nan, completeness_error=nan),
    ]
    result = summarize(rows, misclassified=2, counts_unchanged=True)
    assert result["counts"] == {
        "attacked": 5,
        "misclassified": 2,
        "non_finite": 1,
        "no_candidate": 2,
        "undefined": 1,
        "constant": 1,
        "few_pixels": 1,
        "no_loss_gradient": 0,
        "no_logit_gradient": 0,
        "no_map_gradient": 1,
        "not_improved": 0,
    }
    kendall = result["metrics"]["kendall"]
    assert kendall.mean == pytest.approx(0.4) and kendall.num_examples == 2
    # The constant and the undefined image stay without a figure.
    assert kendall.mean_with_ones == pytest.approx(1.8 / 3)
    assert summarize(rows, misclassified=2)["metrics"]["kendall"].mean_with_ones is None
    assert result["completeness"]["mean_error"] == pytest.approx(1.5 / 4)
    assert result["completeness"]["mean_output_change"] == 2
    assert result["images_per_second"] == pytest.approx(2)


def test_json_comes_back_and_holds_no_nan(tmp_path):
    before = report("natural")
    before.save(tmp_path / "report.json")
    assert load_report(tmp_path / "report.json") == before
    odd = report("natural", completeness={"mean_error": float("nan")})
    assert json.loads(odd.to_json())["completeness"]["mean_error"] is None
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(ValueError, match="must be a report.json of rar_tf. Received: KeyError"):
        load_report(tmp_path / "report.json")


def test_no_image_right_leaves_no_figure(tmp_path):
    empty = report("natural", kendalls=())
    assert empty.metrics["kendall"].mean is None and empty.counts["attacked"] == 0
    assert "attacked 0, misclassified 3" in summary(empty)
    assert "| natural | 0 | 90.86 | 0.01 |  | - | - |" in markdown(
        find_results(saved(tmp_path, empty))
    )


def test_table_stands_beside_the_published_values(tmp_path):
    pattern = saved(
        tmp_path,
        report("natural"),
        report("natural", "original", (0.1, 0.3, 0.5)),
        report("natural", "quick", (0.1,)),
    )
    lines = markdown(find_results(pattern)).splitlines()
    natural = next(line for line in lines if line.startswith("| natural"))
    cells = [cell.strip() for cell in natural.split("|")[1:-1]]
    assert cells[:5] == ["natural", "2", "90.86", "0.01", ""]
    assert cells[5:7] == ["20.00 [10.00, 30.00]", "0.4000 [0.2000, 0.6000]"]
    assert cells[7:11] == ["90.86", "0.01", "39.01", ".4610"]
    assert cells[11].startswith("15.00 [") and cells[11].endswith("(n=3)")
    assert cells[13:] == ["5.00", "0.1000"]
    madry = next(line for line in lines if line.startswith("| madry"))
    assert [cell.strip() for cell in madry.split("|")[1:9]] == ["madry", *[""] * 6, "85.73"]


def test_the_paper_s_attack_stands_beside_the_headline_on_the_same_images(tmp_path):
    found = {"worst_case": (0.2, 0.6, 0.7), "original": (0.3, 0.5)}
    for attack, kendalls in found.items():
        saved(tmp_path / attack, report("natural", attack, kendalls))
        file = ExamplesFile(tmp_path / attack / "0" / "examples.csv")
        file.append([row(i, kendall) for i, kendall in enumerate(kendalls)])
    line = markdown(find_results(f"{tmp_path}/*/*")).splitlines()[4]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[5].startswith("25.00") and cells[6].startswith("0.5000")
    assert cells[11].endswith("(n=2, worst_case 20.00)") and cells[12].endswith(
        "(worst_case 0.4000)"
    )


def test_far_s_table_has_the_kendall_of_the_foreground(tmp_path):
    result = report("natural")
    threat = result.protocol["threat"]
    far = dict(result.protocol, name="far", k=50, threat=threat)
    result = dataclasses.replace(result, protocol=far)
    fields = dataclasses.replace(result.metrics["kendall"], mean=0.7123)
    result = dataclasses.replace(result, metrics=result.metrics | {"kendall_foreground": fields})
    lines = markdown(find_results(saved(tmp_path, result))).splitlines()
    header, natural = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in (lines[2], lines[4])
    )
    assert header[6:9] == ["CO", "CO fg", "published NA"] and natural[0] == "natural"
    assert natural[6].startswith("0.4000 [") and natural[7].startswith("0.7123 [")
    assert natural[8:12] == ["91.5", "11.0", ".43", ".20"]


def test_published_values_are_complete():
    rar = [key for key in PUBLISHED if key[0] == "rar"]
    assert len(rar) == 16 and len(PUBLISHED) - len(rar) == 24
    assert PUBLISHED["rar", "oxford_flowers17", "ig_norm"] == ("85.29", "24.26", "64.68", ".7591")
    assert PUBLISHED["far", "cifar10", "natural"][3] == "-.02"


def test_summary_text():
    text = summary(report("natural"))
    assert "natural accuracy: 0.9086 (10000 images)" in text
    assert "kendall: 0.4000 [0.2000, 0.6000], median 0.4000" in text
    assert "attack worst_case: 2.000 images/s" in text


def test_errors_of_results(tmp_path):
    with pytest.raises(ValueError, match="results must match the report.json of finished"):
        find_results(str(tmp_path / "nothing*"))
    with pytest.raises(ValueError, match="of natural by attack worst_case in fashion"):
        find_results(saved(tmp_path, report("natural"), report("natural", kendalls=(0.1,))))
