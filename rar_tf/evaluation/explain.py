"""explain: the map of one image, and the map after an attack."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from rar_tf import models
from rar_tf.attack import MapAttack
from rar_tf.evaluation.attacks import for_map
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.examples import AttackedExample, ExampleMetrics
from rar_tf.evaluation.logits import logits_of
from rar_tf.evaluation.map_robustness import attack_maps
from rar_tf.evaluation.plan import plan
from rar_tf.evaluation.precision import with_precision
from rar_tf.evaluation.protocols import ATTACKS, Protocol
from rar_tf.evaluation.traced import gradient_check


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Result of `explain`.

    Attributes:
      picture: the image and its worst perturbation, with their maps.
      row: metrics of the two maps; its label is the predicted class.
      k: number of pixels of the top-k intersection.
      probability: probability of the predicted class, in [0, 1].
      probability_after: the same after the attack.
    """

    picture: AttackedExample
    row: ExampleMetrics
    k: int
    probability: float
    probability_after: float


def explain(
    classifier: keras.Model,
    image: np.ndarray,
    protocol: Protocol,
    attack: str | MapAttack = "worst_case",
    *,
    pixels: str | models.PixelFn = "auto",
    outputs: str = "auto",
    output_name: str | None = None,
    index: int = 0,
    seed: int = 0,
    nodes_per_pass: int | str | None = "auto",
    precision: str = "auto",
) -> Explanation:
    """Explain the predicted class of an image, and attack the explanation.

    Args:
      classifier: any Keras classifier, see `models.adapt`.
      image: [H, W, C], uint8 or floats in [0, 1].
      protocol: map, metrics and threat.
      attack: a name of `Protocol.attack`, or an attack.
      pixels: pixels that the classifier takes, see `models.Convention`.
      outputs: "auto", "logits" or "probabilities": the classifier's outputs.
      output_name: name of the output that classifies, of a classifier with several.
      index: number of the image in the result.
      seed: seed of random starts.
      nodes_per_pass: nodes of a map in one pass; None for all, "auto" for 10, or as many as 75%
        of the free memory holds.
      precision: precision of the searches' networks, see `evaluate`.

    Raises:
      ValueError: an image that does not fit the classifier, or an unknown attack.
    """
    if np.ndim(image) != 3:
        raise ValueError(f"image must be [H, W, C]. Received: shape {np.shape(image)}")
    unlabelled = EvaluationSet((image[np.newaxis], np.zeros(1, np.int32)))
    convention = models.Convention(pixels, outputs, output_name)
    network = logits_of(classifier, unlabelled, convention).model
    x, _ = unlabelled.read(np.arange(1))
    label = int(tf.argmax(network(tf.constant(x), training=False), -1)[0])
    labelled = EvaluationSet((x, np.array([label], np.int32)))
    if isinstance(attack, str):
        is_named = attack in ATTACKS
        attack = protocol.attack(attack)
    else:
        is_named = False
    attack = with_precision(attack, network, precision, is_named=is_named, image_shape=x.shape[1:])
    attack = for_map(attack, protocol.explainer, network, tf.constant(x), tf.constant([label]))
    # All metrics are those of the perturbed image that is shown.
    attack = dataclasses.replace(attack, worst_of_each_metric=False)
    check = gradient_check(network, labelled, attack)
    batches = plan(
        network, labelled, protocol, attack, check, batch_size=1, nodes_per_pass=nodes_per_pass
    )
    batches.announce(1)
    (rows, pictures), *_ = attack_maps(
        network,
        labelled,
        np.arange(1),
        protocol,
        attack,
        seed=seed,
        batch_size=1,
        nodes_per_pass=batches.nodes_per_pass,
        check=check,
    )
    picture = dataclasses.replace(pictures[0], index=index)
    points = tf.constant(np.stack([picture.x, picture.x_adv]))
    probabilities = tf.nn.softmax(network(points, training=False))[:, label].numpy()
    row = dataclasses.replace(rows[0], index=index)
    return Explanation(picture, row, protocol.k, *map(float, probabilities))
