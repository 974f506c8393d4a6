"""Model cards: figures, their intervals, and what is left out when it is not known."""

import dataclasses
import json

import pytest

from rar_tf.attribution import Explainer
from rar_tf.evaluation import Accuracy, Interval, Report
from rar_tf.models import Conversions
from rar_tf.presets import resolve
from rar_tf.serving import Provenance, card, model_card
from tests.support import tiny_classifier as tiny


def report():
    return Report(
        model={},
        dataset={"name": "fashion_mnist", "split": "test", "class_names": ["shirt", "bag"]},
        protocol={"name": "rar"},
        attack="worst_case",
        searches=[],
        seed=0,
        batch_size=1,
        nodes_per_pass=None,
        natural_accuracy=Accuracy(81 / 263, 263),
        pgd_accuracy=None,
        strong_pgd_accuracy=Accuracy(0.0, 10),
        counts={"attacked": 200},
        metrics={
            "kendall": Interval(0.6, 0.61, 0.58, 0.62, 180),
            "spearman": Interval(None, None, None, None, 0),
        },
        completeness={},
        seconds=1.0,
        images_per_second=1.0,
        hardware={},
        versions={},
    )


def test_metrics_carry_interval_count_and_protocol():
    rows = model_card(tiny.classifier(), provenance=Provenance(report=report()))["metrics"]
    natural, strong, kendall = rows
    # Wilson's interval of 81 in 263 as in Newcombe, Statistics in Medicine 17 (1998), table I.
    assert (natural["low"], natural["high"]) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert natural["num_examples"] == 263
    assert natural["protocol"] == "fashion_mnist, test, protocol rar"
    # 0 in n: 0 .. z^2 / (n + z^2).
    assert (strong["low"], strong["high"]) == pytest.approx((0, 3.8415 / 13.8415), abs=1e-4)
    assert kendall == {
        "name": "kendall",
        "value": 0.6,
        "low": 0.58,
        "high": 0.62,
        "num_examples": 180,
        "protocol": "fashion_mnist, test, protocol rar, attack worst_case",
    }


def test_a_run_s_files_are_found_beside_the_model(tmp_path):
    preset = resolve("gtsrb", "ig_norm")
    (tmp_path / "preset.json").write_text(preset.to_json())
    (tmp_path / "metrics.csv").write_text(
        "step,natural_accuracy,pgd_accuracy,ig_norm,num_examples\n"
        "0,0.1,0.0,9.0,512\n500,0.75,0.5,0.4,512\n"
    )
    found = Provenance.of(tmp_path / "model.keras")
    assert found.preset == json.loads(preset.to_json())
    data = model_card(tiny.classifier(), provenance=found)
    assert [row["value"] for row in data["metrics"]] == [0.75, 0.5, 0.4]
    assert (data["dataset"], data["objective"]) == ("gtsrb", "ig_norm")
    assert data["architecture"] == preset.model.architecture
    assert any("equalized channel by channel" in limit for limit in data["limits"])
    assert "## Training" not in card.to_markdown(data)
    told = dataclasses.replace(found, training={"command": "python -m train.main", "minutes": None})
    text = card.to_markdown(model_card(tiny.classifier(), provenance=told))
    assert "## Training\n\n- command: python -m train.main\n\n## Preset" in text
    assert Provenance.of(tmp_path / "elsewhere" / "model.keras") == Provenance()
    (tmp_path / "preset.json").write_text("{")
    with pytest.raises(ValueError, match="must be the workdir of a run"):
        Provenance.of(tmp_path / "model.keras")


def test_a_report_is_read_from_its_file(tmp_path):
    report().save(tmp_path / "report.json")
    assert Provenance.of(tmp_path / "model.keras", tmp_path / "report.json").report == report()


def test_the_card_tells_people_everything(tmp_path):
    preset = resolve("fashion_mnist", "ig_norm")
    known = Provenance(preset.to_flat(), None, report())
    data = model_card(tiny.classifier(), Conversions(outputs="stripped_softmax"), known)
    data |= card.endpoint_facts(Explainer(steps=9, rule="right"), 25, 8)
    card.write(data, tmp_path / "card.json", tmp_path / "MODEL_CARD.md")
    assert json.loads((tmp_path / "card.json").read_text()) == json.loads(json.dumps(data))
    text = (tmp_path / "MODEL_CARD.md").read_text()
    for part in (
        "# tiny: trained on fashion_mnist, objective ig_norm",
        "Images 6x5x3, float32 in [0, 1] -> 4 classes; 308 parameters",
        "stripped_softmax",
        "Classes: 0 shirt, 1 bag.",
        "baseline 0 (0 is black), 9 steps, rule right",
        "| natural_accuracy | 0.308 | 0.2553 .. 0.3662 | 263 | fashion_mnist, test, protocol rar |",
        "| kendall | 0.6 | 0.58 .. 0.62 | 180 |",
        "## Intended use",
        "## Limits",
        f"- epsilon: {preset.attack.epsilon}",
        "- tensorflow: 2.",
    ):
        assert part in text
    assert "pgd_accuracy | " not in text.replace("strong_pgd_accuracy", "")


def test_remarks_of_report_and_validation_stand_on_the_card():
    remarks = [
        {"name": "random", "text": "the classifier is random", "masks": True},
        {"name": "one_image", "text": "of one image", "masks": False},
    ]
    doubtful = dataclasses.replace(report(), remarks=remarks)
    validation = {"natural_accuracy": 0.5, "pgd_accuracy": 0.0, "ig_norm": 1.0}
    validation |= {"num_examples": 100, "majority_share": 0.5}
    data = model_card(tiny.classifier(), provenance=Provenance(None, validation, doubtful))
    text = card.to_markdown(data)
    chance = (
        "- warning: validation accuracy 0.5000 of 100 images is not above always answering the "
        "most frequent class (0.5000)"
    )
    lines = f"{chance}\n- warning: the classifier is random\n- note: of one image"
    assert f"## Remarks\n\n{lines}\n\n## Intended use" in text
    # 63 or more of 100 have probability .0060 at one half.
    above = validation | {"natural_accuracy": 0.63}
    data = model_card(tiny.classifier(), provenance=Provenance(None, above, report()))
    assert data["remarks"] == [] and "## Remarks" not in card.to_markdown(data)


def test_what_is_not_known_is_said_not_to_be():
    text = card.to_markdown(model_card(tiny.classifier()))
    assert "data set unknown, objective unknown" in text
    assert "None measured." in text and "## Preset\n\nUnknown." in text
