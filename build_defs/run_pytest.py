"""Run pytest on the files given as arguments: the main module of every Bazel test."""

import sys

import pytest

if __name__ == "__main__":
    # Bazel's sandbox is read-only, so pytest can keep no cache.
    sys.exit(pytest.main(["-p", "no:cacheprovider", *sys.argv[1:]]))
