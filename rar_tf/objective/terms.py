"""Terms that objectives add to the loss: functions (classifier, batch, x_adv) -> [B]."""

from collections.abc import Callable

import keras
import tensorflow as tf

from rar_tf.attribution import (
    AttributionFn,
    Explainer,
    cosine,
    input_gradient,
    integrated_gradients,
    label_logit,
    label_loss,
    layer_integrated_gradients,
    nodes_and_weights,
    pearson,
)
from rar_tf.objective.objective import Batch, Term
from rar_tf.objective.sizes import SizeFn

# (map, target map) -> [B], >= 0
DissimilarityFn = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def loss_attribution(
    size: SizeFn, *, steps: int, rule: str, nodes_per_pass: int | None = None
) -> Term:
    """s(IG^{l_y}(x, x_adv)): size of the attribution of the loss change  [RAR eq. 4].

    Args:
      size: size s, attribution [B, ...] -> [B].
      steps, rule, nodes_per_pass: quadrature, see `integrated_gradients`.

    Raises:
      ValueError: an unknown rule, or steps < 1.
    """
    nodes_and_weights(rule, steps)

    def term(classifier: keras.Model, batch: Batch, x_adv: tf.Tensor) -> tf.Tensor:
        attribution = integrated_gradients(
            label_loss(classifier),
            x_adv,
            batch.label,
            baseline=batch.image,
            steps=steps,
            rule=rule,
            nodes_per_pass=nodes_per_pass,
        )
        return size(attribution)

    return term


def layer_loss_attribution(size: SizeFn, layer: str, *, steps: int, rule: str) -> Term:
    """s(IG^{l_y}_h(x, x_adv)): size of the loss's attribution at a hidden layer h  [RAR eq. 2-4].

    Args:
      size: size s, attribution [B, ...] -> [B].
      layer: name of a layer of the (Functional) classifier.
      steps, rule: quadrature, see `layer_integrated_gradients`.

    Raises:
      ValueError: an unknown rule, or steps < 1.
    """
    nodes_and_weights(rule, steps)

    def term(classifier: keras.Model, batch: Batch, x_adv: tf.Tensor) -> tf.Tensor:
        attribution = layer_integrated_gradients(
            classifier, layer, x_adv, batch.label, baseline=batch.image, steps=steps, rule=rule
        )
        return size(attribution)

    return term


def input_gradient_size(size: SizeFn) -> Term:
    """s(grad_x l(x)): size of the loss's input gradient, no attack  [RAR Prop. 2; DL92; RD18]."""

    def term(classifier: keras.Model, batch: Batch, x_adv: tf.Tensor) -> tf.Tensor:
        return size(input_gradient(label_loss(classifier), batch.image, batch.label))

    return term


def loss_change(classifier: keras.Model, batch: Batch, x_adv: tf.Tensor) -> tf.Tensor:
    """|l(x_adv) - l(x)|, the attribution to the loss output  [RAR Prop. 3]."""
    loss = label_loss(classifier)
    return tf.abs(loss(x_adv, batch.label) - loss(batch.image, batch.label))


def map_change(attribution: AttributionFn, dissimilarity: DissimilarityFn) -> Term:
    """d_s[S(x_adv), S^T(x)]  [FAR eq. 5, 6], for the class predicted at x.

    The target S^T is the batch's target map; without one it is S(x), which is also
    differentiated by the weights.

    Args:
      attribution: attribution S.
      dissimilarity: dissimilarity d_s.
    """

    def term(classifier: keras.Model, batch: Batch, x_adv: tf.Tensor) -> tf.Tensor:
        explained = explained_class(classifier, batch)
        target = batch.target_map
        if target is None:
            target = attribution(classifier, batch.image, explained)
        return dissimilarity(attribution(classifier, x_adv, explained), target)

    return term


def with_target_map(attribution: AttributionFn) -> Callable[[keras.Model, Batch], Batch]:
    """Function (classifier, batch) -> batch that adds the constants of an attack on `map_change`.

    They are the explained class, and S(x) as the target map unless the batch has one.
    """

    def prepare(classifier: keras.Model, batch: Batch) -> Batch:
        batch = batch._replace(explained=explained_class(classifier, batch))
        if batch.target_map is not None:
            return batch
        target = attribution(classifier, batch.image, batch.explained)
        return batch._replace(target_map=tf.stop_gradient(target))

    return prepare


def explained_class(classifier: keras.Model, batch: Batch) -> tf.Tensor:
    """The class that both maps explain [B]: the one predicted at x  [FAR eq. 1, 2]."""
    if batch.explained is not None:
        return batch.explained
    return tf.argmax(classifier(batch.image, training=False), -1, tf.int32)


def map_of(explainer: Explainer, nodes_per_pass: int | None = None) -> AttributionFn:
    """Attribution S of a class logit by an explainer  [FAR eq. 2], differentiable by weights."""

    def attribution(classifier: keras.Model, x: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        return explainer.attribution(
            classifier, x, classes, nodes_per_pass=nodes_per_pass, weight_gradients=True
        )

    return attribution


def pearson_loss(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """PCL = 1 - (pearson + 1) / 2 of the signed maps, in [0, 1]  [FAR sec. 4]."""
    return 1 - (pearson(a, b) + 1) / 2


def cosine_loss(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """1 - cosine of the signed maps, in [0, 2]  [Wang and Kong 2022]."""
    return 1 - cosine(a, b)


def misalignment(classifier: keras.Model, batch: Batch, x_adv: tf.Tensor) -> tf.Tensor:
    """log(1 + exp(-(cos(g^y(x_adv), x) - cos(g^ybar(x_adv), x))))  [FAR A.1.3; ALIGN].

    g^c is the gradient of class c's logit at x_adv; ybar is the best other class at x_adv.
    """
    logits = tf.cast(classifier(x_adv, training=False), tf.float32)
    others = logits - tf.one_hot(batch.label, logits.shape[-1], on_value=logits.dtype.max)
    best_other = tf.argmax(others, -1, tf.int32)
    logit = label_logit(classifier)
    aligned = [
        cosine(input_gradient(logit, x_adv, classes), batch.image)
        for classes in (batch.label, best_other)
    ]
    return tf.math.softplus(-(aligned[0] - aligned[1]))
