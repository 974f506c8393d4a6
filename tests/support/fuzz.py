"""How our readers take hostile files: made to do harm, and damaged at random.

    python -m tests.support.fuzz --inputs=2000 --seed=0

Every reader runs in a process of its own, under a limit of memory and of time, so that whatever an
input does to it is seen. Prints the counts and what a user would read, as Markdown; exits 1 if any
input got anything but a result or a complete message, executed anything, wrote a file elsewhere,
took longer than --seconds or more memory than --gigabytes.
"""

import json
import os
import pathlib
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import IO

import tensorflow as tf  # noqa: F401  Imported, not used, before the children fork.
from absl import app, flags

import rar_tf.datasets
import rar_tf.models
import rar_tf.serving
import rar_tf.training  # noqa: F401
from tests.support import file_formats, hostile

FLAGS = flags.FLAGS
Case = tuple[str, str]
Record = tuple[Case, hostile.Outcome, float]

flags.DEFINE_integer("inputs", 2000, "How many files are damaged at random.")
flags.DEFINE_integer("seed", 0, "Of the damage.")
flags.DEFINE_float("seconds", 60.0, "A reader may take.")
flags.DEFINE_float("gigabytes", 4.0, "A reader may take, beyond what it starts with.")


def damaged_inputs(count: int, seed: int) -> list[Case]:
    """(format, what): each format undamaged, then `count` damaged ones, the formats in turn."""
    names = sorted(file_formats.formats())
    damaged = [(names[i % len(names)], f"damage {seed}-{i}") for i in range(count)]
    return [(name, "nothing") for name in names] + damaged


def content_of(name: str, what: str, folder: pathlib.Path, whole: dict[str, bytes]) -> bytes:
    """The file that is to be read."""
    if name not in whole:
        whole[name] = file_formats.formats()[name].whole()
    content = whole[name]
    if what == "nothing":
        return content
    if not what.startswith("damage "):
        return hostile.crafted(folder)[name, what]()
    generator = random.Random(what)
    zipped = content.startswith(b"PK")
    if zipped and generator.random() < 0.5:
        return hostile.damaged_inside(content, generator)
    return hostile.damaged(content, generator)


def work(inputs: Iterable[Case], pipe: IO[str], gigabytes: float) -> None:
    """In a child: reads one input after the other and reports each, before and after."""
    most = int(gigabytes * 1e9) + virtual_bytes()
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    formats, whole = file_formats.formats(), dict[str, bytes]()
    for name, what in inputs:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="fuzz-"))
        try:
            content = content_of(name, what, folder, whole)
            pipe.write("start\n")
            pipe.flush()
            outcome = hostile.read(formats[name], content, folder)
        finally:
            shutil.rmtree(folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        pipe.write(json.dumps([*outcome, peak]) + "\n")
        pipe.flush()


def virtual_bytes() -> int:
    """Address space of this process, now (Linux)."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def outcomes(inputs: Iterable[Case], seconds: float, gigabytes: float) -> Iterator[Record]:
    """Yields (input, outcome, peak GB so far); a child that dies or hangs is an outcome too."""
    left = list(inputs)
    while left:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # HDF5 and libpng talk
            status = 1
            try:
                with os.fdopen(writer, "w") as pipe:
                    work(left, pipe, gigabytes)
                status = 0
            finally:
                os._exit(status)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            for line in lines(pipe, seconds):
                outcome = json.loads(line)
                yield left.pop(0), hostile.Outcome(*outcome[:3]), outcome[3]
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if left:
            exitcode = os.waitstatus_to_exitcode(status)
            verdict = "hung" if exitcode == -signal.SIGKILL else "killed its process"
            yield left.pop(0), hostile.Outcome(verdict, f"status {exitcode}", seconds), 0.0


def lines(pipe: IO[str], seconds: float) -> Iterator[str]:
    """Lines of the pipe but "start"; ends with the pipe, or `seconds` after a silent "start"."""
    started = None
    while True:
        limit = None if started is None else max(0.0, started + seconds - time.monotonic())
        if not select.select([pipe], [], [], limit)[0]:
            return
        line = pipe.readline()
        if not line:
            return
        started = time.monotonic() if line == "start\n" else None
        if started is None:
            yield line


def table(records: list[Record]) -> str:
    """The counts of damaged inputs by format, then the crafted ones line by line."""
    rows = ["| file | damaged | loaded | refused | anything else | slowest, s |"]
    rows.append("|---|---|---|---|---|---|")
    damaged = [item for item in records if item[0][1].startswith("damage ")]
    for name in sorted({item[0][0] for item in damaged}):
        of_format = [outcome for (kind, _), outcome, _ in damaged if kind == name]
        counts = Counter(outcome.verdict for outcome in of_format)
        good = counts["loaded"], counts["refused"]
        slowest = max(outcome.seconds for outcome in of_format)
        rows.append(
            f"| {name} | {len(of_format)} | {good[0]} | {good[1]} | {len(of_format) - sum(good)} "
            f"| {slowest:.1f} |"
        )
    rows += ["", "| file | made to | outcome | s | what the user sees |", "|---|---|---|---|---|"]
    for (name, what), outcome, _ in records:
        if what != "nothing" and not what.startswith("damage "):
            message = " ".join(outcome.message.split()).replace("|", "\\|")[:160]
            rows.append(
                f"| {name} | {what} | {outcome.verdict} | {outcome.seconds:.1f} | {message} |"
            )
    return "\n".join(rows)


def is_bad(case: Case, outcome: hostile.Outcome) -> bool:
    """Whether an input got what none should get."""
    name, what = case
    if what == "nothing" and file_formats.formats()[name].intact:
        return outcome.verdict != "loaded"
    return outcome.verdict not in ("loaded", "refused")


def main(argv: list[str]) -> None:
    """Exit status 1 where an input did anything but load or be refused."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    crafted = list(hostile.crafted(pathlib.Path()))
    inputs = crafted + damaged_inputs(FLAGS.inputs, FLAGS.seed)
    records = list(outcomes(inputs, FLAGS.seconds, FLAGS.gigabytes))
    print(table(records))
    bad = [item for item in records if is_bad(*item[:2])]
    print(
        f"\n{len(crafted)} made to do harm and {FLAGS.inputs} damaged, {len(bad)} with another "
        f"outcome; at most {max(peak for *_, peak in records):.2f} GB in memory"
    )
    for (name, what), outcome, _ in bad:
        print(f"{name}, {what}: {outcome.verdict}: {outcome.message}")
    sys.exit(bool(bad))


if __name__ == "__main__":
    app.run(main)
