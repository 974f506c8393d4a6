"""Figure of one explanation: the map before and after the attack."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from rar_tf.attribution import top_k_mask
from rar_tf.evaluation.explain import Explanation
from rar_tf.reporting.figures import colors_of

# Distinguishable with red-green colour blindness.
KEPT, LOST, NEW = (0.16, 0.50, 0.86), (0.91, 0.33, 0.05), (0.98, 0.80, 0.25)
_FADED = 0.35


def explanation_figure(explanation: Explanation, name: str) -> Figure:
    """Above: image, map, its k largest pixels. Below: the same after the attack, in three colours.

    Args:
      explanation: result of `evaluation.explain`.
      name: name of the predicted class.
    """
    picture, k = explanation.picture, explanation.k
    x, x_adv, before, after = colors_of(picture)
    kept, lost, new = top_k_changes(explanation)
    change = picture.x_adv - picture.x
    figure = Figure(figsize=(9.2, 5.4), layout="constrained")
    axes = figure.subplots(2, 4)
    probabilities = [
        f"{100 * part:.1f}%" for part in (explanation.probability, explanation.probability_after)
    ]
    for axis, pixels, title in (
        (axes[0, 0], x, f"{name}, {probabilities[0]}"),
        (axes[0, 1], before, "its explanation"),
        (axes[0, 2], _marked(x, (kept | lost, KEPT)), f"the {k} pixels that count most"),
        (axes[1, 0], x_adv, f"still {name}, {probabilities[1]}"),
        (axes[1, 1], after, "explanation after the attack"),
        (axes[1, 2], _marked(x_adv, (kept, KEPT), (new, NEW), (lost, LOST)), "what became of them"),
        (axes[1, 3], _amplified(change), f"what was added, {_factor(change):.0f}-fold"),
    ):
        axis.imshow(pixels, interpolation="nearest")
        axis.set_title(title, fontsize=10)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    _text(axes[0, 3], explanation, int(kept.sum()), int(lost.sum()))
    axes[1, 2].legend(
        handles=[
            Patch(color=color, label=f"{count} {word}")
            for color, count, word in (
                (KEPT, kept.sum(), "kept"),
                (LOST, lost.sum(), "lost"),
                (NEW, new.sum(), "new"),
            )
        ],
        loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, fontsize=9, frameon=False,
        handlelength=1.0, columnspacing=1.0,
    )  # fmt: skip
    if not explanation.row.candidate:
        axes[1, 0].set_xlabel("the attack found nothing", fontsize=9)
    return figure


def top_k_changes(explanation: Explanation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks [H, W]: pixels among the k largest of both maps, of the first, of the second."""
    maps = (explanation.picture.before, explanation.picture.after)
    first, second = (top_k_mask(part[np.newaxis], explanation.k)[0] for part in maps)
    return first & second, first & ~second, second & ~first


def _text(axis: Axes, explanation: Explanation, kept: int, lost: int) -> None:
    row = explanation.row
    axis.set_frame_on(False)
    share = "-" if np.isnan(row.kendall) else f"{100 * lost / (kept + lost):.0f}%"
    axis.text(
        0.5, 0.78, share, fontsize=34, ha="center", va="center",
        color=LOST, transform=axis.transAxes, weight="bold",
    )  # fmt: skip
    lines = (
        f"of the {explanation.k} most important\npixels lost\n\n"
        f"Kendall {_number(row.kendall, 3)}   Spearman {_number(row.spearman, 3)}\n"
        f"centre moved {_number(row.center_shift, 1)} pixels\n"
        f"no pixel changed by more\nthan {row.perturbation:.3f} of 1"
    )
    axis.text(
        0.5, 0.58, lines, fontsize=9.5, ha="center", va="top", transform=axis.transAxes,
        linespacing=1.35,
    )  # fmt: skip


def _number(value: float, digits: int) -> str:
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


def _marked(image: np.ndarray, *marks: tuple[np.ndarray, tuple[float, float, float]]) -> np.ndarray:
    """The image in faded grey, with masks [H, W] painted over it."""
    grey = image.mean(-1, keepdims=True) / 255
    canvas = np.repeat(1 - _FADED * (1 - grey), 3, -1)
    for mask, color in marks:
        canvas[mask] = color
    return canvas


def _factor(change: np.ndarray) -> float:
    largest = float(np.abs(change).max())
    return 0.5 / largest if largest else 1.0


def _amplified(change: np.ndarray) -> np.ndarray:
    """Differences [H, W, C] around mid-grey, in every channel."""
    return np.broadcast_to(np.clip(0.5 + _factor(change) * change, 0, 1), (*change.shape[:2], 3))
