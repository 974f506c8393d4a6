"""Explain one image and attack its explanation: `python -m eval.explain --help`."""

from rar_tf.cli import explain

if __name__ == "__main__":
    explain.main()
