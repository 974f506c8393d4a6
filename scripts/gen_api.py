"""Writes docs/api.md and tests/public_api.txt from `rar_tf.__all__` and the docstrings.

    python -m scripts.gen_api

docs/api.md is the reference; tests/public_api.txt has only names and signatures, so that a change
of the public API is a line in a diff. tests/test_public_api.py fails if they are stale.
Signatures are taken from the sources, so that they do not depend on versions of Python.
"""

import ast
import dataclasses
import inspect
import pathlib
import textwrap
import types
from collections.abc import Callable, Iterator
from typing import Any

import rar_tf

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIGNATURES = ROOT / "tests" / "public_api.txt"
REFERENCE = ROOT / "docs" / "api.md"
_WIDTH = 100


@dataclasses.dataclass(frozen=True)
class Entry:
    """A public name such as `rar_tf.attack.LpBall`, with its signature and docstring."""

    name: str
    signature: str
    docstring: str


def entries(module: types.ModuleType = rar_tf) -> Iterator[Entry]:
    """All public names of a package and its subpackages, in order."""
    for name in public_names(module):
        value, full = getattr(module, name), f"{module.__name__}.{name}"
        if isinstance(value, types.ModuleType):
            yield Entry(value.__name__, "package", inspect.getdoc(value) or "")
            yield from entries(value)
        elif inspect.isclass(value) and value.__module__.startswith("rar_tf"):
            yield Entry(full, class_signature(name, value), inspect.getdoc(value) or "")
            yield from methods(full, value)
        elif inspect.isfunction(value):
            node = definition(value)
            yield Entry(full, function_signature(name, node), inspect.getdoc(value) or "")
        else:
            shown = "..." if name == "__version__" else constant(value)
            yield Entry(full, f"{name} = {shown}", "")


def public_names(module: types.ModuleType) -> list[str]:
    """Names in `__all__`; without it the public names that the module defines itself."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    attributes = vars(module).items()
    return sorted(
        name
        for name, value in attributes
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    )


def definition(value: Callable | type) -> Any:
    """Syntax tree of a function or class."""
    return ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]


def function_signature(name: str, node: ast.FunctionDef) -> str:
    """Signature of a function without `self`, wrapped at 100 characters."""
    arguments = node.args
    if arguments.args and arguments.args[0].arg in ("self", "cls"):
        arguments.args = arguments.args[1:]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{name}({ast.unparse(arguments)}){returns}"
    return (
        line
        if len(line) <= _WIDTH
        else "\n".join(textwrap.wrap(line, _WIDTH, subsequent_indent="    "))
    )


def class_signature(name: str, value: type) -> str:
    """Signature of a class: the fields of a dataclass or named tuple, else the constructor."""
    node = definition(value)
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    head = f"class {name}({bases})" if bases else f"class {name}"
    fields = [ast.unparse(part) for part in node.body if isinstance(part, ast.AnnAssign)]
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return f"{head}: {function_signature(name, part)}"
    return "\n    ".join([f"{head}:", *fields]) if fields else head


def methods(full: str, value: type) -> Iterator[Entry]:
    """Public methods and properties that the class defines, and `__call__`."""
    for part in definition(value).body:
        if not isinstance(part, ast.FunctionDef):
            continue
        if part.name.startswith("_") and part.name != "__call__":
            continue
        kinds = {ast.unparse(decorator) for decorator in part.decorator_list}
        line = function_signature(part.name, part)
        for kind in ("property", "classmethod", "staticmethod"):
            if kind in kinds:
                line = f"{kind} {line.replace('()', '', 1) if kind == 'property' else line}"
        yield Entry(f"{full}.{part.name}", line, ast.get_docstring(part) or "")


def constant(value: Any) -> str:
    """Text of a constant: the names of a registry or enumeration, else its kind."""
    if isinstance(value, dict):
        return f"{{{', '.join(map(repr, value))}: ...}}"
    if isinstance(value, tuple | str):
        return repr(value)
    return "a type"  # The text of a type alias depends on the version of Python.


def signatures() -> str:
    """The text of tests/public_api.txt."""
    head = "# Written by `python -m scripts.gen_api`: the public names, and how they are called.\n"
    lines = [f"{entry.name}: {_one_line(entry.signature)}" for entry in entries()]
    return head + "\n".join(lines) + "\n"


def _one_line(signature: str) -> str:
    """The signature in one line, with the fields of a class separated by semicolons."""
    first, *fields = signature.split("\n    ")
    return (
        f"{first} {'; '.join(fields)}" if first.endswith(":") else signature.replace("\n    ", " ")
    )


def reference() -> str:
    """The text of docs/api.md."""
    parts = [
        "# API reference",
        "Written by `python -m scripts.gen_api` from the docstrings; do not edit. What is listed\n"
        'here is public: see "Deprecation" in [CONTRIBUTING.md](../CONTRIBUTING.md). Images are\n'
        "float32 [B, H, W, C] with pixels in [0, 1], losses in nats.",
    ]
    for entry in entries():
        level = "##" if entry.signature == "package" else "###"
        parts.append(f"{level} `{entry.name}`")
        body = [] if entry.signature == "package" else [entry.signature]
        body += [entry.docstring] if entry.docstring else []
        if body:
            text = "\n\n".join(body)
            parts.append(f"```text\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Writes both files."""
    SIGNATURES.write_text(signatures(), encoding="utf-8")
    REFERENCE.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
