"""RobustModel: a classifier, an objective and an attack under one `train_step`."""

import keras
import tensorflow as tf

from rar_tf.attack import Attack
from rar_tf.checks import class_numbers, float_images
from rar_tf.models import for_double_backprop, with_affine_start, with_softplus_second_derivative
from rar_tf.objective import Batch, Objective


@keras.saving.register_keras_serializable("rar_tf")
class RobustModel(keras.Model):
    """Trains a Keras classifier by an `Objective`; `compile(optimizer)` and `fit` as usual.

    min_theta mean_B { l(x) + weight * term(x_adv) },  x_adv = attack(score)   [RAR sec. 4]

    The attack runs outside the weight tape; its starts are functions of (seed, step, row
    in the global batch), so neither device count nor resuming changes them.

    Attributes:
      classifier: the plain Keras model, images [B, H, W, C] in [0, 1] -> logits: what is
        saved, exported and served. It shares its weights with this model.
    """

    def __init__(
        self,
        classifier: keras.Model,
        objective: Objective,
        attack: Attack | None = None,
        *,
        seed: int = 0,
        precision: str = "float32",
        name: str = "robust_model",
    ):
        """
        Args:
          classifier: images -> logits (no softmax at its end).
          objective: what is minimized.
          attack: the inner maximization; None only for an objective without one.
          seed: of the attack's random starts.
          precision: of the computation, see `models.for_double_backprop`; weights stay float32.
          name: of the model.

        Raises:
          ValueError: an attack is missing, or cannot move from the start it is given.
        """
        super().__init__(name=name)
        if not objective.attacked:
            attack = None
        elif attack is None:
            raise ValueError("this objective needs an attack. Received: attack=None")
        elif objective.needs_random_start and not attack.random_start:
            raise ValueError(
                "this objective's score has a zero gradient at x_adv = x: the attack needs "
                "random_start=True. Received: random_start=False"
            )
        self.classifier = classifier
        network = for_double_backprop(classifier, precision, keep=objective.layers)
        attacked = network = with_affine_start(network)
        if objective.softplus_beta is not None:
            attacked = with_softplus_second_derivative(network, objective.softplus_beta)
            attacked = with_affine_start(attacked)
        # On the classifier's own weights: in a closure, or Keras would count them twice.
        self._networks = lambda: (network, attacked)
        self.objective = objective
        self.attack = attack
        self.seed = seed
        names = ("loss", "term", "accuracy", "gradient_norm")
        self.trackers = {name: keras.metrics.Mean(name) for name in names}

    def call(self, inputs, training=False):
        """Logits of the classifier."""
        return self.classifier(inputs, training=training)

    def compile(self, optimizer="adam", **options):
        """As `keras.Model.compile`; without XLA, whose second gradient of max pooling is wrong."""
        super().compile(optimizer=optimizer, **{"jit_compile": False, **options})

    def find_adversary(self, batch: Batch) -> tf.Tensor:
        """x_adv [B, H, W, C] for this replica's part of the batch at the current step."""
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

    def _same_class(self, x):
        """x_adv -> bool [B], whether the predicted class is still that of x."""
        network = self._networks()[0]
        before = tf.argmax(network(x, training=False), -1)
        return lambda x_adv: tf.argmax(network(x_adv, training=False), -1) == before

    def train_step(self, data):
        """One step on (x, y), or ({"image": x, "target_map": t}, y); returns the metrics."""
        batch = _unpack(data, self.classifier)
        x_adv = self.find_adversary(batch)
        network = self._networks()[0]
        with tf.GradientTape() as tape:
            parts = self.objective(network, batch, x_adv, training=True)
            loss = tf.nn.compute_average_loss(parts.total)
            if network.losses:
                loss += tf.nn.scale_regularization_loss(tf.add_n(network.losses))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        _agree(self.classifier.non_trainable_variables)
        self.trackers["loss"].update_state(parts.total)
        self.trackers["term"].update_state(parts.term)
        self.trackers["accuracy"].update_state(self._correct(batch, parts))
        self.trackers["gradient_norm"].update_state(tf.linalg.global_norm(gradients))
        return self.get_metrics_result()

    def test_step(self, data):
        """Natural loss (nats) and accuracy."""
        batch = _unpack(data, self.classifier)
        parts = Objective(threat=None)(self.classifier, batch, batch.image)
        self.trackers["loss"].update_state(parts.total)
        self.trackers["accuracy"].update_state(_hits(parts.logits, batch.label))
        return {name: self.trackers[name].result() for name in ("loss", "accuracy")}

    def _correct(self, batch, parts):
        """Whether the unperturbed images are classified correctly [B]."""
        if self.objective.base == "clean":
            return _hits(parts.logits, batch.label)
        return _hits(self._networks()[0](batch.image, training=False), batch.label)


def _agree(variables):
    """Gives every replica the mean of the replicas' batch statistics.

    Keras lets each keep its own, of which one alone would be saved.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
        for variable in variables:
            if tf.as_dtype(variable.dtype).is_floating:
                variable.assign(context.all_reduce("mean", variable.value))


def _hits(logits, labels):
    return tf.cast(tf.argmax(logits, -1, tf.int32) == labels, tf.float32)


def _unpack(data, classifier) -> Batch:
    """Keras' (x, y) as a Batch.

    Raises:
      ValueError: sample weights, images that are not floating, or labels that are not class
        numbers [B].
      tf.errors.InvalidArgumentError: a label that is no class of the classifier.
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
    if y.dtype.is_floating:  # as Keras makes them of lists of whole numbers
        y = tf.cast(y, tf.int32)
    image, target_map = (x["image"], x.get("target_map")) if isinstance(x, dict) else (x, None)
    image = tf.cast(float_images(image), tf.float32)
    label = class_numbers(y, image.shape[0])
    classes = classifier.output_shape[-1]
    text = f"labels must be in 0 .. {classes - 1}. Received others."
    tf.debugging.assert_non_negative(label, text)
    tf.debugging.assert_less(label, tf.cast(classes, label.dtype), text)
    return Batch(image, tf.cast(label, tf.int32), target_map)
