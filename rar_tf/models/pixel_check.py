"""Check by labelled images that a classifier takes the pixels that it is given."""

from collections.abc import Callable

import keras
import numpy as np
import scipy.stats
import tensorflow as tf

from rar_tf.chance import is_above_chance, majority_share
from rar_tf.models.adapt import Adapted, adapt
from rar_tf.models.convention import Convention
from rar_tf.models.pixels import RANGES

# Probability of a false alarm for one range.
_LEVEL = 1e-3
_BATCH = 32
# Number of images, and the number of all their pixels.
_MAX_IMAGES, _MAX_PIXELS = 256, 128 * 128 * 64


def check_pixels(
    classifier: keras.Model,
    adapted: Adapted,
    read: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    count: int,
) -> None:
    """Raise ValueError where the classifier is clearly better on pixels of another range.

    Nothing is checked where the user or the layers say the range. Another range is clearly better
    if it classifies more images right, by a sign test of those that one range alone gets right
    (level 0.001), and better than chance.

    Args:
      classifier: the classifier.
      adapted: what `adapt` made of it.
      read: numbers [N] -> (images [N, H, W, C] in [0, 1], labels [N]).
      count: number of images; up to 256 of them are used, evenly spaced.
    """
    conversions = adapted.conversions
    if conversions.pixels_by in ("user", "layers"):
        return
    size = int(np.prod(read(np.arange(1))[0].shape))
    number = max(min(_MAX_IMAGES, count, _MAX_PIXELS * 3 // size), min(count, 32))
    images, labels = read(np.unique(np.linspace(0, count - 1, number).astype(int)))
    hits = _hits(adapted.model, images, labels)
    share = majority_share(labels)
    for name, pixels in RANGES.items():
        misses = int((~hits).sum())
        if 2.0**-misses >= _LEVEL:
            return  # Too few for any range to be clearly better.
        if name == conversions.pixels or pixels.channels not in (None, images.shape[-1]):
            continue
        convention = Convention(name, _outputs(conversions.outputs), conversions.output_name)
        other = _hits(_quiet(classifier, convention, images), images, labels)
        better, worse = int((other & ~hits).sum()), int((hits & ~other).sum())
        test = scipy.stats.binomtest(better, max(better + worse, 1), alternative="greater")
        if test.pvalue < _LEVEL and is_above_chance(float(other.mean()), len(other), share):
            raise ValueError(
                f"pixels must be the range that the model takes. Received: pixels="
                f"{conversions.pixels} ({_BY[conversions.pixels_by]}), with {int(hits.sum())} of "
                f"{len(hits)} images classified as labelled, while pixels={name} gives "
                f"{int(other.sum())}; pass pixels={name} (--pixels={name}), or "
                f"pixels={conversions.pixels} if it is right"
            )


_BY = {"default": "by default", "family": "by its layers' names"}


def _outputs(conversion: str) -> str:
    """Kind of outputs that gives a conversion again."""
    kinds = {
        "logits": "logits",
        "logit_as_two_logits": "logits",
        "log_probability": "probabilities",
    }
    return kinds.get(conversion, "auto")


def _quiet(classifier: keras.Model, convention: Convention, images: np.ndarray) -> keras.Model:
    return adapt(classifier, convention, sample=tf.constant(images[:8]), log=False).model


def _hits(network: keras.Model, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether each image is classified as labelled: bool [N]."""
    classes = [
        np.argmax(network(tf.constant(images[k : k + _BATCH]), training=False), -1)
        for k in range(0, len(images), _BATCH)
    ]
    return np.concatenate(classes) == labels
