"""Folders that tests read."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
TESTDATA = TESTS / "testdata"
