"""Selection of perturbed images by how far their maps changed, the label kept."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from rar_tf.attack.label import predicts
from rar_tf.attack.networks import Networks
from rar_tf.attribution import Explainer
from rar_tf.attribution.metrics import change


class AttackResult(NamedTuple):
    """Result of an attack on maps, per image and criterion of selection.

    Attributes:
      x_adv: [B, M, H, W, C]; x itself where there was no candidate.
      candidate: [B, M] bool, whether any perturbed point counted.
      undefined: [B] bool, whether some point of unchanged label had a metric of NaN.
    """

    x_adv: tf.Tensor
    candidate: tf.Tensor
    undefined: tf.Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class AttackInputs:
    """One batch of images under attack.

    Attributes:
      classifier: images -> logits; its prediction is the label condition.
      networks: the networks of score and selection.
      x: [B, H, W, C] float32, pixels in [0, 1].
      y: [B] int, labels.
      clean: [B, H, W], maps of x that the score compares with.
      seed: int [2], of the score `random`; None where no random number is drawn.
      region: [H, W] or [B, H, W] of 0 and 1, of the score `target`.
      options: keyword arguments of `Explainer.saliency`.
    """

    classifier: keras.Model
    networks: Networks
    x: tf.Tensor
    y: tf.Tensor
    clean: tf.Tensor
    seed: tf.Tensor | None
    region: tf.Tensor | None
    options: Mapping[str, Any]


class MapSelection:
    """Criteria of selection: x_adv -> [B, M + 1], the larger the more a metric changed.

    One column for each of the M criteria, -inf where the point is x or its label changed; the
    last column is 1 where a metric is NaN.
    """

    def __init__(
        self,
        criteria: tuple[str, ...],
        k: int,
        explainer: Explainer,
        clean_explainer: Explainer,
        inputs: AttackInputs,
    ):
        """
        Args:
          criteria: names of `CRITERIA`.
          k: number of pixels of the metric `top_k`.
          explainer: map that the criteria compare, of `inputs.networks.metric_network`.
          clean_explainer: explainer of `inputs.clean`. The criteria compare with those maps if
            both explainers differ in their quadrature alone.
          inputs: the images.
        """  # fmt: skip
        self._criteria, self._k, self._explainer = criteria, k, explainer
        self._inputs, self._clean = inputs, inputs.clean
        nearest = dataclasses.replace(clean_explainer, steps=explainer.steps, rule=explainer.rule)
        if nearest != explainer:
            self._clean = self._maps(inputs.x)

    def __call__(self, x_adv: tf.Tensor) -> tf.Tensor:
        """The criteria of each image [B, M + 1]."""
        inputs = self._inputs
        is_candidate = predicts(inputs.classifier, x_adv, inputs.y) & moved(x_adv, inputs.x)
        arguments = [self._clean, self._maps(x_adv), is_candidate]
        values = tf.numpy_function(self._changes, arguments, tf.float32)
        return tf.ensure_shape(values, [inputs.x.shape[0], len(self._criteria) + 1])

    def result(self, points: tf.Tensor) -> AttackResult:
        """Result of a search whose points [B, M + 1, H, W, C] are the best by each column."""
        x = self._inputs.x
        best = points[:, :-1]
        return AttackResult(best, moved(best, x[:, tf.newaxis]), moved(points[:, -1], x))

    def _maps(self, points: tf.Tensor) -> tf.Tensor:
        inputs = self._inputs
        if inputs.networks.metric_maps is not None:
            return inputs.networks.metric_maps(self._explainer, points, inputs.y, **inputs.options)
        return self._explainer.saliency(
            inputs.networks.metric_network, points, inputs.y, **inputs.options
        )

    def _changes(self, clean: np.ndarray, maps: np.ndarray, is_candidate: np.ndarray) -> np.ndarray:
        values = np.full((len(is_candidate), len(self._criteria) + 1), -np.inf, np.float32)
        rows = np.flatnonzero(is_candidate)
        for column, criterion in enumerate(self._criteria):
            values[rows, column] = change(criterion, clean[rows], maps[rows], self._k)
        values[rows[np.isnan(values[rows, :-1]).any(1)], -1] = 1.0
        return values


def moved(x_adv: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Whether any pixel of the image [..., H, W, C] differs: bool [...]."""
    return tf.reduce_any(x_adv != x, [-3, -2, -1])
