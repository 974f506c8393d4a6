"""The BUILD files against the tree: sources, labels and dependencies, read without Bazel.

Independent of scripts/gen_build.py, which writes them: everything is derived here from the files
alone. After a failure, `make build-files` is the mend.
"""

import ast
import dataclasses
import functools
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("rar_tf", "cli", "train", "eval", "tests", "benchmarks", "examples", "scripts")
RULES = {"py_library", "py_binary", "py_test"}
IMPORTED_AS = {"absl": "absl_py", "PIL": "pillow"}


@dataclasses.dataclass(frozen=True)
class Rule:
    """One call of a rule in a BUILD file."""

    kind: str
    label: str
    package: str
    attributes: dict


def absolute(label: str, package: str) -> str:
    """`label` as written in `package`, as //package:name; labels of other repositories as is."""
    if label.startswith("@"):
        return label
    if label.startswith("//"):
        return label if ":" in label else f"{label}:{label.rsplit('/', 1)[-1]}"
    return f"//{package}:{label.removeprefix(':')}"


@functools.cache
def tree() -> frozenset[str]:
    """What git tracks or would track: paths relative to the checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return frozenset(path for path in output.split("\0") if path and (ROOT / path).is_file())


def python_sources() -> set[str]:
    return {path for path in tree() if path.endswith(".py") and path.split("/")[0] in FOLDERS}


def build_files() -> list[str]:
    return sorted(path for path in tree() if pathlib.PurePosixPath(path).name == "BUILD")


def calls(build_file: str) -> list[ast.Call]:
    """The statements of a BUILD file; Starlark's calls are also Python's."""
    module = ast.parse((ROOT / build_file).read_text(encoding="utf-8"), build_file)
    values = [node.value for node in module.body if isinstance(node, ast.Expr)]
    assert len(values) == len(module.body), f"{build_file} holds more than calls"
    assert all(isinstance(value, ast.Call) for value in values), build_file
    return values


@functools.cache
def rules() -> tuple[Rule, ...]:
    found = []
    for build_file in build_files():
        package = build_file.removesuffix("BUILD").removesuffix("/")
        for call in calls(build_file):
            if call.func.id not in RULES:
                assert call.func.id in {"load", "package", "exports_files"}, call.func.id
                continue
            # literal_eval takes no glob() and no variable: lists are explicit.
            attributes = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
            label = f"//{package}:{attributes['name']}"
            found.append(Rule(call.func.id, label, package, attributes))
    return tuple(found)


def sources(rule: Rule) -> list[str]:
    return [f"{rule.package}/{source}" for source in rule.attributes.get("srcs", [])]


def owners() -> dict[str, str]:
    return {source: rule.label for rule in rules() for source in sources(rule)}


def dependencies(rule: Rule) -> set[str]:
    return {absolute(label, rule.package) for label in rule.attributes.get("deps", [])}


def pins() -> set[str]:
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    return {re.sub(r"[-.]", "_", name).lower() for name in re.findall(r"(?m)^([\w.-]+)==", text)}


def label_of(module: str) -> str | None:
    """The label that a dotted import needs; None for the standard library."""
    first = module.split(".")[0]
    if first in FOLDERS:
        path = module.replace(".", "/")
        while path:
            for source in (f"{path}.py", f"{path}/__init__.py"):
                if source in owners():
                    return owners()[source]
            path = path.rpartition("/")[0]
        raise AssertionError(f"{module} is in no target")
    if first in sys.stdlib_module_names:
        return None
    return f"@pypi//{IMPORTED_AS.get(first, first.lower())}"


def needed(source: str, is_test: bool) -> set[str]:
    """Labels that a source needs: its imports; for a test also pytest, conftests and programs."""
    labels: set[str | None] = set()
    for node in ast.walk(ast.parse((ROOT / source).read_text(encoding="utf-8"), source)):
        if isinstance(node, ast.Import):
            labels |= {label_of(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            labels |= {label_of(f"{node.module}.{alias.name}") for alias in node.names}
        elif is_test and isinstance(node, ast.Constant) and isinstance(node.value, str):
            program = node.value
            labels |= {owners().get(program), owners().get(program.replace(".", "/") + ".py")}
    if is_test:
        labels.add("@pypi//pytest")
        folders = pathlib.PurePosixPath(source).parents
        labels |= {owners().get(f"{folder}/conftest.py") for folder in folders}
    return {label for label in labels if label}


def test_every_source_is_in_exactly_one_target():
    listed = [source for rule in rules() for source in sources(rule)]
    assert sorted(listed) == sorted(set(listed)), "listed twice"
    assert set(listed) == python_sources(), "run `make build-files`"


def test_labels_are_unique():
    labels = [rule.label for rule in rules()]
    assert sorted(labels) == sorted(set(labels))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.label)
def test_dependencies_are_the_imports(rule):
    is_test = rule.kind == "py_test"
    expected = set().union(*(needed(source, is_test) for source in sources(rule))) - {rule.label}
    assert dependencies(rule) == expected, "run `make build-files`"


def test_every_dependency_exists():
    known = {rule.label for rule in rules()} | {f"@pypi//{name}" for name in pins()}
    missing = {rule.label: dependencies(rule) - known for rule in rules()}
    assert not {label: labels for label, labels in missing.items() if labels}


def test_dependencies_have_no_cycle():
    waiting = {rule.label: {d for d in dependencies(rule) if d[0] != "@"} for rule in rules()}
    while free := {label for label, labels in waiting.items() if not labels}:
        waiting = {label: labels - free for label, labels in waiting.items() if label not in free}
    assert not waiting


def test_libraries_do_not_depend_on_tests():
    tests = {rule.label for rule in rules() if rule.package.split("/")[0] == "tests"}
    for rule in rules():
        if rule.label not in tests:
            assert not dependencies(rule) & tests, rule.label


def test_data_and_arguments_exist():
    exported = {
        f"//:{name}"
        for call in calls("BUILD")
        for arg in call.args
        for name in ast.literal_eval(arg)
    }
    for rule in rules():
        for item in rule.attributes.get("data", []):
            assert item in exported or f"{rule.package}/{item}" in tree(), (rule.label, item)
        assert rule.attributes.get("args", []) == (sources(rule) if rule.kind == "py_test" else [])


def test_labels_stay_inside_their_package():
    packages = {file.removesuffix("/BUILD") for file in build_files()}
    for rule in rules():
        attributes = rule.attributes
        for item in attributes.get("srcs", []) + attributes.get("data", []):
            if not item.startswith("//"):
                folders = pathlib.PurePosixPath(f"{rule.package}/{item}").parents
                nearest = next(str(folder) for folder in folders if str(folder) in packages)
                assert nearest == rule.package, (rule.label, item)


def test_module_takes_the_pins_of_requirements():
    text = (ROOT / "MODULE.bazel").read_text(encoding="utf-8")
    assert 'hub_name = "pypi"' in text
    assert 'requirements_lock = "//:requirements.txt"' in text
    assert "requirements.txt" in {ast.literal_eval(a)[-1] for c in calls("BUILD") for a in c.args}
