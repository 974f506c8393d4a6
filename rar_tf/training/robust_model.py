"""RobustModel: a Keras model that trains a classifier by an objective and an attack."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from rar_tf.attack import Attack
from rar_tf.checks import float_images, integer_labels, whole_labels
from rar_tf.models import (
    Adapted,
    Convention,
    PixelFn,
    for_double_backprop,
    to_train,
    with_affine_start,
    with_softplus_second_derivative,
)
from rar_tf.objective import Batch, Objective, ObjectiveValue


@keras.saving.register_keras_serializable("rar_tf")
class RobustModel(keras.Model):
    """Keras model that trains a classifier by an `Objective`; `compile` and `fit` are Keras's.

    min_theta mean_B { l(x) + weight * term(x_adv) },  x_adv = attack(score)   [RAR sec. 4]

    The attack runs outside the gradient tape of the weights. Its random starts are functions of
    (seed, step, row in the global batch): neither the number of devices nor resuming changes them.

    Attributes:
      classifier: the classifier as it was given, with the pixels and outputs that it has, which is
        saved. It shares its weights with this model.
      convention: how the classifier takes pixels and gives classes, as its user says.
      adapted: the classifier as a model, images [B, H, W, C] in [0, 1] -> logits, and what converts
        it, see `models.adapt`.
    """

    def __init__(
        self,
        classifier: keras.Model,
        objective: Objective,
        attack: Attack | None = None,
        *,
        seed: int = 0,
        precision: str = "float32",
        pixels: str | PixelFn = "auto",
        outputs: str = "auto",
        output_name: str | None = None,
        name: str = "robust_model",
    ) -> None:
        """
        Args:
          classifier: any Keras classifier that ends in logits, a softmax or one sigmoid; a custom
            one must have been called on images.
          objective: objective to minimize.
          attack: inner maximization; None only for an objective without one.
          seed: seed of the attack's random starts.
          precision: precision of the computation, see `models.for_double_backprop`; weights stay
            float32.
          pixels: pixels that the classifier takes, see `models.Convention`.
          outputs: "auto", "logits" or "probabilities": the classifier's outputs.
          output_name: name of the output that classifies, of a classifier with several.
          name: name of the model.

        Raises:
          ValueError: the attack is missing, its start has a zero gradient of the score, the
            classifier lacks a layer of the objective, ends in probabilities that no layer to remove
            computes, or has another error of `models.adapt`.
        """
        super().__init__(name=name)
        _check_attack(objective, attack)
        self.classifier = classifier
        self.convention = Convention(pixels, outputs, output_name)
        adapted = to_train(classifier, self.convention)
        objective.check_layers(adapted.model)
        network = for_double_backprop(adapted.model, precision, keep=objective.layers)
        attacked = network = with_affine_start(network)
        if objective.softplus_beta is not None:
            attacked = with_softplus_second_derivative(network, objective.softplus_beta)
            attacked = with_affine_start(attacked)
        # All share the classifier's weights, which Keras would count again as attributes.
        self._adapted = lambda: adapted
        self._networks = lambda: (network, attacked)
        self.objective = objective
        self.attack = attack if objective.attacked else None
        self.seed = seed
        names = ("loss", "term", "accuracy", "gradient_norm")
        self.trackers = {name: keras.metrics.Mean(name) for name in names}

    @property
    def adapted(self) -> Adapted:
        """The classifier as a model from images to logits, and what converts it."""
        return self._adapted()

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits of images [B, H, W, C] in [0, 1]."""
        return self.adapted.model(inputs, training=training)

    def compile(self, optimizer: Any = "adam", **options: Any) -> None:
        """`keras.Model.compile` without XLA, whose second gradient of max pooling is wrong."""
        super().compile(optimizer=optimizer, **{"jit_compile": False, **options})

    def find_adversary(self, batch: Batch) -> tf.Tensor:
        """The perturbed images x_adv [B, H, W, C] of this replica's part of the batch."""
        if self.attack is None:
            return batch.image
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return self.attack(
            self.objective.score(self._networks()[1], batch),
            batch.image,
            seed=tf.stack([self.seed, tf.cast(self.optimizer.iterations, tf.int32)]),
            first_row=replica * tf.shape(batch.image)[0],
            needs_random_start=self.objective.needs_random_start,
            keep=self._same_class(batch.image) if self.objective.keep_label else None,
        )

    def _same_class(self, x: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
        """Function x_adv -> bool [B]: whether the predicted class is that of x."""
        network = self._networks()[0]
        before = tf.argmax(network(x, training=False), -1)
        return lambda x_adv: tf.argmax(network(x_adv, training=False), -1) == before

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Takes one step on (x, y), or ({"image": x, "target_map": t}, y); returns the metrics."""
        batch = _unpack(data, self.adapted.model)
        x_adv = self.find_adversary(batch)
        network = self._networks()[0]
        with tf.GradientTape() as tape:
            value = self.objective(network, batch, x_adv, training=True)
            loss = tf.nn.compute_average_loss(value.total)
            if network.losses:
                loss += tf.nn.scale_regularization_loss(tf.add_n(network.losses))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        _average_over_replicas(self.classifier.non_trainable_variables)
        self.trackers["loss"].update_state(value.total)
        self.trackers["term"].update_state(value.term)
        self.trackers["accuracy"].update_state(self._correct(batch, value))
        self.trackers["gradient_norm"].update_state(tf.linalg.global_norm(gradients))
        return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Natural loss (nats) and accuracy of a batch."""
        batch = _unpack(data, self.adapted.model)
        value = Objective(threat=None)(self.adapted.model, batch, batch.image)
        self.trackers["loss"].update_state(value.total)
        self.trackers["accuracy"].update_state(_is_correct(value.logits, batch.label))
        return {name: self.trackers[name].result() for name in ("loss", "accuracy")}

    def _correct(self, batch: Batch, value: ObjectiveValue) -> tf.Tensor:
        """Whether each unperturbed image is classified correctly: 0 or 1, float32 [B]."""
        if self.objective.base == "clean":
            return _is_correct(value.logits, batch.label)
        return _is_correct(self._networks()[0](batch.image, training=False), batch.label)


def _check_attack(objective: Objective, attack: Attack | None) -> None:
    if not objective.attacked:
        return
    if attack is None:
        raise ValueError("this objective needs an attack. Received: attack=None")
    if objective.needs_random_start and not attack.random_start:
        raise ValueError(
            "this objective's score has a zero gradient at x_adv = x: the attack needs "
            "random_start=True. Received: random_start=False"
        )


def _average_over_replicas(variables: Sequence[keras.Variable]) -> None:
    """Assigns the mean over the replicas to floating variables, such as batch statistics.

    Keras keeps them per replica, and saves those of one.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
        for variable in variables:
            if tf.as_dtype(variable.dtype).is_floating:
                variable.assign(context.all_reduce("mean", variable.value))


def _is_correct(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.argmax(logits, -1, tf.int32) == labels, tf.float32)


def _unpack(data: Any, classifier: keras.Model) -> Batch:
    """The (x, y) of Keras as a Batch.

    Raises:
      ValueError: sample weights, images that are not floating, or labels that are not class
        numbers [B].
      tf.errors.InvalidArgumentError: a label is not a class of the classifier.
    """
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    if weight is not None:
        raise ValueError("batches must be (x, y). Received: sample weights")
    if y is None:
        raise ValueError("batches must be (x, y). Received: no labels")
    if y.shape.rank == 2 and y.shape[1] == 1:
        y = tf.squeeze(y, 1)
    if y.shape.rank != 1:
        raise ValueError(
            f"labels must be class numbers of shape [B], not one-hot. Received: shape={y.shape}"
        )
    if y.dtype.is_floating:  # Keras converts lists of integers so.
        y = whole_labels(y)
    image, target_map = (x["image"], x.get("target_map")) if isinstance(x, dict) else (x, None)
    image = tf.cast(float_images(image), tf.float32)
    label = integer_labels(y, image.shape[0])
    classes = classifier.output_shape[-1]
    text = f"labels must be in 0 .. {classes - 1}. Received others."
    tf.debugging.assert_non_negative(label, text)
    tf.debugging.assert_less(label, tf.cast(classes, label.dtype), text)
    return Batch(image, tf.cast(label, tf.int32), target_map)
