"""Write the tables of README.md, CONTRIBUTING.md and docs/ from results/.

python -m scripts.make_results            # rewrite every marked block
python -m scripts.make_results --check    # write nothing; status 1 when a block is stale
"""

import argparse
import pathlib
import sys

from rar_tf.reporting.blocks import rewrite_pages, stale_pages

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def main() -> None:
    """Exit with status 1 when `--check` finds a stale block."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="Only compare; write nothing.")
    check = parser.parse_args().check
    pages = (stale_pages if check else rewrite_pages)(PAGES, ROOT / "results")
    for page in pages:
        print(f"{page.relative_to(ROOT)}: {'stale, run `make results`' if check else 'rewritten'}")
    sys.exit(1 if check and pages else 0)


if __name__ == "__main__":
    main()
