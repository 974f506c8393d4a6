"""Choice of the precision of a computation by a trial on this processor."""

import dataclasses
import re
import time
from collections.abc import Callable

import keras
import tensorflow as tf

from rar_tf.models.double_backprop import PRECISIONS, for_double_backprop

# Name of the choice by a trial, beside the names of `PRECISIONS`.
AUTO = "auto"
_FULL, _HALF = PRECISIONS
_REPEATS = 3
# Pixels of a trial's batch: some images of 32 x 32, one of 224 x 224.
_PIXELS, _MOST_IMAGES = 32 * 32 * 32, 32
_Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class PrecisionTrial:
    """Result of a trial of both precisions on one classifier.

    Attributes:
      precision: the faster precision of those that work, one of `PRECISIONS`.
      seconds: processor seconds (on a GPU, seconds) of a forward and a backward pass of one image,
        by precision; {} where one of them does not work.
      reason: why this precision, in words.
    """

    precision: str
    seconds: dict[str, float]
    reason: str


# Trials of this process, by what their seconds depend on.
_trials: dict[tuple, PrecisionTrial] = {}


def try_precisions(classifier: keras.Model, image_shape: _Shape | None = None) -> PrecisionTrial:
    """The precision for a classifier on this processor: bfloat16 where it works and is faster.

    Both precisions take a gradient by the pixels, in turn. The result is kept for the process, so
    that all evaluations and trainings of one architecture choose the same.

    Args:
      classifier: images -> logits.
      image_shape: (H, W, C); None for that of the classifier's input.
    """
    shape = _shape(classifier, image_shape)
    layers = [
        (type(layer).__name__, layer.compute_dtype, *(tuple(w.shape) for w in layer.weights))
        for layer in classifier._flatten_layers()
    ]
    key = (shape, *layers)
    if key not in _trials:
        _trials[key] = _trial(classifier, shape)
    return _trials[key]


def check_precision(
    classifier: keras.Model, precision: str, image_shape: _Shape | None = None
) -> None:
    """Raises ValueError where the precision does not work on this processor.

    Args:
      classifier: images -> logits.
      precision: one of `PRECISIONS`.
      image_shape: (H, W, C); None for that of the classifier's input.
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"precision must be {AUTO} or one of {', '.join(PRECISIONS)}. "
            f"Received: precision={precision!r}"
        )
    shape = _shape(classifier, image_shape)
    if precision == _FULL or shape is None:
        return
    failure = _failure(_step(classifier, _HALF, shape))
    if failure is not None:
        raise ValueError(
            f"precision must be {_FULL} on this processor, where {_HALF} fails ({failure}). "
            f"Received: precision={precision}"
        )


def _trial(classifier: keras.Model, shape: _Shape | None) -> PrecisionTrial:
    if shape is None:
        return PrecisionTrial(
            _FULL, {}, "the classifier is neither Functional nor Sequential, or of unknown shape"
        )
    half = _step(classifier, _HALF, shape)
    failure = _failure(half)
    if failure is not None:
        return PrecisionTrial(_FULL, {}, f"bfloat16 fails on this processor ({failure})")
    steps = {_FULL: _step(classifier, _FULL, shape), _HALF: half}
    steps[_FULL]()
    seconds = dict.fromkeys(PRECISIONS, float("inf"))
    for _ in range(_REPEATS):
        for precision, step in steps.items():
            seconds[precision] = min(seconds[precision], _timed(step))
    ratio = seconds[_FULL] / seconds[_HALF]
    if ratio > 1:
        return PrecisionTrial(_HALF, seconds, f"bfloat16 is {ratio:.1f} times as fast here")
    return PrecisionTrial(_FULL, seconds, f"bfloat16 is {1 / ratio:.1f} times as slow here")


def _shape(classifier: keras.Model, image_shape: _Shape | None) -> _Shape | None:
    """Shape of the trial's images; None for a classifier that cannot be rewritten."""
    if not isinstance(classifier, (keras.Function, keras.Sequential)) or not classifier.built:
        return None
    shape = image_shape or classifier.input_shape[1:]
    return None if len(shape) != 3 or None in shape else tuple(shape)


def _failure(step: Callable[[], tf.Tensor]) -> str | None:
    """Line of TensorFlow's error that names the cause; None where the step works."""
    try:
        step()
    except (tf.errors.OpError, LookupError, TypeError, ValueError) as error:
        text = str(error).strip()
        cause = re.search(r"could not [^.\n\[]+", text)
        return cause[0].strip() if cause else (text or type(error).__name__).splitlines()[0][:200]
    return None


def _step(classifier: keras.Model, precision: str, shape: _Shape) -> Callable[[], tf.Tensor]:
    """A function without arguments: gradient of the largest logit by the pixels of a batch."""
    network = for_double_backprop(classifier, precision)
    count = max(min(_PIXELS // (shape[0] * shape[1]), _MOST_IMAGES), 1)
    x = tf.random.stateless_uniform([count, *shape], seed=(0, 0))

    @tf.function(autograph=False)
    def gradient(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            value = tf.reduce_max(tf.cast(network(x, training=False), tf.float32), -1)
        return tape.gradient(value, x, unconnected_gradients="zero")

    return lambda: gradient(x)


def _timed(step: Callable[[], tf.Tensor]) -> float:
    """Seconds of one image: of processor time, which other programs do not change."""
    clock = time.perf_counter if tf.config.list_physical_devices("GPU") else time.process_time
    started = clock()
    result = step().numpy()
    return (clock() - started) / len(result)
