"""The BUILD files against the sources: their macros run in Python, without Bazel.

A BUILD file is also Python: `exec`, with stand-ins for the rules, gives the targets that Bazel
would define.
"""

import ast
import graphlib
import pathlib
import re
import subprocess
import sys
import tomllib
import types

ROOT = pathlib.Path(__file__).resolve().parent.parent
MACROS = (ROOT / "build_defs" / "folders.bzl").read_text(encoding="utf-8")
# Distributions that are not imported by their own name.
DISTRIBUTIONS = {"PIL": "pillow", "absl": "absl_py", "tensorflow_serving": "tensorflow_serving_api"}
PROGRAM = re.compile(r"[\"'](\w+)\.(\w+)[\"']")


def absolute(label: str, package: str) -> str:
    """The label as //package:name; labels of distributions stay as they are."""
    if label.startswith("//"):
        return label if ":" in label else f"{label}:{label.rpartition('/')[2]}"
    return label if label.startswith("@") else f"//{package}:{label.removeprefix(':')}"


def load_build_file(folder: pathlib.Path, targets: dict[str, dict]) -> dict:
    """Adds the folder's targets by label, `srcs`, `data` and `deps` absolute; returns the names."""
    package = "" if folder == ROOT else str(folder.relative_to(ROOT))

    def glob(include, exclude=(), **_):
        excluded = {path for pattern in exclude for path in folder.glob(pattern)}
        paths = {path for pattern in include for path in folder.glob(pattern)} - excluded
        return sorted(str(path.relative_to(folder)) for path in paths if path.is_file())

    def rule(name, **attributes):
        for key in ("srcs", "data", "deps"):
            attributes[key] = [absolute(label, package) for label in attributes.get(key, [])]
        label = absolute(name, package)
        assert label not in targets, f"{label} is defined twice"
        targets[label] = attributes

    native = types.SimpleNamespace(glob=glob, package_name=lambda: package)
    names = {"glob": glob, "native": native, "exports_files": lambda files: None}
    names |= dict.fromkeys(("load", "package"), lambda *_, **__: None)
    names |= dict.fromkeys(("filegroup", "py_binary", "py_library", "py_test"), rule)
    exec(MACROS, names)
    exec((folder / "BUILD").read_text(encoding="utf-8"), names)
    return names


def tracked(pattern: str) -> list[pathlib.Path]:
    """Files that git tracks, or would if they were added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", pattern]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in output.split("\0") if name and (ROOT / name).is_file()]


TARGETS: dict[str, dict] = {}
NAMES = [load_build_file(path.parent, TARGETS) for path in tracked("*BUILD")]
ROOMS = [label for label in TARGETS if re.fullmatch(r"//rar_tf/(\w+):\1", label)]
PINS = re.findall(r"(?m)^([\w.-]+)==", (ROOT / "requirements.txt").read_text(encoding="utf-8"))


def path_of(label: str) -> pathlib.Path:
    return ROOT / label.removeprefix("//").replace(":", "/").removeprefix("/")


def closure(label: str) -> set[str]:
    """The label and everything it depends on."""
    labels: set[str] = set()
    waiting = [label]
    while waiting:
        if (current := waiting.pop()) not in labels:
            labels.add(current)
            waiting += TARGETS.get(current, {}).get("deps", [])
    return labels


def library_of(module: str) -> str | None:
    """The label that an import needs; None for the standard library."""
    parts = module.split(".")
    if parts[0] in sys.stdlib_module_names:
        return None
    if not (ROOT / parts[0]).is_dir():
        return f"@pypi//{DISTRIBUTIONS.get(parts[0], parts[0])}"
    while not ((path := ROOT.joinpath(*parts)) / "BUILD").is_file():
        parts.pop()
    label = absolute(f"//{path.relative_to(ROOT)}", "")
    return "//rar_tf:base" if label == "//rar_tf:rar_tf" else label


def needed(label: str, *, programs: bool) -> set[str]:
    """Labels that a target's sources import or, with `programs`, start as `python -m MODULE`."""
    modules: set[str] = set()
    for path in (path_of(source) for source in TARGETS[label]["srcs"] if source.endswith(".py")):
        text = path.read_text(encoding="utf-8")
        if programs:
            pairs = PROGRAM.findall(text)
            modules |= {f"{a}.{b}" for a, b in pairs if (ROOT / a / f"{b}.py").is_file()}
        for node in ast.walk(ast.parse(text, str(path))):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {library for library in map(library_of, modules) if library}


def test_every_source_is_in_a_target():
    covered = {path_of(source) for target in TARGETS.values() for source in target["srcs"]}
    assert not set(tracked("*.py")) - covered


def test_every_label_resolves():
    for label, target in TARGETS.items():
        for other in target["srcs"] + target["data"]:
            assert other in TARGETS or path_of(other).is_file(), (label, other)
        assert not {d for d in target["deps"] if d[0] != "@"} - TARGETS.keys(), label


def test_dependencies_hold_every_import():
    # rar_tf/__init__.py imports a room when it is first used.
    for label in TARGETS.keys() - {"//rar_tf:base"}:
        missing = needed(label, programs=True) - closure(label)
        assert not missing, (label, missing)


def test_rooms_depend_on_what_they_import_and_nothing_else():
    for room in ROOMS:
        dependencies = {label for label in TARGETS[room]["deps"] if label[0] != "@"}
        imported = {label for label in needed(room, programs=False) if label[0] != "@"}
        assert dependencies == imported - {room} | {"//rar_tf:base"}, room


def test_dependencies_have_no_cycle():
    graphlib.TopologicalSorter({label: t["deps"] for label, t in TARGETS.items()}).prepare()


def test_distributions_are_those_of_requirements_and_pyproject():
    distributions = {label for target in TARGETS.values() for label in target["deps"]}
    pins = {f"@pypi//{re.sub('[-.]', '_', name).lower()}" for name in PINS}
    assert not {label for label in distributions if label[0] == "@"} - pins
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.match(r"[\w-]+", line)[0].replace("-", "_") for line in project["dependencies"]}
    assert {f"@pypi//{name}" for name in names} == set(NAMES[0]["RUNTIME"])
