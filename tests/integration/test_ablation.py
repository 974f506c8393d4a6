"""benchmarks.ablation: validation images alone, rows that stay, a table and a picture."""

import json

import numpy as np
import pytest

from rar_tf.cli.settings import parse_settings
from rar_tf.models import AUTO
from rar_tf.presets import resolve
from tests.support.paths import ROOT

MODEL = "madry,architecture=small_cnn,init_from=scratch,batch_size=16,max_steps=40"
ROWS = json.loads((ROOT / "results" / "ablation.json").read_text())["rows"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["model"])
def test_the_names_of_measured_rows_still_say_what_was_measured(row):
    """A preset that changes must not leave a row behind that now names other settings."""
    objective, *given = row["model"].split(",")
    preset = resolve(
        "fashion_mnist", objective, seed=row["seed"], **parse_settings("--model", given)
    )
    found = json.loads(preset.to_json())
    for name, value in row["preset"].items():
        expected = pytest.approx(value) if isinstance(value, float) else value
        if name == "precision" and found[name] == AUTO:  # Which one a trial decides.
            continue
        assert found.get(name) == expected, name
    for name in found.keys() - row["preset"].keys():  # settings younger than the row are off
        assert found[name] in (None, "constant"), name


@pytest.mark.slow
def test_rows_are_of_validation_images_and_stay(cli, tmp_path):
    """Dark and bright squares, whose test labels are all wrong: nothing reads them."""
    random = np.random.default_rng(0)
    arrays = {}
    for name, count in (("train", 64), ("validation", 32), ("test", 32)):
        labels = np.arange(count) % 2
        images = random.integers(0, 60, (count, 8, 8)) + 190 * labels[:, None, None]
        arrays[f"{name}_images"] = images.astype("uint8")
        arrays[f"{name}_labels"] = 1 - labels if name == "test" else labels
    np.savez(tmp_path / "mine.npz", **arrays)
    command = ["benchmarks.ablation", f"--dataset=npz:{tmp_path}/mine.npz"]
    command += ["--root=runs", "--output=table", "--num_examples=4"]

    def rows(*models):
        done = cli(*command, *(f"--model={model}" for model in models), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "table.json").read_text())["rows"]

    (first,) = rows(MODEL)
    assert first["accuracies"] == [1.0, 1.0] and first["attacked"] == 4
    assert first["accuracy_examples"] == 32
    again, second = rows(MODEL, f"{MODEL},ema=0.9")
    assert again == first and second["preset"]["ema"] == 0.9
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert [line.split("|")[2].strip() for line in lines[-2:]] == [
        f"`{MODEL}`",
        f"`{MODEL},ema=0.9`",
    ]
    assert f"| {60 * first['minutes']:.0f} | 100.00 | 100.00 | 32 |" in lines[-2]
    assert (tmp_path / "table.png").stat().st_size > 10_000
