"""RobustModel: a Keras model that trains a classifier by an objective and an attack."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from rar_tf.attack import Attack
from rar_tf.models import BATCH_STATISTICS, Adapted, Convention, PixelFn
from rar_tf.naming import check_name
from rar_tf.objective import Batch, Objective, ObjectiveValue
from rar_tf.training import saving
from rar_tf.training.networks import TrainingNetworks
from rar_tf.training.unpack import unpack


@keras.saving.register_keras_serializable("rar_tf")
class RobustModel(keras.Model):
    """Keras model that trains a classifier by an `Objective`; `compile` and `fit` are Keras's.

    min_theta mean_B { l(x) + weight * term(x_adv) },  x_adv = attack(score)   [RAR sec. 4]

    The attack runs outside the gradient tape of the weights. Its random starts are functions of
    (seed, step, row in the global batch): neither the number of devices nor resuming changes them.
    `layer.trainable` of the classifier's layers is obeyed whenever it changes.

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
        batch_statistics: str = "moving",
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
          batch_statistics: statistics of BatchNormalization in training, "moving" (the loss
            normalizes by the batch, attacks and attributions by the moving statistics) or
            "frozen", see `models.with_batch_statistics`.
          pixels: pixels that the classifier takes, see `models.Convention`.
          outputs: "auto", "logits" or "probabilities": the classifier's outputs.
          output_name: name of the output that classifies, of a classifier with several.
          name: name of the model.

        Raises:
          ValueError: the attack is missing, its start has a zero gradient of the score, the
            classifier computes in float16, lacks a layer of the objective, ends in probabilities
            that no layer to remove computes, or has another error of `models.adapt`.
        """
        super().__init__(name=name, dtype="float32")
        _check_attack(objective, attack)
        check_name("batch_statistics", batch_statistics, BATCH_STATISTICS)
        _check_precision(classifier)
        self.classifier = classifier
        self.convention = Convention(pixels, outputs, output_name)
        # A callable, as Keras would count the weights of models among the attributes again.
        self._networks = TrainingNetworks(
            classifier, self.convention, objective, precision, batch_statistics
        )
        self.objective = objective
        self.attack = attack if objective.attacked else None
        self.seed = seed
        self._settings = {"precision": precision, "batch_statistics": batch_statistics}
        self._traced_for: Any = None
        names = ("loss", "term", "accuracy", "gradient_norm")
        self.trackers = {name: keras.metrics.Mean(name) for name in names}
        self.built = classifier.built

    @property
    def adapted(self) -> Adapted:
        """The classifier as a model from images to logits, and what converts it."""
        return self._networks.adapted

    def build(self, input_shape: Any) -> None:
        """Builds the classifier for images of this shape."""
        if not self.classifier.built:
            self.classifier.build(input_shape)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """Logits of images [B, H, W, C] in [0, 1]; of {"image": x, ...} those of x."""
        x = inputs["image"] if isinstance(inputs, Mapping) else inputs
        return self.adapted.model(x, training=training)

    def compile(
        self, optimizer: Any = "adam", loss: Any = None, *, jit_compile: Any = False, **options: Any
    ) -> None:
        """`keras.Model.compile` without a loss, which the objective is, and without XLA.

        XLA's second gradient of max pooling is wrong.

        Raises:
          ValueError: a loss, loss weights or jit_compile=True.
        """
        for name, value in (("loss", loss), ("loss_weights", options.get("loss_weights"))):
            if value is not None:
                raise ValueError(
                    f"{name} must be None: the objective is the loss. Received: {name}={value!r}"
                )
        if jit_compile not in (False, "auto"):
            raise ValueError(
                "jit_compile must be False: the second gradient of max pooling by XLA is wrong. "
                f"Received: jit_compile={jit_compile!r}"
            )
        super().compile(optimizer=optimizer, jit_compile=False, **options)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the model was that `get_compile_config` describes."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor as plain values.

        Raises:
          ValueError: an objective or attack of custom parts that have no plain form.
        """
        return {
            "classifier": keras.saving.serialize_keras_object(self.classifier),
            "objective": saving.objective_config(self.objective),
            "attack": saving.attack_config(self.attack),
            "seed": self.seed,
            "name": self.name,
            **saving.convention_config(self.convention),
            **self._settings,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "RobustModel":
        """The model of `get_config`."""
        saving.check_imported("a saved model", config.get("pixels"))
        arguments = config | {
            "classifier": keras.saving.deserialize_keras_object(
                copy.deepcopy(config["classifier"]), custom_objects=custom_objects
            ),
            "objective": saving.objective_from_config(config["objective"]),
            "attack": saving.attack_from_config(config["attack"]),
        }
        return cls(**arguments)

    def make_train_function(self, force: bool = False) -> Callable:
        """Keras's function of a step, traced again after a layer was frozen or unfrozen."""
        key = self._networks.key
        force = force or key != self._traced_for
        self._traced_for = key
        return super().make_train_function(force)

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
        """Takes one step on (x, y) or (x, y, sample_weight); returns the metrics.

        x may be {"image": x, "target_map": t}. The loss is `sum_i w_i total_i / B`, as Keras's.
        """
        batch, weight = unpack(data, self.adapted.model)
        x_adv = self.find_adversary(batch)
        network = self._networks()[0]
        with tf.GradientTape() as tape:
            value = self.objective(network, batch, x_adv, training=True)
            loss = tf.nn.compute_average_loss(value.total, sample_weight=weight)
            if value.penalties:
                loss += tf.nn.scale_regularization_loss(tf.add_n(value.penalties))
            loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        _average_over_replicas(self.classifier.non_trainable_variables)
        norm = tf.linalg.global_norm(gradients) / self.optimizer.scale_loss(tf.constant(1.0))
        self.trackers["gradient_norm"].update_state(norm)
        self.trackers["term"].update_state(value.term)
        return self._metrics_of(batch, value.total, self._clean_logits(batch, value), weight)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Natural loss (nats) and accuracy of a batch, and the metrics given to `compile`."""
        batch, weight = unpack(data, self.adapted.model)
        value = Objective(threat=None)(self.adapted.model, batch, batch.image)
        metrics = self._metrics_of(batch, value.total, value.logits, weight)
        unused = ("term", "gradient_norm")
        return {name: metric for name, metric in metrics.items() if name not in unused}

    def _metrics_of(
        self, batch: Batch, losses: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor | None
    ) -> dict[str, tf.Tensor]:
        """Metrics after this batch; the loss is weighted, the accuracy is not, as Keras's are."""
        self.trackers["loss"].update_state(losses if weight is None else weight * losses)
        correct = tf.argmax(logits, -1, tf.int32) == batch.label
        self.trackers["accuracy"].update_state(tf.cast(correct, tf.float32))
        return self.compute_metrics(batch.image, batch.label, logits, weight)

    def _clean_logits(self, batch: Batch, value: ObjectiveValue) -> tf.Tensor:
        """Logits of the unperturbed images."""
        if self.objective.base == "clean":
            return value.logits
        return self._networks()[0](batch.image, training=False)


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


def _check_precision(classifier: keras.Model) -> None:
    """Raises ValueError for layers in float16, whose second derivatives under- and overflow."""
    for layer in classifier._flatten_layers():
        if layer.compute_dtype == "float16":
            raise ValueError(
                "a classifier to train must compute in float32 or bfloat16: make it under the "
                "policy float32, and pass precision='mixed_bfloat16' for speed. Received: layer "
                f"{layer.name!r} of policy {layer.dtype_policy.name}"
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
