"""`rar_tf.__all__` and those of its folders are the public API; a change of it is a decision."""

import re

import pytest

from rar_tf import version
from scripts import gen_api

ENTRIES = list(gen_api.entries())
RENEW = "renew it by `make api`, and name the change in CHANGELOG.md (CONTRIBUTING.md, Deprecation)"


def test_names_and_signatures_are_those_committed():
    committed = gen_api.SIGNATURES.read_text(encoding="utf-8").splitlines()
    now = gen_api.signatures().splitlines()
    assert sorted(set(committed) - set(now)) == [] and sorted(set(now) - set(committed)) == [], (
        RENEW
    )
    assert now == committed, RENEW


def test_reference_is_current():
    assert gen_api.REFERENCE.read_text(encoding="utf-8") == gen_api.reference(), "run `make api`"


@pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if " = " not in e.signature], ids=lambda entry: entry.name
)
def test_every_function_and_class_says_what_it_is(entry):
    inherited = entry.name.rsplit(".", 1)[-1]
    hooks = {"call", "compile", "train_step", "test_step", "ascend", "project", "start", "penalty"}
    assert entry.docstring or inherited in hooks


def test_fields_and_arguments_are_read_from_the_sources():
    found = {entry.name: entry.signature for entry in ENTRIES}
    assert found["rar_tf.objective.sizes.l1"] == "l1(attribution: tf.Tensor) -> tf.Tensor"
    assert found["rar_tf.objective.natural"] == "natural() -> Objective"
    assert found["rar_tf.attack.LpBall"].splitlines()[1].strip() == "norm: str | int = 'inf'"
    assert found["rar_tf.runs.Workdir.model"] == "property model -> pathlib.Path"
    assert "rar_tf.attack.threats" not in found


def test_version_is_semantic():
    """[https://semver.org]: MAJOR.MINOR.PATCH, with a pre-release or build at most."""
    number = r"(0|[1-9]\d*)"
    pattern = rf"{number}\.{number}\.{number}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?"
    assert re.fullmatch(pattern, version.__version__)
