"""A gate for continuous integration: fails if a model's explanations are less steady than wanted.

    python -m examples.steadiness_gate new.keras --dataset=npz:holdout.npz --least=0.5
    python -m examples.steadiness_gate new.keras --dataset=npz:holdout.npz --than=old.keras

CO is the mean Kendall rank correlation between the maps of the correctly classified images before
and after the attribution attack: 1 where nothing moves. With --than it is compared image by image
with another model's, of the images that both classify correctly. Exit status 0: steady enough;
1: not; 2: it could not be measured.
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np
import scipy.stats

from rar_tf import datasets, evaluation, models


def kendalls(path: str, data: datasets.ImageData, options) -> dict[int, float]:
    """Image -> Kendall under attack, of the images that the model classifies correctly."""
    with tempfile.TemporaryDirectory() as folder:
        evaluation.evaluate(
            models.load_classifier(path),
            data,
            protocol=evaluation.protocol(
                "rar", options.dataset, data.image_shape, epsilon=options.epsilon
            ),
            num_examples=options.examples,
            accuracy_examples=0,
            strong_pgd=False,
            num_pictures=0,
            output=folder,
        )
        rows = evaluation.ExamplesFile(pathlib.Path(folder, "examples.csv")).rows()
    return {row.index: row.kendall for row in rows if not np.isnan(row.kendall)}


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a .keras file")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--least", type=float, help="CO that the model must reach")
    parser.add_argument("--than", help="a .keras file that the model must not fall behind")
    parser.add_argument("--tolerance", type=float, default=0.01, help="how far it may fall behind")
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--epsilon", type=float, help="radius in pixel units; default: protocol's")
    options = parser.parse_args(arguments)
    if (options.least is None) == (options.than is None):
        parser.error("one of --least and --than must be given")
    try:
        data = datasets.load(options.dataset)
        own = kendalls(options.model, data, options)
        other = kendalls(options.than, data, options) if options.than else None
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return judge(own, other, options.least, options.tolerance)


def judge(own: dict[int, float], other: dict[int, float] | None, least, tolerance) -> int:
    """Says what was found; 0 where it is enough."""
    images = sorted(own if other is None else own.keys() & other.keys())
    if not images:
        print("error: no image to compare", file=sys.stderr)
        return 2
    values = np.array([own[image] for image in images])
    if other is None:
        enough = values.mean() >= least
        print(f"CO {values.mean():.4f} over {len(images)} images, wanted {least}", end=": ")
    else:
        differences = values - [other[image] for image in images]
        fallen = scipy.stats.ttest_1samp(differences, -tolerance, alternative="less").pvalue
        # Behind by more than the tolerance, and that not by chance.
        enough = not (differences.mean() < -tolerance and fallen < 0.05)
        print(f"CO {differences.mean():+.4f} against the other over {len(images)} images", end=": ")
    print("steady enough" if enough else "NOT steady enough")
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
