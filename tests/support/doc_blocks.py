"""The commands and the code that README and docs/ show."""

import dataclasses
import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "STYLE.md", "results/README.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
GENERATED = {"api.md"}
# A comment before a block says why nobody runs it, or which test does.
_MARK = re.compile(r"<!-- (not run here|run by)[:;]? ?(.*?) ?-->")
_FENCE = re.compile(
    r"(?P<before>(?:<!--[^\n]*-->\n)*)```(?P<kind>\w*)\n(?P<text>.*?)^```", re.M | re.S
)
_INDENTED = re.compile(r"(?:^ {4}\S[^\n]*\n)+", re.M)
_INLINE = re.compile(r"`((?:python -m|make) [^`]+)`")
_COMMAND = re.compile(r"(?:python\s+-m\s+(?:train|eval|benchmarks|examples|scripts)\.\w+|make\b)")


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of a page.

    Attributes:
      page: its file name.
      kind: what stands behind the fence; "indented" and "inline" without one.
      text: what is inside.
      mark: "not run here" or "run by", "" without one.
      reason: what the mark says.
    """

    page: str
    kind: str
    text: str
    mark: str = ""
    reason: str = ""


def blocks(path: pathlib.Path) -> list[Block]:
    """Every fenced and indented block and every command within the text."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        mark = _MARK.search(match["before"]) or ("", "", "")
        found.append(Block(path.name, match["kind"], match["text"], mark[1], mark[2]))
    text = _FENCE.sub("", text)
    found += [Block(path.name, "indented", match[0]) for match in _INDENTED.finditer(text)]
    flowing = re.sub(r"\s*\n\s*", " ", _INDENTED.sub("", text))
    found += [Block(path.name, "inline", match[1]) for match in _INLINE.finditer(flowing)]
    return found


def commands(block: Block) -> list[list[str]]:
    """The words of each command of this project in a block; lines that end in \\ go on.

    Of `--flag=a|b` the first alternative.
    """
    lines = block.text.replace("\\\n", " ").splitlines()
    lines = [re.sub(r"(=\w+)(\|\w+)+", r"\1", line.strip()) for line in lines]
    return [shlex.split(line, comments=True) for line in lines if _COMMAND.match(line)]
