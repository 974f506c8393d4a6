"""Objective: a loss, a term about attributions, and the score that the attack ascends."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from rar_tf.attribution import cross_entropy
from rar_tf.attribution.layers import split_at


class Batch(NamedTuple):
    """A batch of examples.

    Attributes:
      image: images [B, H, W, C], pixels in [0, 1].
      label: labels [B] int.
      target_map: target of the attributions [B, ...]; None for the map of the image.
      explained: explained classes [B] int; None for the predicted ones.
    """

    image: tf.Tensor
    label: tf.Tensor
    target_map: tf.Tensor | None = None
    explained: tf.Tensor | None = None


# (classifier, batch, x_adv) -> [B]
Term = Callable[[keras.Model, Batch, tf.Tensor], tf.Tensor]


class ObjectiveValue(NamedTuple):
    """Values per example [B]: total = loss + weight * term, and the logits of the loss.

    `penalties` are the scalar losses that the classifier adds to the pass of the loss in training
    mode, such as regularizers of weights and activities.
    """

    total: tf.Tensor
    loss: tf.Tensor
    term: tf.Tensor
    logits: tf.Tensor
    penalties: Sequence[tf.Tensor] = ()


class Construction(NamedTuple):
    """How an objective was made: the constructor's name in the registry, and its settings."""

    name: str
    settings: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Objective:
    """`l(base) + weight * max term(x_adv)`, per example  [RAR eq. 4; FAR eq. 5, 6].

    Attributes:
      base: loss that the term is added to: "clean" for l(x) + weight * max term, "adversarial"
        for max { l(x_adv) + weight * term }.
      term: term that training adds to the loss; None for the loss alone.
      weight: factor of the term, lambda (clean) or beta (adversarial), >= 0.
      completeness: whether the term omits the sum of the attribution, and the change of the loss
        l(x_adv) - l(x), in training mode (dropout, batch statistics), is added in its place.
      attack_term: cheaper surrogate of the term for the attack; None for the term.
      attack_on_loss: whether the attack ascends l(x_adv) alone, without any term.
      before_attack: (classifier, batch) -> batch, computed once per attack.
      threat: allowed set of the inner maximization: "ball" (an lp ball), "transport" (a price for
        moving), or None where there is no inner maximization.
      needs_random_start: whether the ascended score has a zero gradient at x_adv = x.
      keep_label: whether the attack keeps the class predicted at x  [FAR Algorithm 1].
      softplus_beta: sharpness of the softplus whose second derivative replaces that of ReLU in
        attacks; values and first derivatives are those of ReLU  [FAR sec. 4]. None for plain
        ReLU.
      layers: names of layers whose activations the term depends on.
      construction: how the objective was made; None where no registered constructor made it, as
        after `dataclasses.replace`.
    """

    base: str = "clean"
    term: Term | None = None
    weight: float = 0.0
    completeness: bool = False
    attack_term: Term | None = None
    attack_on_loss: bool = False
    before_attack: Callable[[keras.Model, Batch], Batch] | None = None
    threat: str | None = "ball"
    needs_random_start: bool = False
    keep_label: bool = False
    softplus_beta: float | None = None
    layers: tuple[str, ...] = ()
    construction: Construction | None = dataclasses.field(
        default=None, init=False, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        if self.threat not in ("ball", "transport", None):
            raise ValueError(
                f'threat must be "ball", "transport" or None. Received: threat={self.threat!r}'
            )
        if self.base not in ("clean", "adversarial"):
            raise ValueError(f'base must be "clean" or "adversarial". Received: base={self.base!r}')
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"weight must be finite and >= 0. Received: weight={self.weight}")
        if self.term is None and self.weight > 0:
            raise ValueError(f"weight must be 0 without a term. Received: weight={self.weight}")
        if self.softplus_beta is not None and not 0 < self.softplus_beta < math.inf:
            raise ValueError(
                "softplus_beta must be > 0 and finite. "
                f"Received: softplus_beta={self.softplus_beta}"
            )
        if self.term is None and self.base == "clean" and self.attacked:
            raise ValueError(
                "an attack on the clean base needs a term to ascend. Received: term=None"
            )

    @property
    def attacked(self) -> bool:
        """Whether there is an inner maximization."""
        return self.threat is not None

    def check_layers(self, classifier: keras.Model) -> None:
        """Raises ValueError unless the classifier has the layers of the term."""
        for layer in self.layers:
            split_at(classifier, layer)

    def score(self, classifier: keras.Model, batch: Batch) -> Callable[[tf.Tensor], tf.Tensor]:
        """The score that the attack ascends: x_adv -> [B]."""
        term = self.attack_term or self.term
        if self.before_attack is not None:
            batch = self.before_attack(classifier, batch)

        def score(x_adv: tf.Tensor) -> tf.Tensor:
            if self.base == "clean" and term is not None and not self.attack_on_loss:
                return _per_example(term(classifier, batch, x_adv))
            value = cross_entropy(classifier(x_adv, training=False), batch.label)
            if term is None or self.attack_on_loss or self.weight == 0:
                return value
            return value + self.weight * _per_example(term(classifier, batch, x_adv))

        return score

    def __call__(
        self, classifier: keras.Model, batch: Batch, x_adv: tf.Tensor, training: bool = False
    ) -> ObjectiveValue:
        """Value of the objective at a given x_adv, differentiable by the weights.

        Args:
          classifier: images -> logits.
          batch: images, labels and target maps.
          x_adv: perturbed images [B, H, W, C]; constant for the derivative.
          training: whether the loss is computed in training mode (dropout, batch statistics);
            attributions never are.

        Returns:
          Values per example.
        """
        ends = (batch.image, x_adv) if self.base == "clean" else (x_adv, batch.image)
        logits = classifier(ends[0], training=training)
        # Of this pass: the next one replaces them.
        penalties = tuple(classifier.losses) if training else ()
        loss = cross_entropy(logits, batch.label)
        if self.term is None or self.weight == 0:
            return ObjectiveValue(loss, loss, tf.zeros_like(loss), logits, penalties)
        term = _per_example(self.term(classifier, batch, x_adv))
        if self.completeness:
            other = cross_entropy(classifier(ends[1], training=training), batch.label)
            if self.base == "clean" and self.weight == 1:
                loss = tf.stop_gradient(loss)  # Its gradient cancels.
            term += other - loss if self.base == "clean" else loss - other
        return ObjectiveValue(loss + self.weight * term, loss, term, logits, penalties)


def constructed(objective: Objective, name: str, settings: Mapping[str, Any]) -> Objective:
    """A copy of the objective that states how it was made."""
    copy = dataclasses.replace(objective)
    object.__setattr__(copy, "construction", Construction(name, dict(settings)))
    return copy


def _per_example(term: tf.Tensor) -> tf.Tensor:
    """The term, checked to have one value per image: a scalar would broadcast silently.

    Raises:
      ValueError: the term has another shape.
    """
    if term.shape.rank not in (1, None):
        raise ValueError(
            f"a term must have one value per image, [B]. Received: shape={tuple(term.shape)}"
        )
    return term
