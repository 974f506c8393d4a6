"""Statistics of BatchNormalization over training images, for the weights at hand."""

import contextlib
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

from rar_tf.models import batch_normalizations, with_batch_statistics


class PopulationStatistics:
    """Estimates the statistics of BatchNormalization that belong to a classifier's weights.

    Over batches b of equal size, each normalized by its own statistics, without dropout,

      mean = E_b[mean_b],   variance = E_b[variance_b] + Var_b[mean_b],

    which for a layer that no other BatchNormalization precedes are those of all images. Moving
    statistics lag behind the weights, and do not belong to averaged weights at all.
    """

    def __init__(self, classifier: keras.Model, batches: Iterable) -> None:
        """
        Args:
          classifier: images -> logits, built.
          batches: batches (x, y) of equal size; read again at every estimate.
        """
        layers = batch_normalizations(classifier)
        self._variables = [
            v for layer in layers for v in (layer.moving_mean, layer.moving_variance)
        ]
        network = with_batch_statistics(classifier, "batch")
        self._batches = batches

        @tf.function(autograph=False, reduce_retracing=True)
        def forward(x: tf.Tensor) -> tf.Tensor:
            return network(x, training=False)

        self._forward = forward

    def estimate(self) -> None:
        """Assigns the statistics; nothing where the classifier has none, or all are frozen.

        Raises:
          ValueError: there is no batch.
        """
        if not self._variables:
            return
        rows = []
        for x, *_ in self._batches:
            self._forward(x)
            rows.append([np.array(variable.numpy(), np.float64) for variable in self._variables])
        if not rows:
            raise ValueError("statistics need at least one batch. Received: none")
        columns = [np.stack(column) for column in zip(*rows, strict=True)]
        for i, variable in enumerate(self._variables):
            value = columns[i].mean(0)
            if i % 2:
                value += columns[i - 1].var(0)
            variable.assign(value.astype("float32"))

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Context in which the classifier has these statistics; the moving ones return after it."""
        moving = [np.copy(variable.numpy()) for variable in self._variables]
        self.estimate()
        try:
            yield
        finally:
            for variable, value in zip(self._variables, moving, strict=True):
                variable.assign(value)
