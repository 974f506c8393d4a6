"""Check by labelled images that a classifier takes the pixels that it is given."""

from collections.abc import Callable
from typing import NamedTuple

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
    (level 0.001), better than chance, and as a trained classifier does: 80% of them, or with a
    cross entropy of at most 3/4 of that of the labels' shares.

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
    given = _result(adapted.model, images, labels)
    if 2.0 ** -int((~given.hits).sum()) >= _LEVEL:
        return  # Too few are wrong for any range to be clearly better.
    others = {}
    for name, pixels in RANGES.items():
        if name != conversions.pixels and pixels.channels in (None, images.shape[-1]):
            convention = Convention(name, _outputs(conversions.outputs), conversions.output_name)
            model = adapt(classifier, convention, sample=tf.constant(images[:8]), log=False).model
            others[name] = _result(model, images, labels)
    best = max(others, key=lambda name: int(others[name].hits.sum()))  # The first of several.
    if _is_clearly_better(others[best], given, labels):
        raise ValueError(
            f"pixels must be the range that the model takes. Received: pixels={conversions.pixels} "
            f"({_BY[conversions.pixels_by]}), with {int(given.hits.sum())} of {len(labels)} images "
            f"classified as labelled, while pixels={best} gives {int(others[best].hits.sum())}; "
            f"pass pixels={best} (--pixels={best}), or pixels={conversions.pixels} if it is right"
        )


_BY = {"default": "by default", "family": "by its layers' names"}


class _Result(NamedTuple):
    """Whether each image is classified as labelled, bool [N], and the mean cross entropy, nats."""

    hits: np.ndarray
    loss: float


def _result(network: keras.Model, images: np.ndarray, labels: np.ndarray) -> _Result:
    blocks = [images[k : k + _BATCH] for k in range(0, len(images), _BATCH)]
    logits = np.concatenate([network(tf.constant(x), training=False) for x in blocks])
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits.astype("float32"))
    return _Result(np.argmax(logits, -1) == labels, float(tf.reduce_mean(losses)))


def _is_clearly_better(one: _Result, other: _Result, labels: np.ndarray) -> bool:
    """Whether the first result is clearly better, see `check_pixels`."""
    better, worse = int((one.hits & ~other.hits).sum()), int((other.hits & ~one.hits).sum())
    test = scipy.stats.binomtest(better, max(better + worse, 1), alternative="greater")
    accuracy = float(one.hits.mean())
    _, counts = np.unique(labels, return_counts=True)
    is_trained = accuracy >= 0.8 or one.loss <= 0.75 * scipy.stats.entropy(counts)
    is_above = is_above_chance(accuracy, len(labels), majority_share(labels))
    return bool(test.pvalue < _LEVEL and is_trained and is_above)


def _outputs(conversion: str) -> str:
    """Kind of outputs that gives a conversion again."""
    kinds = {
        "logits": "logits",
        "logit_as_two_logits": "logits",
        "log_probability": "probabilities",
    }
    return kinds.get(conversion, "auto")
