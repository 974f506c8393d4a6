"""What could not be attacked has no figure, and what makes a figure doubtful is said."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from rar_tf.attribution import Explainer
from rar_tf.evaluation import (
    Accuracy,
    ExamplesFile,
    Interval,
    Pgd,
    evaluate,
    load_report,
    protocol,
    remarks_of,
)
from rar_tf.reporting import summary
from tests.support import masked_models as models
from tests.support import tiny_evaluation

PROTOCOL = dataclasses.replace(
    protocol("rar", "mine", models.SHAPE, epsilon=0.05, k=8, explainer=Explainer(steps=50)),
    pgd=Pgd(2, 0.02),
    attack_steps=3,
    attack_step_size=0.02,
)


def measured(model, data=None, output=None, **options):
    options = {"protocol": PROTOCOL, "num_examples": 6, "strong_pgd": False} | options
    data = models.data(model) if data is None else data
    return evaluate(model, data, attack="original", num_pictures=0, output=output, **options)


def names(report):
    return {remark["name"] for remark in report.remarks}


def test_a_healthy_model_has_no_remark():
    healthy = measured(models.network())
    assert healthy.remarks == [] and not healthy.is_masked
    assert healthy.metrics["kendall"].num_examples == 6
    assert "warning" not in summary(healthy) and "note" not in summary(healthy)


@pytest.mark.parametrize(
    ("make", "missing"),
    [
        (models.HiddenRelus, 6),
        (models.VisibleRelus, 0),
        (models.Bicubic, 0),
        (lambda: models.network(activation=models.softplus_without_curvature), 6),
        (lambda: models.network(activation="softplus"), 0),
        (lambda: models.network(activation="linear"), 0),
    ],
    ids=["hidden", "visible", "bicubic", "custom gradient", "softplus", "linear"],
)
def test_a_missing_second_derivative_is_counted(make, missing):
    """Six functions, two of them without the second derivative that the attack needs."""
    model = make()
    if isinstance(model, models.HiddenRelus):
        models.with_weights(model)
    report = measured(model, accuracy_examples=0)
    assert report.counts["no_map_gradient"] == missing
    assert report.counts["no_loss_gradient"] == report.counts["no_logit_gradient"] == 0
    assert ("no_map_gradient" in names(report)) == report.is_masked == bool(missing)


def test_pixels_that_are_rounded_leave_no_gradient_and_no_figure(tmp_path):
    report = measured(models.network(models.Rounding()), output=tmp_path)
    counts = report.counts
    for name in ("no_loss_gradient", "no_logit_gradient", "no_map_gradient", "constant"):
        assert counts[name] == counts["attacked"] == 6
    assert report.metrics["kendall"] == Interval(None, None, None, None, 0)
    assert {"no_loss_gradient", "no_map_gradient", "nothing_attacked"} <= names(report)
    rows = ExamplesFile(tmp_path / "examples.csv").rows()
    assert all(np.isnan([row.top_k, row.kendall, row.spearman]).all() for row in rows)
    text = summary(report)
    assert "kendall: -" in text and "warning: nothing was measured: none of 6 images" in text
    assert load_report(tmp_path / "report.json") == report


def test_a_constant_model_is_not_robust():
    model = models.network()
    model.set_weights([0 * weight for weight in model.get_weights()])
    report = measured(model)
    assert report.counts["constant"] == report.counts["no_candidate"] == 6
    assert report.metrics["top_k"].mean is None
    assert report.metrics["top_k"].mean_with_ones is None
    # All images have the one label that it answers.
    assert "chance" in names(report) and report.is_masked


def test_a_random_classifier_is_said_to_be_random():
    report = measured(models.network(noise=True), accuracy_examples=0)
    assert "random" in names(report) and report.randomness > 0.01
    assert f"differ by up to {report.randomness:.3g} in a logit" in summary(report)


def test_logits_that_are_not_finite_give_no_figure():
    model, x, y = models.nan_logits()
    report = measured(model, (x, y), num_examples=12, accuracy_examples=0)
    # Right by argmax, which is 0 for NaN, but wrong.
    assert report.counts["attacked"] == 9 and report.counts["misclassified"] == 3
    figures = report.metrics["kendall"].num_examples
    assert figures + report.counts["no_candidate"] == 9
    assert np.isfinite(report.completeness["mean_error"])
    assert "non_finite" in names(report) and report.is_masked


def test_a_linear_model_whose_map_cannot_move():
    """IG is w_i x_i: with one weight the map is one pixel, whatever the image.

    No step moves, and a search that does not move has measured nothing.
    """
    model = keras.Sequential(
        [keras.Input(models.SHAPE), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    kernel = np.zeros((64, 2), "float32")
    kernel[10] = 4, -4
    model.set_weights([kernel, np.array([-2, 2], "float32")])
    x, y = models.data(model)
    report = measured(model, (x, y))
    assert report.counts["few_pixels"] == 6 and report.counts["no_map_gradient"] == 6
    assert report.counts["not_improved"] == report.counts["no_candidate"] == 6
    assert report.metrics["kendall"].mean is None and report.counts["constant"] == 0
    # As the code of the paper counts them.
    assert report.metrics["kendall"].mean_with_ones == 1
    expected = {"few_pixels", "no_map_gradient", "nothing_attacked", "no_candidate"}
    assert names(report) == expected


def test_one_image_has_no_interval(tmp_path):
    report = measured(models.network(), num_examples=1, accuracy_examples=0)
    kendall = report.metrics["kendall"]
    assert kendall.low is kendall.high is None and kendall.mean == kendall.median
    assert names(report) == {"one_image"} and not report.is_masked
    assert f"kendall: {kendall.mean:.4f}, median" in summary(report)


def test_the_baseline_of_the_map_is_that_of_its_completeness():
    settings = dataclasses.replace(PROTOCOL, explainer=Explainer(steps=50, baseline=0.5))
    report = measured(models.network(), protocol=settings, accuracy_examples=0)
    assert report.completeness["mean_error"] < 0.05 * report.completeness["mean_output_change"]
    coarse = dataclasses.replace(PROTOCOL, explainer=Explainer(steps=1))
    assert "completeness" in names(measured(models.network(), protocol=coarse))


def plain(**values):
    """A finished report without any remark."""
    settings = {"name": "rar", "k": 5, "explainer": {"method": "integrated_gradients"}}
    healthy = {"protocol": settings, "pixels": 64, "majority_share": 0.1}
    healthy["completeness"] = {"mean_error": 0.04, "mean_output_change": 1.0}
    return tiny_evaluation.report("natural", **healthy | values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, None),
        ({"completeness": {"mean_error": 0.06, "mean_output_change": 1.0}}, "completeness"),
        ({"pixels": 9}, "large_k"),
        ({"pixels": 10}, None),
        ({"randomness": 0.1}, "random"),
        ({"kendalls": (0.3,)}, "one_image"),
        ({"kendalls": ()}, "nothing_attacked"),
        # 62 or more of 100 have probability .0105 at one half, 63 or more .0060.
        ({"natural_accuracy": Accuracy(0.62, 100), "majority_share": 0.5}, "chance"),
        ({"natural_accuracy": Accuracy(0.63, 100), "majority_share": 0.5}, None),
        ({"natural_accuracy": None, "majority_share": 1.0}, None),  # Too few were attacked.
    ],
)
def test_remarks_by_hand(values, expected):
    assert [remark.name for remark in remarks_of(plain(**values))] == [expected] * bool(expected)


def test_a_method_without_completeness_has_no_remark_on_it():
    report = plain(completeness={"mean_error": 5.0, "mean_output_change": 1.0})
    report.protocol["explainer"] = {"method": "input_gradient"}
    assert remarks_of(report) == []


def test_searches_without_gradients_that_find_what_gradients_did_not():
    counts = dict(plain().counts)
    few = remarks_of(plain(counts=counts | {"attacked": 9, "not_improved": 4}))
    many = remarks_of(plain(counts=counts | {"attacked": 9, "not_improved": 5}))
    assert [(r.name, r.masks) for r in few + many] == [
        ("not_improved", False),
        ("not_improved", True),
    ]


def test_reports_of_another_version_are_refused(tmp_path):
    path = tmp_path / "report.json"
    plain().save(path)
    values = json.loads(path.read_text())
    assert values["measurement"] == 2
    for version in (1, 3):
        path.write_text(json.dumps(values | {"measurement": version}))
        with pytest.raises(ValueError, match=f"of measurement version 2. Received: .* {version};"):
            load_report(path)
    del values["measurement"]
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="version 1; evaluate again in a new folder"):
        load_report(path)
