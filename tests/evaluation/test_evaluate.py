"""A user's own classifier from call to report: counts, resume, bad input."""

import csv
import dataclasses
import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import Ifia, LocalSearch, MapAttack, Ranking
from rar_tf.attribution import kendall_tau
from rar_tf.datasets import ImageData, Split
from rar_tf.evaluation import (
    Accuracy,
    EvaluationSet,
    ExamplesFile,
    attack_maps,
    evaluate,
    load_report,
    logits_of,
    points,
)
from rar_tf.models import load_classifier
from rar_tf.reporting import summary
from tests.support.tiny_evaluation import SHAPE, own_data, own_model, quick_protocol

MODEL = own_model()
IMAGES, LABELS = own_data(MODEL)
MODEL_LOGITS = logits_of(MODEL, EvaluationSet((IMAGES, LABELS))).model


def quick(output=None, data=(IMAGES, LABELS), **options):
    settings = {
        "protocol": quick_protocol(),
        "attack": "original",
        "batch_size": 3,
        "nodes_per_pass": 4,
    }
    return evaluate(MODEL, data, output=output, **settings | options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    return folder, quick(folder)


def rows_of(folder):
    rows = ExamplesFile(folder / "examples.csv").rows()
    return [dataclasses.replace(row, seconds=0.0) for row in rows]


def test_counts_and_figures(finished):
    folder, report = finished
    rows = rows_of(folder)
    assert [row.index for row in rows] == [0, 1, 3, 4, 5, 6]
    assert report.counts["attacked"] == 6 and report.counts["misclassified"] == 1
    assert report.natural_accuracy.value == pytest.approx(6 / 7)
    assert report.strong_pgd_accuracy.value <= report.pgd_accuracy.value <= 6 / 7
    assert report.model["outputs"] == "stripped_softmax" and report.model["relus"] == 0
    assert report.metrics["kendall"].mean == pytest.approx(np.mean([row.kendall for row in rows]))
    assert report.metrics["kendall"].mean < 0.9
    assert json.loads((folder / "report.json").read_text())["counts"] == report.counts


def test_rows_agree_with_the_pictures(finished):
    folder, _ = finished
    for row in rows_of(folder):
        with np.load(folder / "pictures" / f"{row.index:06d}.npz") as picture:
            x, x_adv, before, after = (picture[n] for n in ("x", "x_adv", "before", "after"))
        np.testing.assert_allclose(x, IMAGES[row.index] / 255, atol=1e-7)
        assert np.argmax(MODEL(x_adv[None])) == LABELS[row.index]
        assert (
            np.abs(x_adv - x).max() == pytest.approx(row.perturbation)
            and row.perturbation <= 0.1001
        )
        np.testing.assert_allclose(kendall_tau(before[None], after[None]), row.kendall)


def test_completeness_error_is_of_logits(finished):
    folder, _ = finished
    logits = keras.Model(MODEL.inputs[0], MODEL.layers[-1](MODEL.layers[-2].output))
    logits.layers[-1].activation = keras.activations.linear
    try:
        for row in rows_of(folder):
            x = IMAGES[row.index : row.index + 1] / np.float32(255)
            change = (logits(x) - logits(0 * x))[0, row.label]
            assert row.output_change == pytest.approx(float(change), rel=1e-4)
            assert row.completeness_error < abs(row.output_change)
    finally:
        logits.layers[-1].activation = keras.activations.softmax


def test_a_stopped_run_goes_on_where_it_ended(finished, tmp_path):
    folder, report = finished
    quick(tmp_path)
    text = (tmp_path / "examples.csv").read_text()
    lines = text.splitlines(keepends=True)
    # Killed in the middle of the third row's line.
    (tmp_path / "examples.csv").write_text("".join(lines[:3]) + lines[3][:9])
    (tmp_path / "report.json").unlink()
    again = quick(tmp_path, batch_size=2)
    assert again.metrics == report.metrics and again.counts == report.counts
    assert rows_of(tmp_path) == rows_of(folder)
    assert (tmp_path / "report.json").exists()


def test_batch_size_and_nodes_per_pass_do_not_matter(finished):
    _, report = finished
    other = quick(batch_size=7, nodes_per_pass=None, accuracy_examples=0, strong_pgd=False)
    assert other.natural_accuracy is None and other.strong_pgd_accuracy is None
    assert other.metrics["kendall"].mean == pytest.approx(report.metrics["kendall"].mean, abs=1e-3)


def test_all_batches_share_one_trace(monkeypatch):
    traces, call = [], Ifia.__call__
    monkeypatch.setattr(Ifia, "__call__", lambda *a, **k: traces.append(1) or call(*a, **k))
    report = quick(batch_size=4, accuracy_examples=0, strong_pgd=False)  # four images, then two
    assert report.counts["attacked"] == 6 and len(traces) == 1


def test_another_evaluation_in_the_folder_is_refused(finished):
    folder, _ = finished
    with pytest.raises(ValueError, match="which holds one with another seed"):
        quick(folder, seed=1)
    with pytest.raises(ValueError, match="which holds one with another number of images"):
        quick(folder, num_examples=3)


def test_the_name_of_an_attack_changes_nothing():
    """The rows are those of the searches, whatever the attack is called."""
    evaluation_set = EvaluationSet((IMAGES, LABELS), num_examples=2)
    search = dataclasses.replace(quick_protocol().attack("original").searches[0], steps=2)
    searches = (search, dataclasses.replace(search, random_start=True))
    args = (MODEL_LOGITS, evaluation_set, np.arange(2), quick_protocol())
    for settings in ({}, {"worst_of_each_metric": True}):
        results = [
            [
                dataclasses.replace(row, seconds=0.0)
                for rows, _ in attack_maps(*args, MapAttack(name, searches, **settings))
                for row in rows
            ]
            for name in ("original", "quick", "worst_case", "any")
        ]
        assert all(rows == results[0] for rows in results)


def test_an_attack_may_be_a_value_or_its_searches(tmp_path):
    attack = quick_protocol().attack("original")
    settings = {"accuracy_examples": 0, "strong_pgd": False, "num_examples": 3}
    named = quick(**settings)
    value = quick(attack=attack, **settings)
    searches = quick(tmp_path, attack=attack.searches, **settings)
    assert named.attack == value.attack == "original" and searches.attack == "custom"
    assert named.metrics == value.metrics
    for name, metric in named.metrics.items():
        assert searches.metrics[name] == dataclasses.replace(metric, mean_with_ones=None)
    with pytest.raises(ValueError, match="which holds one with another worst_of_each_metric"):
        other = MapAttack("custom", attack.searches, worst_of_each_metric=True)
        quick(tmp_path, attack=other, **settings)


def test_the_worst_of_each_metric_is_never_better_than_a_search_alone():
    evaluation_set = EvaluationSet((IMAGES, LABELS), num_examples=2)
    options = {"batch_size": 2, "nodes_per_pass": None}
    base = dataclasses.replace(
        quick_protocol().attack("quick").searches[0], steps=4, step_size=0.05, k=50
    )
    every = dataclasses.replace(base, select=("kendall", "top_k", "spearman"))
    other = dataclasses.replace(every, score="log_pearson", random_start=True)
    network = keras.Model(MODEL.inputs, MODEL.outputs)
    args = (network, evaluation_set, np.array([0, 1]), quick_protocol())
    portfolio = MapAttack("strong", (base, every, other), worst_of_each_metric=True)
    ((alone, _),) = attack_maps(*args, MapAttack("weak", (base,)), **options)
    ((together, _),) = attack_maps(*args, portfolio, **options)
    for weak, strong in zip(alone, together, strict=True):
        for metric in ("top_k", "kendall", "spearman"):
            assert getattr(strong, metric) <= getattr(weak, metric)


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [("top_k", (0.2, 0.9)), ("kendall", (0.8, 0.1)), ("top_k_and_kendall", (0.8, 0.1))],
)
def test_of_two_searches_the_criterion_chooses_the_point(monkeypatch, criterion, expected):
    metrics = np.array([[[0.2, 0.9, 0.9, 0.5, 0.0], [0.8, 0.1, 0.1, 0.5, 0.0]]])
    monkeypatch.setattr(points, "metrics_of", lambda *_: metrics)
    evaluation_set = EvaluationSet((IMAGES, LABELS), num_examples=1)
    searches = [
        dataclasses.replace(search, steps=1, k=50, select=(criterion,))
        for search in quick_protocol().attack("quick").searches
    ]
    network = keras.Model(MODEL.inputs, MODEL.outputs)
    args = (network, evaluation_set, np.array([0]), quick_protocol())
    attack = MapAttack("two", tuple(searches))
    (((row,), _),) = attack_maps(*args, attack, batch_size=1, nodes_per_pass=None)
    assert (row.top_k, row.kendall) == expected


def test_a_ranking_by_the_protocol_s_own_maps_loses_nothing():
    """The worst points by each metric are those that measuring all points finds."""
    evaluation_set = EvaluationSet((IMAGES, LABELS), num_examples=3)
    base = dataclasses.replace(
        quick_protocol().attack("original").searches[0],
        steps=3,
        step_size=0.05,
        select=("kendall", "top_k"),
    )
    others = [
        dataclasses.replace(base, score=score, random_start=True)
        for score in ("log_pearson", "mass_center")
    ]
    network = keras.Model(MODEL.inputs, MODEL.outputs)
    ranking = Ranking(quick_protocol().explainer, keep=(("top_k", 1), ("kendall", 1)))

    def rows(**options):
        args = (network, evaluation_set, np.arange(3), quick_protocol())
        attack = MapAttack("all", (base, *others), worst_of_each_metric=True, **options)
        ((batch, _),) = attack_maps(*args, attack, batch_size=3, nodes_per_pass=None)
        return [(row.index, row.top_k, row.kendall) for row in batch]

    ranked, measured = rows(ranking=ranking), rows()
    np.testing.assert_allclose(ranked, measured, rtol=0, atol=1e-6)
    refined = (LocalSearch(base.threat, k=50, criterion="kendall", count=5),)
    refined = rows(ranking=ranking, refinements=refined)
    assert all(a[1] <= b[1] and a[2] <= b[2] for a, b in zip(refined, ranked, strict=True))


def test_bad_images_and_labels():
    bad = IMAGES / np.float32(255)
    bad[0, 0, 0, 0] = 1.5
    for dataset, message in [
        ((bad, LABELS), r"pixels must be in \[0, 1\]. Received: pixels in \[0.0, 1.5\]"),
        ((IMAGES.astype("int64"), LABELS), "images must be uint8 or floating. Received: int64"),
        ((IMAGES[0], LABELS), "images must be .N, H, W, C.. Received: shape"),
        ((IMAGES, LABELS[:2]), r"labels must be integers \[7\]. Received: int32 \[2\]"),
        ((IMAGES[:0], LABELS[:0]), "needs at least one image. Received: an empty set of images"),
        ((IMAGES[:, :10], LABELS), "must take images 10x30x3 .*Received: a model of input shape"),
        ((IMAGES, LABELS + 3), "must have at least .* classes, .*Received: a model of 3 classes"),
    ]:
        with pytest.raises(ValueError, match=message):
            evaluate(MODEL, dataset)


def test_bad_numbers():
    for options, message in [
        ({"num_examples": 0}, "num_examples must be >= 1. Received: num_examples=0"),
        ({"batch_size": 0}, "batch_size must be >= 1. Received: batch_size=0"),
        ({"nodes_per_pass": 0}, "nodes_per_pass must be >= 1. Received: nodes_per_pass=0"),
        ({"attack": "bets"}, "attack must be one of .*Received: attack='bets'"),
        ({"outputs": "odds"}, "outputs must be one of .*Received: outputs='odds'"),
    ]:
        with pytest.raises(ValueError, match=message):
            quick(**options)


def test_model_files(tmp_path):
    path = tmp_path / "mine.keras"
    MODEL.save(path)
    x = tf.constant(IMAGES / np.float32(255))
    np.testing.assert_array_equal(load_classifier(path)(x), MODEL(x))
    (tmp_path / "cut.keras").write_bytes(path.read_bytes()[:2000])
    (tmp_path / "mine.h5").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as file:
        file.writestr("config.json", "{}")
    for name in ("cut.keras", "other.keras"):
        with pytest.raises(ValueError, match=f"complete .keras file that loads in safe.*{name}"):
            load_classifier(tmp_path / name)
    with pytest.raises(ValueError, match="complete .h5 file that loads in safe mode. .*mine.h5"):
        load_classifier(tmp_path / "mine.h5")
    (tmp_path / "mine.pt").write_bytes(b"")
    with pytest.raises(ValueError, match="model must be a .keras or .h5 file. .*mine.pt"):
        load_classifier(tmp_path / "mine.pt")
    with pytest.raises(FileNotFoundError, match="which is not there"):
        load_classifier(tmp_path / "none.keras")


def test_code_in_a_model_file_is_refused(tmp_path):
    model = keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Lambda(lambda x: x), keras.layers.Flatten()]
    )
    model.save(tmp_path / "code.keras")
    with pytest.raises(ValueError, match="loads in safe mode"):
        load_classifier(tmp_path / "code.keras")


def test_an_examples_file_of_another_program_is_refused(tmp_path):
    path = tmp_path / "examples.csv"
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["a", "b"], [1, 2]])
    with pytest.raises(
        ValueError,
        match="a table of evaluated images.*columns index, label, .*came .'a', 'b'",
    ):
        ExamplesFile(path).rows()


def test_accuracy_with_and_without_test_images_that_are_training_images(tmp_path):
    labels = LABELS.copy()
    labels[4] = (labels[4] + 1) % 3  # beside the third: two of seven are wrong
    other = np.random.default_rng(9).integers(0, 256, (3, *SHAPE)).astype("uint8")
    train = Split(np.concatenate([other, IMAGES[1:3]]), np.zeros(5, np.int32))
    test, names = Split(IMAGES, labels), ("a", "b", "c")
    data = ImageData("mine", 3, SHAPE, names, "memory", train, None, test)
    report = quick(data=data, output=tmp_path, strong_pgd=False)
    assert report.duplicates == [1, 2]
    assert report.natural_accuracy == Accuracy(5 / 7, 7)
    assert report.natural_accuracy_without_duplicates == Accuracy(4 / 5, 5)
    assert report.pgd_accuracy_without_duplicates.num_examples == 5
    assert load_report(tmp_path / "report.json") == report
    assert "without the 2 that are training images too: 0.8000 (5 images)" in summary(report)
    whole = dataclasses.replace(data, train=test)
    assert quick(data=whole, strong_pgd=False).natural_accuracy_without_duplicates is None


def test_accuracies_that_were_skipped_are_made_up_for(tmp_path):
    first = quick(tmp_path, accuracy_examples=0, strong_pgd=False)
    assert first.natural_accuracy is None
    again = quick(tmp_path)
    assert again.natural_accuracy.num_examples == 7 and again.metrics == first.metrics


def test_rows_of_other_images_are_refused(tmp_path):
    quick(tmp_path, accuracy_examples=0, strong_pgd=False)
    path = tmp_path / "examples.csv"
    path.write_text(path.read_text().replace("\n0,", "\n2,", 1))
    with pytest.raises(ValueError, match="must hold the first of the correctly classified images"):
        quick(tmp_path)
