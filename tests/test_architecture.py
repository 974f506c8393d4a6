"""The rooms of rar_tf: which edges between them exist, and what no file may hold."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "rar_tf"
SOURCES = sorted(LIBRARY.rglob("*.py"))
# Every edge that exists, and no other; a room imports only rooms above it in this table.
EDGES: dict[str, set[str]] = {
    "papers": set(),
    "datasets": set(),
    "models": set(),
    "attribution": {"models"},
    "attack": {"attribution", "models"},
    "objective": {"attribution"},
    "training": {"attack", "datasets", "models", "objective"},
    "presets": {"attack", "datasets", "models", "objective", "papers", "training"},
    "runs": {"attack", "datasets", "models", "objective", "presets", "training"},
    "evaluation": {"attack", "attribution", "datasets", "models", "papers"},
    "reporting": {"attribution", "evaluation", "papers", "presets"},
    "serving": {"attribution", "datasets", "evaluation", "models", "runs"},
    "cli": {
        "attack",
        "attribution",
        "datasets",
        "evaluation",
        "models",
        "objective",
        "presets",
        "reporting",
        "runs",
        "serving",
        "training",
    },
}
MOST_LINES = 300


def relative(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def parsed(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: pathlib.Path) -> set[str]:
    """Dotted names, `from a import b` as a.b; relative imports are not used in this house."""
    names = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms(names: set[str]) -> set[str]:
    """Rooms of rar_tf that the dotted names lie in; modules of its top folder are no room."""
    inside = {name.split(".")[1] for name in names if name.startswith("rar_tf.")}
    return {name for name in inside if (LIBRARY / name).is_dir()}


def edges() -> dict[str, set[str]]:
    """Rooms that each room imports."""
    result: dict[str, set[str]] = {}
    for path in SOURCES:
        if path.parent != LIBRARY:
            room = path.relative_to(LIBRARY).parts[0]
            result.setdefault(room, set()).update(rooms(imports(path)) - {room})
    return result


def test_the_edges_between_rooms_are_those_of_the_table():
    assert edges() == EDGES


def test_the_table_has_one_direction():
    order = list(EDGES)
    for room, imported in EDGES.items():
        assert all(order.index(name) < order.index(room) for name in imported), room


def test_modules_of_the_top_folder_import_no_room():
    for path in LIBRARY.glob("*.py"):
        if path.name != "__init__.py":
            assert not rooms(imports(path)), relative(path)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_library_stands_alone(path):
    programs = {"train", "eval", "tests", "benchmarks", "examples", "scripts"}
    assert not {name for name in imports(path) if name.split(".")[0] in programs}
    if path.relative_to(LIBRARY).parts[0] != "cli":
        flags = ("absl.flags", "absl.app")
        assert not {name for name in imports(path) if name.startswith(flags)}
    # Unpickling runs code that the file names.
    assert not {name for name in imports(path) if name.split(".")[0] in {"pickle", "dill"}}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_library_neither_asserts_nor_unpickles(path):
    for node in ast.walk(parsed(path)):
        # `python -O` removes assert statements, and what they guard.
        assert not isinstance(node, ast.Assert), f"{relative(path)}:{node.lineno}: assert"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant) and node.value.value is False


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_files_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


INITS = [path for path in SOURCES if path.name == "__init__.py"]


@pytest.mark.parametrize(
    "path",
    [path for path in INITS if path.parent not in (LIBRARY, LIBRARY / "cli")],
    ids=relative,
)
def test_init_only_reexports_names(path):
    docstring, *statements = parsed(path).body
    assert isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)
    *imported, exported = statements
    bound = {
        alias.asname or alias.name
        for node in imported
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert isinstance(exported, ast.Assign) and exported.targets[0].id == "__all__"
    assert set(ast.literal_eval(exported.value)) <= bound | {"PUBLISHED"}
    assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in statements)


def test_every_folder_with_sources_is_a_package():
    folders = {path.parent for path in SOURCES}
    assert not [relative(folder) for folder in folders if not (folder / "__init__.py").is_file()]
