"""Hostile files: every reader answers each with a result or one sentence, within bounds."""

import re

import pytest


def assert_harmless(cli, count, seed):
    run = cli("tests.support.fuzz", f"--inputs={count}", f"--seed={seed}", timeout=580)
    assert run.returncode == 0, run.stdout + run.stderr
    rows = re.findall(r"^\| [\w.]+ \| (\d+) \| (\d+) \| (\d+) \| 0 \|", run.stdout, re.MULTILINE)
    assert sum(int(tried) for tried, *_ in rows) == count
    assert all(int(tried) == int(loaded) + int(refused) for tried, loaded, refused in rows)
    assert sum(int(refused) for *_, refused in rows) > count / 2
    assert re.search(rf"made to do harm and {count} damaged, 0 with another outcome", run.stdout)
    print(run.stdout)


def test_hostile_files_are_loaded_or_refused_with_a_sentence(cli):
    assert_harmless(cli, 280, seed=0)


@pytest.mark.slow
def test_thousands_of_hostile_files_are_loaded_or_refused_with_a_sentence(cli):
    assert_harmless(cli, 4200, seed=1)


def test_a_reader_that_does_harm_is_seen(cli, tmp_path):
    """The watch itself: a reader that dies, hangs, writes, or raises what it should not."""
    script = tmp_path / "harm.py"
    script.write_text(
        "import json, os, pathlib, signal, time, sys\n"
        "from absl import flags\n"
        "from tests.support import file_formats, fuzz\n"
        "harm = {\n"
        "  'dies': lambda path: os.kill(os.getpid(), signal.SIGSEGV),\n"
        "  'hangs': lambda path: time.sleep(60),\n"
        "  'writes': lambda path: (path.parents[2] / 'escaped').touch(),\n"
        "  'raises': lambda path: {}['a'],\n"
        "  'speaks': lambda path: int('a'),\n"
        "  'takes': lambda path: bytes(10**11),\n"
        "  'reads': lambda path: None,\n"
        "}\n"
        "formats = {n: file_formats.Format('x', lambda: b'x', read) for n, read in harm.items()}\n"
        "file_formats.formats = lambda: formats\n"
        "cases = [(name, 'nothing') for name in formats]\n"
        "for case, outcome, _ in fuzz.outcomes(cases, 1.0, 2.0):\n"
        "  print(case[0], outcome.verdict, outcome.message, sep='|')\n"
    )
    run = cli("harm", cwd=tmp_path)
    found = {line.split("|")[0]: line.split("|")[1] for line in run.stdout.splitlines()}
    assert found == {
        "dies": "killed its process",
        "hangs": "hung",
        "writes": "wrote a file",
        "raises": "raised another error",
        "speaks": "refused with an incomplete message",
        "takes": "raised another error",
        "reads": "loaded",
    }, run.stderr
