"""The named attacks: what of their points is measured, and maps without a gradient."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import Ifia, LocalSearch, MapAttack, RandomSearch, Ranking
from rar_tf.attribution import Explainer, kendall_tau, top_k_intersection
from rar_tf.evaluation import (
    EvaluationSet,
    ExamplesFile,
    attack_maps,
    attacks,
    evaluate,
    protocol,
)
from rar_tf.evaluation.attacks import for_map
from rar_tf.evaluation.points import AttackedPoints
from rar_tf.reporting import summary
from tests.support import tiny_classifier

K = 8
PROTOCOL = dataclasses.replace(
    protocol("rar", "mine", tiny_classifier.SHAPE, epsilon=0.1, k=K, explainer=Explainer(steps=6)),
    attack_steps=3,
    attack_step_size=0.04,
)
MODEL = tiny_classifier.classifier()
IMAGES = tiny_classifier.images(4)
LABELS = np.argmax(MODEL(IMAGES), -1).astype("int32")
SEARCH = RandomSearch(
    PROTOCOL.threat, K, count=6, select=("top_k", "kendall"), explainer=Explainer(steps=3)
)
SEARCHES = tuple(
    dataclasses.replace(SEARCH, family=family) for family in ("pixel", "block", "smooth")
)


def rows_of(attack, model=MODEL, settings=PROTOCOL):
    images = EvaluationSet((IMAGES, LABELS))
    options = {"batch_size": len(IMAGES), "nodes_per_pass": None}
    ((rows, _),) = attack_maps(model, images, np.arange(len(IMAGES)), settings, attack, **options)
    return rows


def maps_of(points, explainer=PROTOCOL.explainer):
    """[B, ...] -> maps [B, H, W] of the labels."""
    return explainer.saliency(MODEL, tf.constant(points), tf.constant(LABELS)).numpy()


@pytest.fixture
def recorded(monkeypatch):
    """The points of all searches, [B, M, H, W, C], of each evaluation so far."""
    calls, of = [], AttackedPoints.of

    def recording(results):
        points = of(results)
        calls.append(points)
        return points

    monkeypatch.setattr(AttackedPoints, "of", recording)
    return calls


def measured(points):
    """IN and CO [B, M] of points, NaN where they do not count."""
    clean = maps_of(IMAGES)
    maps = [maps_of(points.x_adv[:, m]) for m in range(points.x_adv.shape[1])]
    top_k = np.stack([top_k_intersection(clean, part, K) for part in maps], 1)
    kendall = np.stack([kendall_tau(clean, part) for part in maps], 1)
    return [np.where(points.candidate, part, np.nan) for part in (top_k, kendall)]


def test_points_are_ranked_by_criterion_and_those_that_do_not_count_are_last():
    clean = np.array([[[1.0, 2.0, 3.0, 4.0]]])
    maps = np.array(
        [
            [[4.0, 3.0, 2.0, 1.0]],  # the order reversed, but no candidate
            [[1.0, 2.0, 4.0, 3.0]],
            [[np.nan, 2.0, 3.0, 4.0]],
            [[3.0, 4.0, 1.0, 2.0]],
            [[1.0, 2.0, 4.0, 3.0]],  # as the second
        ]
    )[np.newaxis]
    x_adv = np.arange(5.0).reshape(1, 5, 1, 1, 1)
    candidate = np.array([[False, True, True, True, True]])
    points = AttackedPoints(x_adv, candidate, np.array([False]))
    for criterion in ("kendall", "top_k"):
        places = points.rank(clean, maps, 2, criterion)
        assert places[0, :3].tolist() == [3, 1, 4] and set(places[0, 3:]) == {0, 2}
    taken = points.take(np.array([[3, 0]]))
    assert taken.x_adv.ravel().tolist() == [3, 0] and taken.candidate.tolist() == [[True, False]]
    both = taken.beside(AttackedPoints(x_adv, candidate, np.array([True])))
    assert both.x_adv.ravel().tolist() == [3, 0, 0, 1, 2, 3, 4] and both.undefined.tolist() == [1]


def test_a_ranking_that_keeps_all_points_measures_the_worst_of_them(recorded):
    """Whatever its maps are: here of one node and in bfloat16."""
    ranking = Ranking(Explainer(steps=1), "mixed_bfloat16", keep=(("kendall", 6),))
    attack = MapAttack("all", SEARCHES, worst_of_each_metric=True, ranking=ranking)
    rows = rows_of(attack)
    top_k, kendall = measured(recorded[0])
    assert top_k.shape == (4, 6)
    np.testing.assert_allclose([row.top_k for row in rows], top_k.min(1), rtol=0, atol=1e-6)
    np.testing.assert_allclose([row.kendall for row in rows], kendall.min(1), rtol=0, atol=1e-6)
    plain = rows_of(MapAttack("plain", SEARCHES, worst_of_each_metric=True))
    for a, b in zip(rows, plain, strict=True):
        assert dataclasses.replace(a, seconds=0) == dataclasses.replace(b, seconds=0)


def test_a_ranking_keeps_the_points_that_are_worst_by_its_own_maps(recorded):
    cheap = Explainer("input_gradient")
    attack = MapAttack(
        "one", SEARCHES, worst_of_each_metric=True, ranking=Ranking(cheap, keep=(("kendall", 1),))
    )
    rows = rows_of(attack)
    points, clean = recorded[0], maps_of(IMAGES)
    top_k, kendall = measured(points)
    ranks = np.stack([kendall_tau(clean, maps_of(points.x_adv[:, m], cheap)) for m in range(6)], 1)
    place = (np.arange(4), np.nanargmin(np.where(points.candidate, ranks, np.nan), 1))
    np.testing.assert_allclose([row.top_k for row in rows], top_k[place], rtol=0, atol=1e-6)
    np.testing.assert_allclose([row.kendall for row in rows], kendall[place], rtol=0, atol=1e-6)
    assert (kendall[place] > kendall.min(1)).any()  # the cheap maps are another method's


def test_refinements_start_from_the_worst_point_and_are_measured(recorded):
    ranking = Ranking(PROTOCOL.explainer, keep=(("top_k", 1), ("kendall", 1)))
    local = LocalSearch(PROTOCOL.threat, K, count=30, explainer=PROTOCOL.explainer)
    local = tuple(dataclasses.replace(local, criterion=name) for name in ("top_k", "kendall"))
    attack = MapAttack("all", SEARCHES, worst_of_each_metric=True, ranking=ranking)
    before = rows_of(attack)
    after = rows_of(dataclasses.replace(attack, refinements=local))
    refined = recorded[-1]
    assert refined.x_adv.shape[1] == 2
    top_k, kendall = measured(refined)
    for i, (a, b) in enumerate(zip(before, after, strict=True)):
        assert b.top_k == pytest.approx(min(a.top_k, *top_k[i]))
        assert b.kendall == pytest.approx(min(a.kendall, *kendall[i]))
        # No worse by its own criterion than the point where it began.
        assert top_k[i, 0] <= a.top_k + 1e-6 and kendall[i, 1] <= a.kendall + 1e-6
    assert sum(b.kendall < a.kendall for a, b in zip(before, after, strict=True)) >= 2


def short(attack):
    """The attack with searches of few steps, and with all their points measured."""
    searches = tuple(
        dataclasses.replace(s, steps=4, select_every=2)
        if isinstance(s, Ifia)
        else dataclasses.replace(s, count=4)
        for s in attack.searches
    )
    refinements = tuple(dataclasses.replace(search, count=4) for search in attack.refinements)
    count = sum(search.num_points for search in searches)
    ranking = dataclasses.replace(attack.ranking, keep=(("kendall", count),))
    return dataclasses.replace(attack, searches=searches, refinements=refinements, ranking=ranking)


def test_the_worst_case_is_as_bad_as_each_of_its_searches_alone(recorded):
    """IN and CO of an image are at most those of every point of every search, the label kept."""
    attack = short(PROTOCOL.attack("worst_case"))
    rows = rows_of(attack)
    searched, refined = recorded
    assert searched.x_adv.shape[1] == 2 * len(attack.searches) and refined.x_adv.shape[1] == 2
    (top_k, kendall), (top_k_refined, kendall_refined) = measured(searched), measured(refined)
    top_k, kendall = np.c_[top_k, top_k_refined], np.c_[kendall, kendall_refined]
    np.testing.assert_allclose([row.top_k for row in rows], np.nanmin(top_k, 1), atol=1e-6)
    np.testing.assert_allclose([row.kendall for row in rows], np.nanmin(kendall, 1), atol=1e-6)
    for points in (searched, refined):
        flat = points.x_adv.reshape(-1, *tiny_classifier.SHAPE)
        labels = np.argmax(MODEL(flat), -1).reshape(points.candidate.shape)
        assert (labels == LABELS[:, np.newaxis])[points.candidate].all()
        assert np.abs(points.x_adv - IMAGES[:, np.newaxis]).max() <= 0.1 + 1e-6
    # Both kinds of searches found candidates, and none is idle.
    assert points.candidate.all() and searched.candidate.mean() > 0.9


def occlusion(classifier, x, classes):
    """Fall of the logit when a row of the image becomes black, in numpy alone."""

    def logits(points):
        return np.asarray(classifier(points))[np.arange(len(points)), classes]

    maps = np.zeros(x.shape[:3])
    for row in range(x.shape[1]):
        other = x.copy()
        other[:, row] = 0
        maps[:, row] = (logits(x) - logits(other))[:, None] + 1e-3 * x[:, row].sum(-1)
    return maps


BLACK_BOX = dataclasses.replace(PROTOCOL, explainer=Explainer(occlusion))


def test_a_black_box_is_measured_by_the_searches_without_gradients(tmp_path, monkeypatch):
    monkeypatch.setattr(attacks, "_LONGER_RANDOM", 1)  # for speed
    monkeypatch.setattr(attacks, "_LONGER_LOCAL", 1)
    options = {"protocol": BLACK_BOX, "strong_pgd": False, "accuracy_examples": 0}
    options |= {"num_examples": 2, "batch_size": 2, "output": tmp_path, "num_pictures": 2}
    report = evaluate(MODEL, (IMAGES, LABELS), attack="worst_case", **options)
    assert {search["kind"] for search in report.searches} == {"RandomSearch"}
    assert {search["family"] for search in report.searches} == {"pixel", "block", "smooth"}
    assert [search["criterion"] for search in report.refinements] == ["top_k", "kendall"]
    assert report.counts["attacked"] == report.metrics["kendall"].num_examples == 2
    assert report.counts["no_candidate"] == report.counts["no_map_gradient"] == 0
    assert "gradient_free" in {remark["name"] for remark in report.remarks}
    assert "note: only searches without gradients ran" in summary(report)
    # The figures are those of the black box's own maps.
    for row in ExamplesFile(tmp_path / "examples.csv").rows():
        with np.load(tmp_path / "pictures" / f"{row.index:06d}.npz") as picture:
            points = np.stack([picture["x"], picture["x_adv"]])
        label = LABELS[row.index]
        assert (np.argmax(MODEL(points), -1) == label).all()
        maps = np.abs(occlusion(MODEL, points, np.array([label, label])))
        assert kendall_tau(maps[:1], maps[1:])[0] == pytest.approx(row.kendall, abs=1e-3)
        assert row.kendall < 0.8
    for attack in ("original", "quick"):
        told = f"a map without gradient needs an attack with searches .*Received: attack={attack}"
        with pytest.raises(ValueError, match=told):
            evaluate(MODEL, (IMAGES, LABELS), attack=attack, **options)


def test_the_searches_that_need_no_gradient_are_longer_without_the_others():
    attack = PROTOCOL.attack("worst_case")
    x, y = tf.constant(IMAGES[:1]), tf.constant(LABELS[:1])
    assert for_map(attack, PROTOCOL.explainer, MODEL, x, y) is attack
    longer = for_map(attack, BLACK_BOX.explainer, MODEL, x, y)
    kept = [search for search in attack.searches if isinstance(search, RandomSearch)]
    for before, after in zip(kept, longer.searches, strict=True):
        assert after.count > before.count
        assert dataclasses.replace(after, count=before.count) == before
    for before, after in zip(attack.refinements, longer.refinements, strict=True):
        assert after.count > before.count
    # A search along fixed signs takes no gradient of the map.
    signs = Ifia(PROTOCOL.threat, k=K, score="random")
    mixed = MapAttack("mixed", (signs, dataclasses.replace(signs, score="top_k")))
    assert for_map(mixed, BLACK_BOX.explainer, MODEL, x, y).searches == (signs,)


def test_errors():
    for keep in ((), (("tau", 1),), (("kendall", 0),), (("kendall", 1.5),)):
        with pytest.raises(ValueError, match="keep must be pairs of a criterion and a number"):
            Ranking(Explainer(), keep=keep)
    local = LocalSearch(PROTOCOL.threat, K)
    with pytest.raises(ValueError, match="refinements need a ranking. Received: ranking=None"):
        MapAttack("mine", SEARCHES, refinements=(local,))
    with pytest.raises(ValueError, match="tuple of Ifia or RandomSearch, at least one"):
        MapAttack("mine", (local,))
