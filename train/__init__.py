"""Command-line entry points of training: `python -m train.main`."""
