"""README and docs/ show what works: every command's flags parse, every block is run or marked."""

import ast
import contextlib
import importlib
import pathlib
import re
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from tests.support.doc_blocks import GENERATED, PAGES, ROOT, Block, blocks, commands

WRITTEN = [page for page in PAGES if page.name not in GENERATED]
BLOCKS = [block for page in WRITTEN for block in blocks(page)]
COMMANDS = sorted(
    {
        (block.page, *command)
        for block in BLOCKS
        for command in commands(block)
        if "--help" not in command
    }
)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


OURS = ("train", "eval", "benchmarks", "examples", "scripts", "rar_tf.cli")


def is_ours(module):
    return any(module == name or module.startswith(f"{name}.") for name in OURS)


@contextlib.contextmanager
def only_flags_of(module):
    """The flags of one program, freshly imported, whatever other tests have imported before.

    Those find their modules and flags as they left them.
    """
    modules = {name: sys.modules.pop(name) for name in list(sys.modules) if is_ours(name)}
    kept = remove_own_flags()
    try:
        importlib.import_module(module)
        with flagsaver.flagsaver():
            yield flags.FLAGS
    finally:
        remove_own_flags()
        for name in [name for name in sys.modules if is_ours(name)]:
            del sys.modules[name]
        sys.modules.update(modules)
        for where, flag in kept:
            flags.FLAGS[flag.name] = flag
            flags.FLAGS.register_flag_by_module(where, flag)


def remove_own_flags():
    """[(module, flag)] of all flags that programs of this project have defined."""
    defined = flags.FLAGS.flags_by_module_dict().items()
    found = [(module, flag) for module, own in defined if is_ours(module) for flag in own]
    for _, flag in found:
        delattr(flags.FLAGS, flag.name)
    return found


def check_flags(module, given):
    """Raises unless the program takes these flags."""
    path = ROOT / f"{module.replace('.', '/')}.py"
    source = path.read_text(encoding="utf-8")
    if "argparse" in source:
        for flag in (word.partition("=")[0] for word in given if word.startswith("--")):
            assert f'"{flag}"' in source, f"{module} has no {flag}"
    else:
        with only_flags_of(module) as values:
            rest = values([module, *given])
            assert rest == [module], f"{module} takes flags only: {rest[1:]}"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_command_parses(command):
    _, program, *words = command
    if program == "make":
        for word in words:
            name, is_value, _ = word.partition("=")
            pattern = rf"^{name} \?=" if is_value else rf"^(\.PHONY:.*\b)?{name}\b.*:"
            assert re.search(pattern, MAKEFILE, re.MULTILINE), f"make has no {word}"
    else:
        check_flags(words[1], words[2:])


@pytest.mark.parametrize(
    ("module", "given"),
    [
        ("train.main", ["--objectve=madry"]),
        ("train.main", ["--max_steps=many"]),
        ("eval.main", ["--protocol=ours"]),
        ("eval.main", ["stray"]),
        ("examples.custom_images", ["--stepps=3"]),
    ],
)
def test_a_command_that_does_not_parse_is_seen(module, given):
    with pytest.raises((flags.Error, AssertionError)):
        check_flags(module, given)


def run_by_a_test(block: Block) -> bool:
    """Whether a mark names a test that exists, as `tests/x.py::test_y` or a file."""
    file, _, name = block.reason.partition("::")
    path = ROOT / file
    return path.is_file() and (not name or f"def {name}(" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.kind in ("bash", "python")],
    ids=lambda block: f"{block.page}-{block.text[:30]!r}",
)
def test_a_block_of_code_is_run_or_marked(block):
    """`bash` and `python` blocks promise to run: a test does it, or the page says why none does."""
    if block.mark == "run by":
        assert run_by_a_test(block), f"no such test: {block.reason}"
    elif block.mark == "not run here":
        assert len(block.reason) > 5, "say why it is not run"
    else:
        assert block.kind == "bash" and len(commands(block)) == len(
            [line for line in block.text.replace("\\\n", " ").splitlines() if line.strip()]
        ), "a block that is neither run by a test nor made of this project's commands"


def test_blocks_and_commands_of_a_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Text `python -m eval.main\n--k=3` and\n\n    make train  # a comment\n    python -m \\\n"
        "    train.main\n\n<!-- not run here: no docker -->\n```bash\ndocker run x\n```\n\n"
        "```python\nx = 1\n```\n"
    )
    found = blocks(page)
    assert [(block.kind, block.mark, block.reason) for block in found] == [
        ("bash", "not run here", "no docker"), ("python", "", ""), ("indented", "", ""),
        ("inline", "", ""),
    ]  # fmt: skip
    assert [commands(block) for block in found] == [
        [], [], [["make", "train"], ["python", "-m", "train.main"]],
        [["python", "-m", "eval.main", "--k=3"]],
    ]  # fmt: skip


def links(page: pathlib.Path) -> set[str]:
    """Targets of relative links and pictures."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    return {target for target in found if "://" not in target}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    assert not [target for target in links(page) if not (page.parent / target).exists()]


def anchors(page: pathlib.Path) -> set[str]:
    """Anchors that GitHub gives the headings of a page."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in headings}


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_anchors_are_headings(page):
    targets = re.findall(r"\]\(([^)#:]*)#([^)]*)\)", page.read_text(encoding="utf-8"))
    pages = [(page.parent / file if file else page, anchor) for file, anchor in targets]
    assert not [anchor for target, anchor in pages if anchor not in anchors(target)]


def is_name(dotted: str) -> bool:
    """Whether "rar_tf.attack.LpBall" is a module, or an attribute of one."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            value = importlib.import_module(".".join(parts[:end]))
            for part in parts[end:]:
                value = getattr(value, part, None)
            return value is not None
    return False


@pytest.mark.parametrize("page", [*WRITTEN, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_names_and_files_of_a_page_exist(page):
    text = page.read_text(encoding="utf-8")
    names = set(re.findall(r"\brar_tf(?:\.\w+)+", text))
    assert not [name for name in names if not is_name(name)]
    files = re.findall(
        r"`((?:rar_tf|tests|docs|results|benchmarks|examples|scripts)/[\w./-]+)", text
    )
    assert not [file for file in files if not (ROOT / file).exists()]


def test_names_are_looked_up():
    assert is_name("rar_tf.attack.LpBall") and is_name("rar_tf.runs.cost.step_flops")
    assert not is_name("rar_tf.attack.LpBalls") and not is_name("rar_tf.train.loop")


def docstrings():
    """Docstrings of everything in rar_tf."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for path in sorted((ROOT / "rar_tf").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kinds) and (text := ast.get_docstring(node)):
                yield text


def cited_sources(text):
    """Keys, and names with a year, that stand in brackets: {"STY17", "Smilkov 2017"}."""
    cited = set()
    for inside in re.findall(r"\[([^\[\]]*)\]", text):
        for part in re.split(r"[;,] ", " ".join(inside.split())):
            key = re.match(r"([A-Z]{2,4}\d{2}|RAR|FAR|ALIGN)\b", part)
            cited |= {key[1]} if key else set()
        name, year = re.match(r"[A-Z][a-z]+", inside), re.search(r"\b(?:19|20)\d\d\b", inside)
        cited |= {f"{name[0]} {year[0]}"} if name and year else set()
    return cited


def test_every_source_cited_in_a_docstring_is_in_the_references():
    lines = (ROOT / "docs" / "references.md").read_text(encoding="utf-8").splitlines()
    known = [line.split("|")[1] for line in lines if line.startswith("| [")]
    cited = set().union(*map(cited_sources, docstrings()))
    assert {"RAR", "FAR", "STY17", "DL92", "Smilkov 2017"} <= cited
    for source in cited:
        assert any(all(word in key for word in source.split()) for key in known), source


def test_sources_in_brackets_are_recognized():
    text = "[RAR Prop. 2; DL92, RD18 at q = 2] [B, H] [0, 1] [Ab et al.\n2017, 3]"
    assert cited_sources(text) == {"RAR", "DL92", "RD18", "Ab 2017"}
