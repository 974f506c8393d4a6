"""`python -m train.main` as a person runs it, on a tiny data set of their own."""

import functools
import json
import pathlib

import keras
import numpy as np
import pytest

from rar_tf.models import PRECISIONS
from rar_tf.presets import setting_names
from rar_tf.runs.outcome import below_chance
from rar_tf.runs.validation_callback import read_metrics

SMALL = (
    "--architecture=small_cnn",
    "--init_from=scratch",
    "--batch_size=8",
    "--max_steps=4",
    "--attack_steps=1",
    "--ig_steps=1",
    "--validate_every=2",
)


@pytest.fixture(scope="module")
def main(cli):
    return functools.partial(cli, "train.main")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "mine.npz"
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = random.integers(0, 100, (60, 12, 10, 3)) + 50 * labels[:, None, None, None]
    np.savez(path, images=images.astype("uint8"), labels=labels)
    return f"--dataset=npz:{path}"


def test_a_run_leaves_what_the_readme_promises_and_can_be_repeated(main, dataset, tmp_path):
    flags = (dataset, "--objective=ig_norm", "--workdir=my run", *SMALL)
    run = main(*flags, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    preset = json.loads(run.stdout[: run.stdout.index("}\n") + 2])
    assert preset["max_steps"] == 4 and preset["epsilon"] == pytest.approx(8 / 255)
    folder = tmp_path / "my run"
    written = json.loads((folder / "preset.json").read_text())
    assert preset.pop("precision") == "auto" and written.pop("precision") in PRECISIONS
    assert written == preset
    assert f"model: {pathlib.Path('my run') / 'model.keras'}" in run.stdout
    assert "next: python -m eval.main --workdir='my run'" in run.stdout
    rows = read_metrics(folder / "metrics.csv")
    assert [row["step"] for row in rows] == [0, 2, 4]
    # Some accuracy of few images after four steps; the closing line says if it is that of chance.
    warning = f"warning: {below_chance(rows[-1])};"
    assert (warning in run.stdout.splitlines()[-1]) == bool(below_chance(rows[-1]))
    assert "validation on" in (folder / "train.log").read_text()
    assert list((folder / "tensorboard").glob("events*"))
    model = keras.models.load_model(folder / "model.keras")
    assert model.input_shape == (None, 12, 10, 3) and model.output_shape == (None, 3)
    again = main(*flags, cwd=tmp_path)
    assert again.returncode == 0 and "already trained" in again.stderr
    other = main(*flags, "--weight=0.5", cwd=tmp_path)
    assert other.returncode == 1
    assert "weight: 1.0 -> 0.5" in other.stderr and "Traceback" not in other.stderr


def test_dry_run_estimates_and_writes_nothing(main, dataset, tmp_path):
    run = main(dataset, "--objective=madry", "--dry_run", *SMALL[:5], cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "s a step" in run.stdout and "GiB peak memory" in run.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--objective=ig_nrom",), "Did you mean 'ig_norm'?"),
        (("--objective=madry", "--weight=1"), "weight does not apply to objective=madry"),
        (("--batch_size=0",), "batch_size must be >= 1. Received: batch_size=0"),
        (("--lr_schedule=piecewise", "--lr_boundaries=2", "--lr_factors=1"), "one value more"),
        (("--epsilon=nan",), "epsilon must be finite"),
        (("--dataset=fashion_mnits",), "Did you mean 'fashion_mnist'?"),
        (("--dataset=npz:none.npz",), "none.npz"),
        (("stray",), "expected flags only"),
    ],
)
def test_errors_are_one_sentence_and_exit_non_zero(main, dataset, tmp_path, flags, message):
    run = main(dataset, *SMALL, "--workdir=run", *flags, cwd=tmp_path)
    assert run.returncode != 0
    assert message in run.stderr + run.stdout
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--seed=-1",), "seed must be >= 0. Received: seed=-1"),
        (("--objective=layer_ig_norm", "--layer=nosuch", "--init_from=natural"),
         "layer must be one of"),
        (("--objective=layer_ig_norm",), "layer"),
        (("--ig_rule=simpson",), "rule must be one of"),
        (("--objective=aat", "--softplus_beta=-1"), "softplus_beta must be > 0 and finite"),
        (("--warmup_steps=-1",), "warmup_steps must be >= 0. Received: warmup_steps=-1"),
        (("--adam_epsilon=-1",), "adam_epsilon must be > 0 and finite"),
        (("--lr_schedule=piecewise", "--lr_boundaries=3,2", "--lr_factors=1,1,1"),
         "lr_boundaries must be >= 1 and ascending"),
        (("--data_dir=/nosuch",), "data_dir must be a folder. Received: --data_dir=/nosuch"),
        (("--manual_dir=/nosuch",), "manual_dir must be a folder"),
        (("--batch_size=1000",), "batch_size must be <= "),
        (("--init_from=natural", "--natural_steps=0"), "natural_steps must be >= 1"),
        (("--keep_checkpoints=0",), "keep_checkpoints must be >= 1"),
    ],
)  # fmt: skip
def test_settings_are_refused_before_a_file_is_written(main, dataset, tmp_path, flags, message):
    run = main(dataset, *SMALL, "--workdir=run", *flags, cwd=tmp_path)
    assert run.returncode == 1
    error = run.stderr[run.stderr.index("error: ") :]
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_help_reads_well(main, tmp_path):
    run = main("--help", cwd=tmp_path)
    assert run.stdout.startswith("Trains an attribution-robust classifier.")
    settings = [
        "--[no]completeness" if name == "completeness" else f"--{name}" for name in setting_names()
    ]
    for flag in (
        *settings,
        "--objective",
        "--schedule",
        "--workdir",
        "--[no]dry_run",
        "--attack_ig_steps",
    ):
        assert flag in run.stdout
