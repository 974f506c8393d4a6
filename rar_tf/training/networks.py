"""Networks of a training step: copies of the classifier on its variables."""

import keras
import tensorflow as tf

from rar_tf.models import (
    Adapted,
    Convention,
    for_double_backprop,
    to_train,
    with_affine_start,
    with_batch_statistics,
    with_softplus_second_derivative,
)
from rar_tf.objective import Objective


class TrainingNetworks:
    """The networks of the loss and of the attack, made again after a layer is (un)frozen.

    The layers of a copy do not follow `layer.trainable` of the classifier's.
    """

    def __init__(
        self,
        classifier: keras.Model,
        convention: Convention,
        objective: Objective,
        precision: str,
        batch_statistics: str,
    ) -> None:
        """
        Args:
          classifier: the classifier, with the pixels and outputs that it has.
          convention: how it takes pixels and gives classes, as its user says.
          objective: objective that the networks are for.
          precision: precision of the computation, see `models.for_double_backprop`.
          batch_statistics: one of `models.BATCH_STATISTICS`.

        Raises:
          ValueError: an unknown precision, or one that the classifier cannot have; a missing
            layer of the objective, or an error of `models.to_train`.
        """
        self._classifier, self._convention, self._objective = classifier, convention, objective
        self._precision, self._batch_statistics = precision, batch_statistics
        self._key: tuple[bool, ...] = ()
        self()

    @property
    def key(self) -> tuple[bool, ...]:
        """What the networks depend on: whether the classifier is built, and layers trainable."""
        layers = self._classifier._flatten_layers()
        return (self._classifier.built, *(layer.trainable for layer in layers))

    def __call__(self) -> tuple[keras.Model, keras.Model]:
        """(network of the loss, network of the attack)."""
        self._update()
        return self._networks

    @property
    def adapted(self) -> Adapted:
        """The classifier as a model from images to logits, and what converts it."""
        self._update()
        return self._adapted

    def _update(self) -> None:
        if self._key != self.key:
            with tf.init_scope():
                self._adapted = to_train(self._classifier, self._convention)
                self._objective.check_layers(self._adapted.model)
                self._networks = self._make(self._adapted.model)
            self._key = self.key

    def _make(self, classifier: keras.Model) -> tuple[keras.Model, keras.Model]:
        objective = self._objective
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        network = for_double_backprop(classifier, self._precision, keep=objective.layers)
        network = with_batch_statistics(network, self._batch_statistics, synchronized=replicas > 1)
        attacked = network = with_affine_start(network)
        if objective.softplus_beta is not None:
            attacked = with_softplus_second_derivative(network, objective.softplus_beta)
            attacked = with_affine_start(attacked)
        return network, attacked
