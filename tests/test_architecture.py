"""The house: which folder may import which, and what no file of rar_tf may hold."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "rar_tf"
SOURCES = sorted(LIBRARY.rglob("*.py"))
MAY_IMPORT = {
    "models": set(),
    "datasets": set(),
    "attribution": set(),
    "attack": {"attribution"},
    "objective": {"attack", "attribution", "models"},
    "training": {"objective", "attack", "attribution", "models", "datasets"},
    "evaluation": {"attribution", "attack", "models", "datasets"},
    "serving": {
        "objective",
        "attack",
        "attribution",
        "models",
        "datasets",
        "training",
        "evaluation",
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


def forbidden(folder: str, names: set[str]) -> set[str]:
    """Which of the imported names a source of rar_tf/`folder` may not import."""
    may = MAY_IMPORT[folder] | {folder, "checks", "files", "graphs", "naming", "version"}
    own = {name for name in names if name.split(".")[0] == "rar_tf"}
    return {name for name in own if name == "rar_tf" or name.split(".")[1] not in may}


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("attack", "rar_tf.objective.Objective"),
        ("evaluation", "rar_tf.training.RobustModel"),
        ("training", "rar_tf.evaluation"),
        ("models", "rar_tf.attribution.quadrature"),
        ("objective", "rar_tf"),
    ],
)
def test_the_check_sees_an_import_against_the_direction(folder, name):
    assert forbidden(folder, {name, "numpy", "rar_tf.version.__version__"}) == {name}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_follow_the_direction(path):
    inside = path.relative_to(LIBRARY).parts
    if len(inside) > 1:
        assert inside[0] in MAY_IMPORT, f"{inside[0]}/ is no folder of the house"
        assert not forbidden(inside[0], imports(path))


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_library_stands_alone(path):
    programs = {"cli", "train", "eval", "tests", "benchmarks", "examples", "scripts"}
    assert not {name for name in imports(path) if name.split(".")[0] in programs}
    assert not {name for name in imports(path) if name.startswith(("absl.flags", "absl.app"))}
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


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name == "__init__.py"], ids=relative)
def test_init_only_hands_on_names(path):
    docstring, *statements = parsed(path).body
    assert isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)
    *imported, exported = statements
    assert all(isinstance(node, ast.Import | ast.ImportFrom) for node in imported)
    assert isinstance(exported, ast.Assign) and exported.targets[0].id == "__all__"
    bound = {alias.asname or alias.name for node in imported for alias in node.names}
    assert set(ast.literal_eval(exported.value)) == bound


def test_every_folder_with_sources_is_a_package():
    folders = {path.parent for path in SOURCES}
    assert not [relative(folder) for folder in folders if not (folder / "__init__.py").is_file()]
