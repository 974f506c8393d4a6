"""Cost of a training step, computed before it runs: operations, bytes and seconds."""

import math

import keras
import tensorflow as tf

from rar_tf.objective import Batch
from rar_tf.presets import Preset, build
from rar_tf.training.flops import count_flops


def forward_flops(classifier: keras.Model) -> float:
    """FLOPs of the logits of one image: multiplications and additions, see `count_flops`.

    Args:
      classifier: images -> logits, of known input shape.
    """
    image = tf.TensorSpec((1, *classifier.input_shape[1:]))
    return count_flops(lambda x: classifier(x, training=False), [image])


def step_flops(preset: Preset, classifier: keras.Model) -> dict[str, float]:
    """FLOPs per image of one training step: {"attack": ..., "gradient": ...}.

    "attack" is the inner maximization, "gradient" the objective at x_adv, its derivative by the
    weights and the optimizer step. With F = `forward_flops`, F_1 its first layer and one node:

      an attack step   2 F (madry), 4 F (ig_norm), 6 F (ig_sum_norm)
      the gradient     3 F - F_1 (natural), and 6 F - F_1 (ig_norm), 3 F - F_1 with
                       completeness (F with lambda = 1)

    m > 1 nodes share an affine first layer: 4 m (F - F_1) + 5 F_1 an attack step of ig_norm,
    6 m (F - F_1) + 7 F_1 its gradient, and up to 2 m (F - F_1) in several passes.

    Operations are counted in the traced graph, also those of custom objectives.

    Args:
      preset: preset whose objective and attack are used.
      classifier: classifier of known input shape.

    Raises:
      ValueError: the cost of an operation is not known before the run.
    """
    model = build.robust_model(preset, classifier)
    model.optimizer.build(model.trainable_variables)
    specs = [
        tf.TensorSpec((1, *classifier.input_shape[1:])),
        tf.TensorSpec((1,), tf.int32),
    ]
    attack = count_flops(lambda x, y: model.find_adversary(Batch(x, y)), specs)
    total = count_flops(lambda x, y: model.train_step((x, y)), specs)
    return {"attack": attack, "gradient": total - attack}


def gradient_bytes(classifier: keras.Model) -> int:
    """Number of bytes that each replica contributes to the all-reduce of one step."""
    return sum(
        int(tf.size(variable)) * tf.as_dtype(variable.dtype).size
        for variable in classifier.trainable_variables
    )


def step_seconds(
    flops: float,
    throughput: float,
    *,
    gradient_bytes: float = 0.0,
    replicas: int = 1,
    bandwidth: float = math.inf,
) -> float:
    """Predicted seconds of one step: a replica's operations, then a ring all-reduce of gradients.

    flops / throughput + 2 (R - 1) / R * gradient_bytes / bandwidth

    The model assumes that computation and communication do not overlap, and neglects elementwise
    operations, kernel launches and reading data: docs/scaling.md.

    Args:
      flops: operations of one replica's part of the batch.
      throughput: operations per second that a device reaches in training.
      gradient_bytes: bytes of the gradients, see the function `gradient_bytes`.
      replicas: number R of replicas.
      bandwidth: bytes per second that each replica sends.

    Raises:
      ValueError: replicas < 1, or a throughput or bandwidth that is not positive.
    """
    if replicas < 1:
        raise ValueError(f"replicas must be >= 1. Received: replicas={replicas}")
    for name, value in (("throughput", throughput), ("bandwidth", bandwidth)):
        if not value > 0:
            raise ValueError(f"{name} must be > 0. Received: {name}={value}")
    return flops / throughput + 2 * (replicas - 1) / replicas * gradient_bytes / bandwidth
