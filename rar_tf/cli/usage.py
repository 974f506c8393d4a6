"""Text of --help: flags by topic, in the order of their definition."""

import re
import shutil
import textwrap

from absl import flags

FLAGS = flags.FLAGS
_COLUMN = 30
_topics: list[tuple[str, frozenset[str]]] = []


def flag_topic(title: str) -> None:
    """Starts a topic: the flags defined from here on, up to the next call, belong to it."""
    _topics.append((title, frozenset(FLAGS)))


def text(description: str) -> str:
    """Text of --help: the description, then the flags by topic."""
    width = min(shutil.get_terminal_size().columns, 100)
    parts = [description.strip()]
    for title, topic_flags in by_topic().items():
        parts.append("\n".join([f"{title}:", *(_line(flag, width) for flag in topic_flags)]))
    parts.append(
        "Output:\n"
        + _entry("--quiet", "Print only warnings, errors and the closing line.", width)
        + "\n"
        + _entry(
            "-v, --verbosity=N",
            "Verbosity; -1: as --quiet, 1: also details and tracebacks of errors.",
            width,
        )
    )
    return "\n\n".join(parts) + "\n"


def by_topic() -> dict[str, list[flags.Flag]]:
    """Flags by title of their topic."""
    ends = [*(before for _, before in _topics[1:]), frozenset(FLAGS)]
    result: dict[str, list[flags.Flag]] = {}
    for (title, before), end in zip(_topics, ends, strict=True):
        defined = [FLAGS[name] for name in FLAGS if name in end - before]
        result.setdefault(title, []).extend(flag for flag in defined if not _of_absl(flag))
    return result


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
    help_text = re.sub(r"^<[^>]*>: |;\s*repeat this option.*$", "", flag.help, flags=re.DOTALL)
    if flag.default is not None and flag.default is not False:
        help_text += f" Default: {flag.default_as_str.strip(chr(39))}."
    return _entry(name, help_text, width)


def _entry(name: str, help_text: str, width: int) -> str:
    lines = textwrap.wrap(" ".join(help_text.split()), width - _COLUMN)
    first = f"  {name}".ljust(_COLUMN)
    if len(first) > _COLUMN:  # A long name takes a line.
        lines, first = ["", *lines], first.rstrip()
    return "\n".join([(first + lines[0]).rstrip(), *(" " * _COLUMN + part for part in lines[1:])])
