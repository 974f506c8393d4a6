"""Figures of [RAR]: one image under attack by model, and box plots of the metrics."""

import pathlib
import zipfile

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from rar_tf.evaluation.examples import AttackedExample, ExampleMetrics

_COLUMNS = ("image", "perturbed image", "map", "map after the attack")
_CLIP = 99.0  # percentile of the clean map that is drawn brightest


def colors_of(picture: AttackedExample) -> tuple[np.ndarray, ...]:
    """Colours, uint8 [H, W, 3], of image, perturbed image and both maps, maps on one scale."""
    top = float(np.percentile(picture.before, _CLIP)) or 1.0
    colormap = matplotlib.colormaps["inferno"]
    maps = [
        colormap(np.clip(part / top, 0, 1))[..., :3] for part in (picture.before, picture.after)
    ]
    images = [
        np.broadcast_to(np.clip(part, 0, 1), (*part.shape[:2], 3))
        for part in (picture.x, picture.x_adv)
    ]
    return tuple(np.round(255 * part).astype(np.uint8) for part in (*images, *maps))


def figure_1(examples: list[tuple[str, AttackedExample, ExampleMetrics]], k: int) -> Figure:
    """[RAR Figure 1]: for each model a row of image, perturbed image, both maps and two metrics.

    Args:
      examples: (model's name, its picture, its row), all of the same image.
      k: number of pixels of the top-k intersection.
    """
    if not examples:
        raise ValueError("figure 1 needs at least one model. Received: none")
    figure = Figure(figsize=(8.4, 2.35 * len(examples) + 0.3), layout="constrained")
    axes = figure.subplots(len(examples), 4, squeeze=False)
    for axis, title in zip(axes[0], _COLUMNS, strict=True):
        axis.set_title(title, fontsize=10)
    for line, (name, picture, row) in zip(axes, examples, strict=True):
        for axis, pixels in zip(line, colors_of(picture), strict=True):
            axis.imshow(pixels, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(name, fontsize=10)
        line[3].set_xlabel(
            f"top-{k} intersection {100 * row.top_k:.1f}%\nKendall {row.kendall:.4f}", fontsize=9
        )
    return figure


def figure_2(approaches: dict[str, list[ExampleMetrics]], k: int) -> Figure:
    """[RAR Figure 2]: box plots of both metrics over images, a box for each approach."""
    if not approaches:
        raise ValueError("figure 2 needs at least one approach. Received: none")
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    for axis, metric, title in zip(
        figure.subplots(1, 2),
        ("top_k", "kendall"),
        (f"top-{k} intersection", "Kendall's tau"),
        strict=True,
    ):
        columns = [np.array([getattr(row, metric) for row in rows]) for rows in approaches.values()]
        values = [column[~np.isnan(column)] for column in columns]
        labels = zip(approaches, values, strict=True)
        axis.boxplot(
            values,
            tick_labels=[f"{name}\n(n={len(part)})" for name, part in labels],
            showmeans=True,
        )
        axis.set_title(title, fontsize=10)
        axis.tick_params(labelsize=8)
        axis.grid(axis="y", alpha=0.3)
    return figure


def load_pictures(folder: pathlib.Path) -> dict[int, AttackedExample]:
    """Read the pictures of an evaluation, by number of the image.

    Raises:
      ValueError: a file is damaged.
    """
    pictures = {}
    for path in sorted((folder / "pictures").glob("*.npz")):
        try:
            with np.load(path, allow_pickle=False) as file:
                parts = {name: file[name] for name in ("x", "x_adv", "before", "after")}
                picture = AttackedExample(int(file["index"]), **parts)
        except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} must be a picture of rar_tf. Received: {error!r}") from error
        pictures[picture.index] = picture
    return pictures
