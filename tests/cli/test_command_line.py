"""What every command has in common: help by topic, one-line errors, statuses, the closing line."""

import os
import re
import subprocess
import sys

import pytest
from absl import flags

from rar_tf.cli import usage
from rar_tf.cli.command import parse_numbers
from tests.support.paths import ROOT


def test_help_is_by_topic_and_complete_and_no_failure(cli):
    done = cli("train.main", "--help", env={"COLUMNS": "100"})
    assert done.returncode == 0 and done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 100
    topics = re.findall(r"^(\w.*):$", done.stdout, re.MULTILINE)
    assert topics[:2] == ["What to train", "Files"] and topics[-1] == "Output"
    assert re.search(r"--seed=N +Seed for initial weights, .*\. Default: 0\.", done.stdout)
    assert re.search(r"--norm=inf\|2 +Norm of the ball: inf or 2\.", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train.main", "--objectve=madry"),
         "Unknown command line flag 'objectve'. Did you mean: objective ? "
         "(--help lists the flags)"),
        (("eval.report", "results"),
         "expected flags only. Received: results. Did you mean --results?"),
        (("eval.report", "--results=nowhere/*"),
         "results must match the report.json of finished evaluations. Received: nowhere/*"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_status_1(cli, arguments, message):
    done = cli(*arguments)
    assert done.returncode == 1
    assert done.stderr == f"error: {message}\n" and done.stdout == ""


def test_details_are_shown_when_asked_for():
    """The traceback by -v=1, TensorFlow's own lines at its import by its variable."""
    done = subprocess.run(
        [sys.executable, "-m", "eval.report", "--results=nowhere/*", "-v=1"],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1 and "Traceback" in done.stderr
    assert "absl::InitializeLog" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: results must match")


def test_topics_hold_the_flags_defined_between_them():
    usage.flag_topic("First of a test")
    flags.DEFINE_integer("test_first", 3, "One.")
    usage.flag_topic("Second of a test")
    flags.DEFINE_enum("test_second", "a", ["a", "b"], "Two.")
    found = usage.by_topic()
    assert [flag.name for flag in found["First of a test"]] == ["test_first"]
    assert [flag.name for flag in found["Second of a test"]] == ["test_second"]


def test_numbers_of_a_list_flag():
    assert parse_numbers(float, "lr_factors", ["1", "0.5"]) == (1.0, 0.5)
    with pytest.raises(ValueError, match=r"--a must be numbers separated by commas\. .*: 1,b"):
        parse_numbers(int, "a", ["1", "b"])
