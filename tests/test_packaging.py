"""pyproject.toml and requirements.txt against the imports and against each other."""

import ast
import pathlib
import re
import sys
import tomllib

from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {"absl": "absl-py", "PIL": "pillow"}
# What TensorFlow and TFDS import without bringing it.
NOT_IMPORTED_HERE = {"importlib-resources", "tensorboard"}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_distributions() -> set[str]:
    names = set()
    for path in (ROOT / "rar_tf").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module.split(".")[0])
    names -= sys.stdlib_module_names | {"rar_tf"}
    return {normalized(DISTRIBUTIONS.get(name, name)) for name in names}


def declared(requirements: list[str]) -> dict[str, Requirement]:
    return {normalized(text.name): text for text in map(Requirement, requirements)}


def pins() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(row) == 2 for row in rows), "requirements.txt holds NAME==VERSION alone"
    names = [normalized(name) for name, _ in rows]
    assert sorted(names) == sorted(set(names)), "pinned twice"
    return {normalized(name): version for name, version in rows}


def test_what_the_library_imports_is_declared_and_nothing_else():
    assert imported_distributions() == set(declared(PROJECT["dependencies"])) - NOT_IMPORTED_HERE


def test_pins_are_inside_the_declared_ranges():
    everything = PROJECT["dependencies"] + sum(PROJECT["optional-dependencies"].values(), [])
    for name, requirement in declared(everything).items():
        assert requirement.specifier.contains(pins()[name]), f"{requirement}: pinned {pins()[name]}"


def test_version_is_in_one_place():
    assert "version" not in PROJECT and PROJECT["dynamic"] == ["version"]
    version = re.compile(r"version\s*[=:]\s*[\"']?\d+\.\d+\.\d")
    for name in ("CITATION.cff", "Makefile"):
        text = (ROOT / name).read_text(encoding="utf-8").replace("cff-version: 1.2.0", "")
        assert not version.search(text), name
    assert "version" not in (ROOT / "MODULE.bazel").read_text().split("module(")[1].split(")")[0]
