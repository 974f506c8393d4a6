"""Rewrites the BUILD files from the tree and from what its sources import.

Run `make build-files` after adding, moving or deleting a source, or changing its imports;
tests/test_build_files.py fails while they differ.

What becomes a target:
  a folder of rar_tf/, or of helpers elsewhere   one py_library, named like the folder
  a module of rar_tf/ itself                     one py_library each, so that a subpackage can
                                                 depend on one without depending on all
  a script (it has `if __name__ == "__main__"`)  one py_binary each
  a test_*.py                                    one py_test each, run by pytest
"""

import ast
import dataclasses
import pathlib
import re
import subprocess
import sys

ROOTS = ("rar_tf", "cli", "train", "eval", "tests", "benchmarks", "examples", "scripts")
# Distributions that are not imported by their own name.
DISTRIBUTIONS = {"absl": "absl_py", "PIL": "pillow"}
DATA_ROOTS = ("rar_tf/", "tests/")
# Tests that read the checkout itself, which no sandbox holds.
WHOLE_CHECKOUT = re.compile(r"ls-files|README\.md|Makefile|\bBUILD\b|\.sh\b")
HEADER = "# Written by scripts/gen_build.py (`make build-files`). Do not edit.\n"


@dataclasses.dataclass
class Target:
    """One rule of a BUILD file; labels and names as they will be written."""

    rule: str
    package: str
    name: str
    srcs: list[str]
    data: list[str] = dataclasses.field(default_factory=list)
    deps: set[str] = dataclasses.field(default_factory=set)

    @property
    def label(self) -> str:
        """The absolute label, short where Bazel allows it."""
        short = self.package.rsplit("/", 1)[-1] == self.name
        return f"//{self.package}" if short else f"//{self.package}:{self.name}"


def tracked_files(root: pathlib.Path) -> list[str]:
    """Paths under ROOTS that git tracks, or would if they were added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *ROOTS]
    output = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    return sorted({path for path in output.split("\0") if path and (root / path).is_file()})


def is_script(source: str) -> bool:
    """Whether the source runs something when it is the main module."""
    return re.search(r"^if __name__ == ['\"]__main__['\"]:", source, re.MULTILINE) is not None


def layout(root: pathlib.Path, files: list[str]) -> list[Target]:
    """Every Python source in exactly one target; other files as data of their root's library."""
    targets: dict[tuple[str, str], Target] = {}
    for path in (path for path in files if path.endswith(".py")):
        package, file = path.rsplit("/", 1)
        stem = file.removesuffix(".py")
        rule, name = "py_library", package.rsplit("/", 1)[-1]
        if stem.startswith("test_"):
            rule, name = "py_test", stem
        elif is_script((root / path).read_text(encoding="utf-8")):
            rule, name = "py_binary", stem
        elif package == "rar_tf" and stem != "__init__":
            name = stem
        target = targets.setdefault((package, name), Target(rule, package, name, []))
        target.srcs.append(file)
    for path in (path for path in files if path.startswith(DATA_ROOTS)):
        if not path.endswith((".py", "/BUILD")):
            add_data(path, list(targets.values()))
    return [targets[key] for key in sorted(targets)]


def add_data(path: str, targets: list[Target]) -> None:
    """Gives a file to its package: to the library there, or where there is none to all its rules.

    The package is the nearest folder with rules; a label must not reach past it.
    """
    packages = {target.package for target in targets}
    folders = [str(folder) for folder in pathlib.PurePosixPath(path).parents]
    package = next(folder for folder in folders if folder in packages)
    inside = [target for target in targets if target.package == package]
    name = package.rsplit("/", 1)[-1]
    for target in [target for target in inside if target.name == name] or inside:
        target.data.append(path.removeprefix(f"{package}/"))


def imported_modules(path: str, source: str) -> set[str]:
    """Dotted names that the source imports; `from a import b` gives a.b, which may be a's name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source, path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(
                    f"{path}:{node.lineno}: expected an absolute import, came relative"
                )
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def resolve(module: str, owners: dict[str, str], pins: set[str]) -> str | None:
    """The label that holds a module; None for the standard library.

    Raises:
      ValueError: if neither the tree nor requirements.txt has the module.
    """
    parts = module.split(".")
    if parts[0] in ROOTS:
        for end in range(len(parts), 0, -1):
            stem = "/".join(parts[:end])
            for path in (f"{stem}.py", f"{stem}/__init__.py"):
                if path in owners:
                    return owners[path]
        raise ValueError(f"no source in the tree holds {module}")
    if parts[0] in sys.stdlib_module_names:
        return None
    distribution = DISTRIBUTIONS.get(parts[0], parts[0].lower().replace("-", "_"))
    if distribution not in pins:
        raise ValueError(f"{distribution}, imported as {parts[0]}, is not in requirements.txt")
    return f"@pypi//{distribution}"


def pinned_distributions(root: pathlib.Path) -> set[str]:
    """Names in requirements.txt, as rules_python writes them."""
    text = (root / "requirements.txt").read_text(encoding="utf-8")
    names = re.findall(r"^([A-Za-z0-9_.-]+)==", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "_", name).lower() for name in names}


def named_sources(source: str, owners: dict[str, str]) -> set[str]:
    """Labels of the sources that a test runs as programs: "train.main", "examples/serve.py"."""
    constants = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    texts = {node.value for node in constants if isinstance(node.value, str)}
    paths = {text.replace(".", "/") + ".py" for text in texts} | texts
    return {owners[path] for path in paths if path in owners}


def link(root: pathlib.Path, targets: list[Target]) -> None:
    """Fills in each target's deps from its imports and, for tests, pytest and what it collects."""
    pins = pinned_distributions(root)
    owners = {f"{target.package}/{src}": target.label for target in targets for src in target.srcs}
    for target in targets:
        for src in target.srcs:
            path = f"{target.package}/{src}"
            source = (root / path).read_text(encoding="utf-8")
            labels = {resolve(module, owners, pins) for module in imported_modules(path, source)}
            target.deps.update(label for label in labels if label)
            if target.rule == "py_test":
                conftests = (
                    f"{folder}/conftest.py" for folder in pathlib.PurePosixPath(path).parents
                )
                target.deps.update(owners[conftest] for conftest in conftests if conftest in owners)
                target.deps.update(named_sources(source, owners) | {"@pypi//pytest"})
        target.deps.discard(target.label)


def strings(name: str, values: list[str]) -> str:
    """One list attribute; empty lists are left out."""
    if not values:
        return ""
    if len(values) == 1:
        return f'    {name} = ["{values[0]}"],\n'
    return f"    {name} = [\n" + "".join(f'        "{value}",\n' for value in values) + "    ],\n"


def render_target(root: pathlib.Path, target: Target) -> str:
    """One rule, attributes in buildifier's order."""
    lines = f'\n{target.rule}(\n    name = "{target.name}",\n'
    if target.rule == "py_test":
        lines += '    size = "medium",\n'
    elif target.package.split("/")[0] == "tests":
        lines += "    testonly = True,\n"
    lines += strings("srcs", sorted(target.srcs))
    if target.rule == "py_test":
        lines += strings("args", [f"{target.package}/{target.srcs[0]}"])
    configuration = ["//:pyproject.toml"] if target.rule == "py_test" else []
    lines += strings("data", configuration + target.data)
    if target.rule == "py_test":
        lines += '    main_module = "pytest",\n'
        source = (root / target.package / target.srcs[0]).read_text(encoding="utf-8")
        if WHOLE_CHECKOUT.search(source):
            lines += strings("tags", ["local", "manual"])
    # buildifier sorts labels of this repository before those of others.
    lines += strings("deps", sorted(target.deps, key=lambda label: (label[0] == "@", label)))
    return lines + ")\n"


def render(root: pathlib.Path, targets: list[Target]) -> str:
    """One BUILD file."""
    rules = ", ".join(f'"{rule}"' for rule in sorted({target.rule for target in targets}))
    head = f'{HEADER}\nload("@rules_python//python:defs.bzl", {rules})\n'
    head += '\npackage(default_visibility = ["//visibility:public"])\n'
    return head + "".join(render_target(root, target) for target in targets)


def main() -> None:
    """Writes each package's BUILD file and removes those of packages that are gone."""
    root = pathlib.Path(__file__).resolve().parent.parent
    files = tracked_files(root)
    targets = layout(root, files)
    link(root, targets)
    packages = {target.package for target in targets}
    for package in sorted(packages):
        text = render(root, [target for target in targets if target.package == package])
        (root / package / "BUILD").write_text(text, encoding="utf-8")
    for path in files:
        if path.endswith("/BUILD") and path.removesuffix("/BUILD") not in packages:
            (root / path).unlink()


if __name__ == "__main__":
    main()
