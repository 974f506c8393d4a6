"""`python -m train.export`, as a person runs it."""

import json

import pytest
import tensorflow as tf

from tests.support import tiny_classifier as tiny


def test_it_exports_what_the_flags_say(cli, tmp_path):
    tiny.classifier().save(tmp_path / "model.keras")
    done = cli(
        "train.export",
        f"--model={tmp_path}/model.keras",
        f"--output={tmp_path}/served/1",
        "--steps=3",
        "--rule=gauss_legendre",
        "--nodes_per_pass=2",
        "--images_per_pass=5",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"export: {tmp_path}/served/1; next: docker run")
    assert f"-v {tmp_path}/served:/models/served -e MODEL_NAME=served" in done.stdout
    card = json.loads((tmp_path / "served/1/card.json").read_text())
    assert card["attribution"] == {
        "method": "integrated_gradients",
        "steps": 3,
        "rule": "gauss_legendre",
        "nodes_per_pass": 2,
        "images_per_pass": 5,
        "baseline": 0.0,
    }
    assert "attribute" in tf.saved_model.load(tmp_path / "served/1").signatures


@pytest.mark.slow
def test_a_mistake_is_one_line_and_status_1(cli, tmp_path):
    done = cli("train.export", f"--model={tmp_path}/none.keras", f"--output={tmp_path}/1")
    assert done.returncode == 1 and not (tmp_path / "1").exists()
    assert done.stderr.splitlines()[-1].startswith("error: model must be a .keras file")
