"""A gate for continuous integration: fails if attribution robustness is too low.

    python -m examples.robustness_gate new.keras --dataset=npz:holdout.npz --least=0.5
    python -m examples.robustness_gate new.keras --dataset=npz:holdout.npz --than=old.keras

CO is the mean Kendall rank correlation between the maps of the correctly classified images before
and after the attribution attack: 1 for unchanged maps. With --than it is compared image by image
with that of another model, on the images that both classify correctly. Exit status 0: robust
enough; 1: not robust enough; 2: not measured, because of an error, or because the evaluation says
that its figures may be better than the truth (missing gradients, randomness, no image attacked).
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np
import scipy.stats

from rar_tf import datasets, evaluation, models


class NotMeasured(Exception):
    """An evaluation whose figures may be better than the truth."""


def kendalls(path: str, data: datasets.ImageData, options: argparse.Namespace) -> dict[int, float]:
    """Kendall under attack by image, for the images that the model classifies correctly.

    Raises:
      NotMeasured: the report is masked, see `Report.is_masked`.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = evaluation.evaluate(
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
    for remark in report.remarks:
        print(f"{path}: {evaluation.Remark(**remark).line}", file=sys.stderr)
    if report.is_masked:
        raise NotMeasured(f"the robustness of {path} was not measured")
    return {row.index: row.kendall for row in rows if not np.isnan(row.kendall)}


def main(arguments: list[str] | None = None) -> int:
    """Compare; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a .keras file")
    parser.add_argument("--dataset", required=True, help="data set, a name as for train.main")
    parser.add_argument("--least", type=float, help="smallest CO that passes")
    parser.add_argument("--than", help="a .keras file to compare with")
    parser.add_argument(
        "--tolerance", type=float, default=0.01, help="largest loss of CO that passes"
    )
    parser.add_argument("--examples", type=int, default=100, help="number of images")
    parser.add_argument(
        "--epsilon", type=float, help="radius in pixel units; default: of the protocol"
    )
    options = parser.parse_args(arguments)
    if (options.least is None) == (options.than is None):
        parser.error("one of --least and --than must be given")
    try:
        data = datasets.load(options.dataset)
        scores = kendalls(options.model, data, options)
        other = kendalls(options.than, data, options) if options.than else None
    except (NotMeasured, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return judge(scores, other, options.least, options.tolerance)


def judge(
    scores: dict[int, float],
    other: dict[int, float] | None,
    least: float | None,
    tolerance: float,
) -> int:
    """Print the comparison; returns 0 if the model is robust enough, else 1."""
    images = sorted(scores if other is None else scores.keys() & other.keys())
    if not images:
        print("error: no image to compare", file=sys.stderr)
        return 2
    values = np.array([scores[image] for image in images])
    if other is None:
        enough = values.mean() >= least
        print(f"CO {values.mean():.4f} over {len(images)} images, required {least}", end=": ")
    else:
        differences = values - [other[image] for image in images]
        p_value = scipy.stats.ttest_1samp(differences, -tolerance, alternative="less").pvalue
        # Not robust enough only if the loss significantly exceeds the tolerance.
        enough = not (differences.mean() < -tolerance and p_value < 0.05)
        print(
            f"CO {differences.mean():+.4f} against the other model over {len(images)} images",
            end=": ",
        )
    print("robust enough" if enough else "NOT robust enough")
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
