"""Default precision on a processor without bfloat16 units, for which oneDNN's AVX2 limit stands."""

import json

import numpy as np
import pytest

from rar_tf.models import PRECISIONS

# oneDNN has no bfloat16 convolution for such a processor: TensorFlow raises AbortedError.
OLD = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
SMALL = (
    *("--architecture=small_cnn", "--init_from=scratch", "--batch_size=8", "--max_steps=30"),
    *("--attack_steps=1", "--ig_steps=1", "--objective=ig_norm"),
)
QUICK = ("--attack=quick", "--ig_steps=4", "--k=20", "--epsilon=0.1", "--num_examples=6")
FAILS = "bfloat16 fails on this processor (could not create a primitive descriptor"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("old")
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = random.integers(0, 100, (60, 12, 12, 3)) + 50 * labels[:, None, None, None]
    np.savez(path / "mine.npz", images=images.astype("uint8"), labels=labels)
    return path


@pytest.fixture(scope="module")
def trained(cli, folder):
    run = cli("train.main", "--dataset=npz:mine.npz", "--workdir=run", *SMALL, cwd=folder, env=OLD)
    assert run.returncode == 0, run.stderr
    return run


def evaluate(cli, folder, *flags, **options):
    flags = ("--workdir=run", "--accuracy_examples=0", "--nostrong_pgd", *QUICK, *flags)
    return cli("eval.main", *flags, cwd=folder, **options)


def precisions(path):
    return {search["precision"] for search in json.loads(path.read_text())["searches"]}


def test_training_falls_back_to_float32_and_says_so_once(trained, folder):
    assert json.loads((folder / "run/preset.json").read_text())["precision"] == "float32"
    assert trained.stderr.count(FAILS) == 1 and "Traceback" not in trained.stderr


def test_an_evaluation_falls_back_too_and_keeps_its_precision_elsewhere(trained, cli, folder):
    del trained
    run = evaluate(cli, folder, "--output=eval", env=OLD)
    assert run.returncode == 0, run.stderr
    assert run.stderr.count(FAILS) == 1
    assert precisions(folder / "eval/settings.json") == {"float32"}
    rows = (folder / "eval/examples.csv").read_text()
    again = evaluate(cli, folder, "--output=eval")  # With bfloat16 units, if this machine has them.
    assert again.returncode == 0, again.stderr
    assert (folder / "eval/examples.csv").read_text() == rows
    assert precisions(folder / "eval/report.json") == {"float32"}


def test_a_precision_that_fails_is_refused_in_one_sentence(trained, cli, folder):
    del trained
    half = "--precision=mixed_bfloat16"
    flags = ("--dataset=npz:mine.npz", "--workdir=other", *SMALL, half)
    runs = [
        cli("train.main", *flags, cwd=folder, env=OLD),
        evaluate(cli, folder, "--output=other_eval", half, env=OLD),
    ]
    for run in runs:
        assert run.returncode == 1
        (line,) = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
        assert "precision must be float32 on this processor, where mixed_bfloat16 fails" in line
        assert "Traceback" not in run.stderr
    assert not (folder / "other").exists() and not (folder / "other_eval").exists()


def test_an_evaluation_in_a_precision_that_fails_here_is_not_continued(trained, cli, folder):
    """An output folder of another machine."""
    del trained
    run = evaluate(cli, folder, "--output=fast", "--precision=float32")
    assert run.returncode == 0, run.stderr
    path = folder / "fast/settings.json"
    settings = json.loads(path.read_text())
    for search in settings["searches"]:
        search["precision"] = PRECISIONS[1]
    path.write_text(json.dumps(settings))
    run = evaluate(cli, folder, "--output=fast", env=OLD)
    assert run.returncode == 1
    assert "holds an evaluation in mixed_bfloat16, which fails on this processor" in run.stderr


def test_a_run_resumes_with_its_precision(trained, cli, folder):
    del trained
    flags = ("--dataset=npz:mine.npz", "--workdir=run", *SMALL)
    again = cli("train.main", *flags, cwd=folder)  # Where a trial may choose bfloat16.
    assert again.returncode == 0, again.stderr
    assert "already trained" in again.stderr
    other = cli("train.main", *flags, "--precision=mixed_bfloat16", cwd=folder, env=OLD)
    assert other.returncode == 1 and "precision: 'float32' -> 'mixed_bfloat16'" in other.stderr
