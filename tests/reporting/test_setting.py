"""Results share a table only where measurement, images and threat are the same."""

import dataclasses
import itertools
import re

import numpy as np
import pytest

from rar_tf.attribution import Explainer
from rar_tf.evaluation import AttackedExample, EvaluationSet, ExamplesFile, protocol
from rar_tf.evaluation.identity import prefix_digests
from rar_tf.reporting import find_results, markdown, publish
from rar_tf.reporting.setting import setting_of, short_names
from rar_tf.reporting.tables import cells, header, settings
from tests.support.tiny_evaluation import plain, report, row

PAPER = "fashion_mnist, test, protocol rar, l_inf 0.1, k 100, integrated gradients 100 nodes right"
IMAGES = np.random.default_rng(0).random((16, 2, 2, 1), np.float32)


def measured(name="mine", changes=None, split="test", prefixes=None, model=None, **values):
    """A report by RAR's protocol for Fashion-MNIST with changes of `evaluation.protocol`."""
    data = {"name": "fashion_mnist", "split": split, "class_names": None}
    if prefixes:
        data |= {"prefixes": prefixes, "num_examples": int(list(prefixes)[-1])}
    settings = plain(protocol("rar", "fashion_mnist", (28, 28, 1), **changes or {}))
    facts = {"name": name, "file": f"/runs/{name}/model.keras", "preset": None} | (model or {})
    values = {"protocol": settings, "model": facts} | values
    return dataclasses.replace(report(name, **values), dataset=data)


def saved(folder, *reports):
    for number, part in enumerate(reports):
        (folder / str(number)).mkdir(parents=True)
        part.save(folder / str(number) / "report.json")
    return f"{folder}/*"


OTHERS = {
    "l_inf 0.05": {"changes": {"epsilon": 0.05}},
    "l_2 0.1": {"changes": {"norm": 2, "epsilon": 0.1}},
    "k 50": {"changes": {"k": 50}},
    "validation": {"split": "validation"},
    "integrated gradients 10 nodes right": {"changes": {"explainer": Explainer(steps=10)}},
    "integrated gradients 100 nodes left": {"changes": {"explainer": Explainer(rule="left")}},
    "integrated gradients 100 nodes right baseline 0.5": {
        "changes": {"explainer": Explainer(baseline=0.5)}
    },
    "input gradient": {"changes": {"explainer": Explainer("input_gradient")}},
    "smooth grad 9 samples sigma 0.2": {
        "changes": {"explainer": Explainer("smooth_grad", 9, sigma=0.2)}
    },
}


@pytest.mark.parametrize("words", OTHERS)
def test_another_measurement_of_one_model_is_another_table(tmp_path, words):
    """The same model and attack under another threat, k, split or map: a table of its own."""
    pattern = saved(tmp_path, measured(), measured(**OTHERS[words], kendalls=(0.5,)))
    first, second = settings(find_results(pattern))
    assert first.title == PAPER and words in second.parts
    differing = [a != b for a, b in zip(first.parts, second.parts, strict=True)]
    assert sum(differing) == 1
    assert first.is_published and not second.is_published
    text = markdown(find_results(pattern))
    tables = re.split("^### ", text, flags=re.MULTILINE)[1:]
    assert [table.splitlines()[0] for table in tables] == [first.title, second.title]
    assert "| published NA |" in tables[0] and "| ig_norm |" in tables[0]
    assert "published" not in tables[1].split("NA, AA:")[0] and "| ig_norm |" not in tables[1]
    assert [line.count("| mine |") for line in tables] == [1, 1]


def test_what_a_map_ignores_does_not_part_results():
    one, other = (Explainer("input_gradient", steps) for steps in (10, 100))
    assert setting_of(measured(changes={"explainer": one})) == setting_of(
        measured(changes={"explainer": other})
    )


def test_every_pair_of_the_settings_differs():
    every = [setting_of(measured(**change)) for change in ({}, *OTHERS.values())]
    assert all(a != b and a.title != b.title for a, b in itertools.combinations(every, 2))
    names = short_names(every[:3])
    assert list(names.values()) == [
        f"fashion_mnist, {t}" for t in ("l_inf 0.1", "l_inf 0.05", "l_2 0.1")
    ]
    assert short_names(every[:1]) == {every[0]: "fashion_mnist"}


def test_rows_have_the_cells_of_the_header(tmp_path):
    results = find_results(saved(tmp_path, measured(), measured(split="validation")))
    for setting, width in zip(settings(results), (15, 11), strict=True):
        assert {len(line) for line in cells(results, setting)} == {len(header(setting))} == {width}


def test_results_of_changed_images_have_a_table_of_their_own(tmp_path):
    """The set of 8 is the beginning of the first 16; in the third the sixth label differs."""
    labels = np.zeros(16, np.int32)
    other_labels = labels.copy()
    other_labels[5] = 1
    sets = ((labels, 16), (labels, 8), (other_labels, 16), (other_labels, 4))
    reports = [
        measured(f"m{i}", prefixes=prefix_digests(EvaluationSet((IMAGES, y), num_examples=n)))
        for i, (y, n) in enumerate(sets)
    ]
    results = find_results(saved(tmp_path, *reports))
    first, second, third, fourth = (result.setting for result in results)
    # The first four images of all are the same: the fourth set fits to the first.
    assert first == second == fourth and third != first
    assert re.search(r", images [0-9a-f]{8}$", first.title) and "images " in third.title
    alone = find_results(saved(tmp_path / "alone", *reports[:2]))
    assert [result.setting.title for result in alone] == [PAPER, PAPER]
    text = markdown(alone)
    assert "differ in the number of images of attack worst_case (16: m0; 8: m1)." in text


def test_results_that_differ_in_seed_or_searches_are_remarked(tmp_path):
    steps = [{"steps": 1}], [{"steps": 2}]
    reports = (
        measured("one", seed=0, searches=steps[0]),
        measured("two", seed=1, searches=steps[0]),
        measured("two", seed=1, attack="original", searches=steps[1]),
    )
    text = markdown(find_results(saved(tmp_path, *reports)))
    assert "These results differ in the seed of random starts (0: one; 1: two)." in text
    assert "searches" not in text.split("NA, AA:")[0]
    other = measured("three", searches=steps[1])
    text = markdown(find_results(saved(tmp_path / "more", *reports, other)))
    assert re.search(r"searches of attack worst_case \(\w{8}: one, two; \w{8}: three\)", text)
    assert "differ in" not in markdown(find_results(saved(tmp_path / "same", reports[0])))


def test_one_line_of_a_table_is_of_one_model(tmp_path):
    """Another attack on another model of the same name, or the same attack twice."""
    weights = [{"weights_sha256": digest, "architecture_sha256": "a"} for digest in "bc"]
    for attacks in (("worst_case", "original"), ("worst_case", "worst_case")):
        reports = [measured(attack=a, model=m) for a, m in zip(attacks, weights, strict=True)]
        folder = tmp_path / "".join(attacks)
        told = f"of one model in {PAPER}. Received: {folder}/0 and {folder}/1, whose weights"
        with pytest.raises(ValueError, match=re.escape(told)):
            find_results(saved(folder, *reports))
    with pytest.raises(ValueError, match="of mine by attack worst_case .*/0 and"):
        find_results(saved(tmp_path / "twice", measured(), measured(seed=1)))
    fine = [measured(attack=a, model=weights[0]) for a in ("worst_case", "original")]
    assert len(find_results(saved(tmp_path / "fine", *fine))) == 2


def test_a_report_without_its_setting_is_named(tmp_path):
    pattern = saved(tmp_path, report("natural", protocol={"name": "rar", "k": 5}))
    with pytest.raises(ValueError, match=r"0/report.json cannot stand in a table: .*'threat'"):
        find_results(pattern)


def test_files_and_cards_name_what_differs(tmp_path):
    pattern = saved(tmp_path / "runs", measured(), measured(changes={"epsilon": 0.05}))
    pixels = np.full((3, 3), 0.5)
    for number in range(2):
        folder = tmp_path / "runs" / str(number)
        ExamplesFile(folder / "examples.csv").append([row(0, 0.2), row(1, 0.6)])
        (folder / "pictures").mkdir()
        picture = AttackedExample(0, *[pixels[..., np.newaxis]] * 2, *[pixels] * 2)
        np.savez_compressed(folder / "pictures" / "000000.npz", **dataclasses.asdict(picture))
    page = publish(pattern, tmp_path / "page").read_text()
    assert {path.name for path in (tmp_path / "page").iterdir()} == {
        "table.md",
        "report.html",
        *(f"figure_{n}_rar_fashion_mnist_l_inf_{e}.png" for n in (1, 2) for e in ("0.1", "0.05")),
    }
    assert f"<h2>{PAPER}</h2>" in page and f"<h2>{PAPER.replace('0.1', '0.05')}</h2>" in page
    assert 'data-model="mine, fashion_mnist, l_inf 0.05"' in page
    publish(f"{tmp_path}/runs/0", tmp_path / "one")
    assert (tmp_path / "one" / "figure_2_rar_fashion_mnist.png").exists()
