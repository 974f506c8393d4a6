"""One image explained and attacked: figures against the maps themselves, and the command."""

import dataclasses
import functools
import json
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from rar_tf.datasets import read_image
from rar_tf.evaluation import explain
from rar_tf.reporting import explanation_figure
from rar_tf.reporting.explanation_figure import top_k_changes
from tests.support.oracles import slow_map
from tests.support.tiny_evaluation import own_data, own_model, quick_protocol

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model():
    return own_model()


@pytest.fixture(scope="module")
def found(model):
    images, _ = own_data(model)
    return explain(model, images[3], quick_protocol(), "original", index=3)


def test_it_explains_the_prediction(model, found):
    points = np.stack([found.picture.x, found.picture.x_adv])
    probabilities = model(points).numpy()
    label = found.row.label
    assert label == probabilities[0].argmax() == probabilities[1].argmax()
    np.testing.assert_allclose(
        [found.probability, found.probability_after], probabilities[:, label], rtol=1e-4
    )
    assert found.row.index == found.picture.index == 3
    assert np.abs(np.diff(points, axis=0)).max() == pytest.approx(found.row.perturbation)
    assert 0 < found.row.perturbation <= 0.1 + 1e-6


def test_maps_are_those_of_the_protocol(model, found):
    """Right-rule IG of the logit, one node at a time."""
    logits = tf.keras.Model(model.inputs, model.layers[-1].input)
    weights, bias = model.layers[-1].get_weights()
    slow = slow_map(lambda x: logits(x) @ weights + bias, found.picture.x, found.row.label, 6)
    np.testing.assert_allclose(found.picture.before, slow, rtol=0, atol=1e-3)


def test_kept_lost_and_new_add_up(found):
    kept, lost, new = top_k_changes(found)
    assert kept.sum() + lost.sum() == kept.sum() + new.sum() == found.k == 50
    assert not (kept & lost).any() and not (kept & new).any() and not (lost & new).any()
    assert kept.sum() / found.k == found.row.top_k
    assert found.picture.before[kept | lost].min() >= found.picture.before[~(kept | lost)].max()


def test_worst_case_gives_the_metrics_of_what_it_shows(model):
    """Not the worst of each metric over the portfolio, as the rows of an evaluation."""
    worst_case = quick_protocol().attack("worst_case")
    attack = dataclasses.replace(worst_case, searches=worst_case.searches[-3:])
    images, _ = own_data(model)
    found = explain(model, images[4], quick_protocol(), attack)
    assert top_k_changes(found)[0].sum() / found.k == found.row.top_k


def test_figure_says_what_was_lost(found):
    kept, lost, new = (int(part.sum()) for part in top_k_changes(found))
    figure = explanation_figure(found, "cat")
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert f"{100 * lost / found.k:.0f}%" in texts
    legend = next(axis.get_legend() for axis in figure.axes if axis.get_legend())
    assert [t.get_text() for t in legend.get_texts()] == [
        f"{kept} kept", f"{lost} lost", f"{new} new"
    ]  # fmt: skip
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[0] == f"cat, {100 * found.probability:.1f}%"


def test_nothing_found_is_said(model):
    """Whatever the attack tries on this image flips the prediction."""
    images, _ = own_data(model)
    found = explain(model, images[2], quick_protocol(), "original")
    assert not found.row.candidate and np.isnan(found.row.top_k)
    np.testing.assert_array_equal(found.picture.x, found.picture.x_adv)
    figure = explanation_figure(found, "cat")
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert "-" in texts and "Kendall -" in "".join(texts)
    assert "the attack found nothing" in {axis.get_xlabel() for axis in figure.axes}


def test_errors(model):
    with pytest.raises(ValueError, match=r"image must be \[H, W, C\]\. Received: shape \(20, 30\)"):
        explain(model, np.zeros((20, 30)), quick_protocol())
    with pytest.raises(ValueError, match=r"model must take images 4x4x3 as arrays has them"):
        explain(model, np.zeros((4, 4, 3)), quick_protocol())
    with pytest.raises(FileNotFoundError, match=r"image must be an image file.*none\.png"):
        read_image("none.png", (4, 4, 3))
    with pytest.raises(ValueError, match=r"must have 1 or 3 channels\. Received: \(4, 4, 2\)"):
        read_image(ROOT / "docs" / "serving_answer.png", (4, 4, 2))


def test_command_on_a_file_and_on_a_number(cli, model, tmp_path):
    command = functools.partial(cli, "eval.explain", cwd=tmp_path)
    images, labels = own_data(model, 12)
    model.save(tmp_path / "mine.keras")
    Image.fromarray(images[0]).resize((60, 40), Image.Resampling.NEAREST).save(
        tmp_path / "photo.png"
    )
    quick = ("--model=mine.keras", "--ig_steps=2", "--k=40", "--attack=original", "--epsilon=0.02")
    done = command(*quick, "--image=photo.png", "--protocol=far", "--quiet")
    assert done.returncode == 0, done.stderr[-2000:]
    kept = re.search(r"^class (\d) [\d.]+% \(attacked [\d.]+%\): (\d+) of the 40 top pixels kept, "
                     r"Kendall 0\.\d{4}, .*; picture: explanation\.png; next: python -m eval\.main",
                     done.stdout)  # fmt: skip
    assert kept and int(kept[2]) <= 40 and done.stdout.count("\n") == 1
    with Image.open(tmp_path / "explanation.png") as picture:
        assert min(picture.size) > 500
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(12) % 3)
    # The workdir of a run knows its data set, and so what its classes are called.
    preset = {"dataset": "npz:b.npz", "seed": 0}
    names = np.array(["ant", "bee", "cat"])
    np.savez(tmp_path / "b.npz", images=images, labels=np.arange(12) % 3, class_names=names)
    (tmp_path / "preset.json").write_text(json.dumps(preset))
    named = command(*quick, "--image=photo.png", "--quiet")
    assert named.returncode == 0 and named.stdout.startswith(f"{names[int(kept[1])]} ")
    missing = command(*quick, "--dataset=npz:a.npz", "--image=99")
    assert missing.returncode == 1
    assert "error: --image must be in 0 .. 2, the test images of npz:a.npz" in missing.stderr
