"""One image, its map, and how far an attack pushes that map."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from rar_tf.evaluation.classifier import logits_of
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.examples import AttackedExample, ExampleMetrics
from rar_tf.evaluation.map_robustness import attack_maps
from rar_tf.evaluation.protocols import Protocol


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What `explain` found.

    Attributes:
      picture: the image and the worst perturbed one found, with their maps.
      row: the metrics; its label is the predicted class.
      k: of the top-k intersection.
      probability, probability_after: of the predicted class, in [0, 1].
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
    attack: str = "default",
    *,
    outputs: str = "auto",
    index: int = 0,
    seed: int = 0,
    nodes_per_pass: int | None = 10,
) -> Explanation:
    """Explains the predicted class of an image, and attacks the explanation.

    Args:
      classifier: images [B, H, W, C] in [0, 1] -> logits or probabilities [B, classes].
      image: [H, W, C], uint8 or floats in [0, 1].
      protocol: what is measured, within which threat.
      attack: how it is searched, see `Protocol.searches`.
      outputs: "auto", "logits" or "probabilities": what the classifier puts out.
      index: number to call the image by.
      seed: of random starts.
      nodes_per_pass: nodes of a map at once; None for all.

    Raises:
      ValueError: an image that does not fit the classifier, or an unknown attack.
    """
    if np.ndim(image) != 3:
        raise ValueError(f"image must be [H, W, C]. Received: shape {np.shape(image)}")
    unlabelled = EvaluationSet((image[np.newaxis], np.zeros(1, np.int32)))
    network, _ = logits_of(classifier, unlabelled, outputs)
    x, _ = unlabelled.read(np.arange(1))
    label = int(tf.argmax(network(tf.constant(x), training=False), -1)[0])
    selection = EvaluationSet((x, np.array([label], np.int32)))
    # By another name than "strongest": all metrics are of the perturbed image that is shown.
    (rows, pictures), *_ = attack_maps(
        network,
        selection,
        np.arange(1),
        protocol,
        f"{attack}, one image",
        searches=protocol.searches(attack),
        seed=seed,
        batch_size=1,
        nodes_per_pass=nodes_per_pass,
    )
    picture = dataclasses.replace(pictures[0], index=index)
    points = tf.constant(np.stack([picture.x, picture.x_adv]))
    probabilities = tf.nn.softmax(network(points, training=False))[:, label].numpy()
    row = dataclasses.replace(rows[0], index=index)
    return Explanation(picture, row, protocol.k, *map(float, probabilities))
