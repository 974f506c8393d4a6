"""The text of --help: flags by topic, in the order in which they are defined."""

import re
import shutil
import textwrap

from absl import flags

FLAGS = flags.FLAGS
_COLUMN = 30
_topics: list[tuple[str, frozenset[str]]] = []


def topic(title: str) -> None:
    """Flags that are defined from here on, up to the next call, belong to this topic."""
    _topics.append((title, frozenset(FLAGS)))


def text(description: str) -> str:
    """Text of --help: the description, then every flag of its topics."""
    width = min(shutil.get_terminal_size().columns, 100)
    parts = [description.strip()]
    for title, own in by_topic().items():
        parts.append("\n".join([f"{title}:", *(_line(flag, width) for flag in own)]))
    parts.append(
        "Output:\n"
        + _entry("--quiet", "Only warnings, errors and the closing line.", width)
        + "\n"
        + _entry("-v, --verbosity=N", "-1: as --quiet; 1: details, tracebacks of errors.", width)
    )
    return "\n\n".join(parts) + "\n"


def by_topic() -> dict[str, list[flags.Flag]]:
    """Flags by title."""
    ends = [*(before for _, before in _topics[1:]), frozenset(FLAGS)]
    found: dict[str, list[flags.Flag]] = {}
    for (title, before), end in zip(_topics, ends, strict=True):
        own = [FLAGS[name] for name in FLAGS if name in end - before]
        own = [flag for flag in own if not _of_absl(flag)]
        found.setdefault(title, []).extend(own)
    return found


def _of_absl(flag: flags.Flag) -> bool:
    return FLAGS.find_module_defining_flag(flag.name).startswith("absl.")


def _line(flag: flags.Flag, width: int) -> str:
    kind = flag.flag_type()
    if kind == "bool":
        name = f"--[no]{flag.name}"
    elif "enum" in kind:
        name = f"--{flag.name}={'|'.join(map(str, flag.parser.enum_values))}"
    else:
        word = {"int": "N", "float": "X"}.get(kind, "A,B,..." if "list" in kind else "TEXT")
        name = f"--{flag.name}={word}"
    explained = re.sub(r"^<[^>]*>: |;\s*repeat this option.*$", "", flag.help, flags=re.DOTALL)
    if flag.default is not None and flag.default is not False:
        explained += f" Default: {flag.default_as_str.strip(chr(39))}."
    return _entry(name, explained, width)


def _entry(name: str, explained: str, width: int) -> str:
    lines = textwrap.wrap(" ".join(explained.split()), width - _COLUMN)
    first = f"  {name}".ljust(_COLUMN)
    if len(first) > _COLUMN:  # A long name stands alone.
        lines, first = ["", *lines], first.rstrip()
    return "\n".join([(first + lines[0]).rstrip(), *(" " * _COLUMN + part for part in lines[1:])])
