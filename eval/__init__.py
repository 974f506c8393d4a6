"""Command-line entry points of evaluation: `python -m eval.main`, `python -m eval.report`."""
