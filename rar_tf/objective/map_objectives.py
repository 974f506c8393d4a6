"""Objectives of [FAR]: those that compare two maps, and alignment."""

from rar_tf.attribution import METHODS, AttributionFn, Explainer, l1
from rar_tf.naming import find
from rar_tf.objective import terms
from rar_tf.objective.objective import Objective
from rar_tf.objective.registry import register
from rar_tf.objective.terms import DissimilarityFn

# Dissimilarities of maps by name.
DISSIMILARITIES = {"pearson": terms.pearson_loss, "cosine": terms.cosine_loss, "l1": l1}


@register
def far(
    weight: float = 1.0,
    *,
    attribution: str | AttributionFn = "integrated_gradients",
    dissimilarity: str | DissimilarityFn = "pearson",
    base: str = "clean",
    ig_steps: int = 50,
    attack_ig_steps: int = 10,
    ig_rule: str = "midpoint",
    nodes_per_pass: int | None = None,
    softplus_beta: float | None = 1.0,
) -> Objective:
    """`l(x) + lambda max d_s[S(x_adv), S^T(x)]`  [FAR eq. 5, or eq. 6 with base "adversarial"].

    The target S^T is the batch's target map if the data has one,
    ({"image": x, "target_map": t}, y), else S(x). On the clean base the attack keeps the
    label [FAR Algorithm 1], on the adversarial one it does not [FAR Algorithm 2].

    Args:
      weight: factor lambda of the term, >= 0.
      attribution: attribution S of the predicted class's logit: integrated_gradients (from a black
        image), input_gradient, gradient_times_input, smooth_grad, grad_cam or MODULE:FUNCTION. In
        Python also a function (classifier, x, classes) -> map, of TensorFlow operations.
      dissimilarity: dissimilarity d_s of two maps: pearson, cosine, l1 or MODULE:FUNCTION. In
        Python also a function (map, target) -> [B].
      base: loss that the term is added to: clean or adversarial.
      ig_steps: number of quadrature intervals (or noisy samples) in the gradient step, >= 1.
      attack_ig_steps: number of quadrature intervals (or noisy samples) in the attack, >= 1.
      ig_rule: quadrature rule in the gradient step and the attack.
      nodes_per_pass: quadrature nodes in one pass of the classifier; all by default.
      softplus_beta: sharpness of the softplus whose second derivative replaces ReLU's in the
        attack; None for plain ReLU.
    """
    method = attribution
    if isinstance(method, str) and method not in METHODS:
        method = find("attribution", method, dict.fromkeys(METHODS))
    compare = dissimilarity
    if isinstance(compare, str):
        compare = find("dissimilarity", compare, DISSIMILARITIES)

    def explain(steps: int) -> AttributionFn:
        return terms.map_of(Explainer(method, steps, ig_rule), nodes_per_pass)

    return Objective(
        base,
        terms.map_change(explain(ig_steps), compare),
        weight,
        attack_term=terms.map_change(explain(attack_ig_steps), compare),
        before_attack=terms.with_target_map(explain(attack_ig_steps)),
        needs_random_start=base == "clean",
        keep_label=base == "clean",
        softplus_beta=softplus_beta,
    )


@register
def adv_far(
    weight: float = 1.0,
    *,
    attribution: str | AttributionFn = "integrated_gradients",
    dissimilarity: str | DissimilarityFn = "pearson",
    ig_steps: int = 50,
    attack_ig_steps: int = 10,
    ig_rule: str = "midpoint",
    nodes_per_pass: int | None = None,
    softplus_beta: float | None = 1.0,
) -> Objective:
    """`max { l(x_adv) + lambda d_s[S(x_adv), S^T(x)] }`  [FAR eq. 6]; arguments of `far`."""
    return far(
        weight,
        attribution=attribution,
        dissimilarity=dissimilarity,
        base="adversarial",
        ig_steps=ig_steps,
        attack_ig_steps=attack_ig_steps,
        ig_rule=ig_rule,
        nodes_per_pass=nodes_per_pass,
        softplus_beta=softplus_beta,
    )


@register
def aat(
    weight: float = 1.0,
    *,
    ig_steps: int = 50,
    attack_ig_steps: int = 10,
    ig_rule: str = "midpoint",
    nodes_per_pass: int | None = None,
    softplus_beta: float | None = 1.0,
) -> Objective:
    """`l(x) + lambda max PCL[IG(x_adv, 0), IG(x, 0)]`  [FAR eq. 10]; arguments of `far`."""
    return far(
        weight,
        ig_steps=ig_steps,
        attack_ig_steps=attack_ig_steps,
        ig_rule=ig_rule,
        nodes_per_pass=nodes_per_pass,
        softplus_beta=softplus_beta,
    )


@register
def adv_aat(
    weight: float = 0.5,
    *,
    ig_steps: int = 50,
    attack_ig_steps: int = 10,
    ig_rule: str = "midpoint",
    nodes_per_pass: int | None = None,
    softplus_beta: float | None = 1.0,
) -> Objective:
    """`max { l(x_adv) + lambda PCL[IG(x_adv, 0), IG(x, 0)] }`  [FAR eq. 11]; arguments of `far`."""
    return adv_far(
        weight,
        ig_steps=ig_steps,
        attack_ig_steps=attack_ig_steps,
        ig_rule=ig_rule,
        nodes_per_pass=nodes_per_pass,
        softplus_beta=softplus_beta,
    )


@register
def igr(
    weight: float = 1.0,
    *,
    ig_steps: int = 50,
    attack_ig_steps: int = 10,
    ig_rule: str = "midpoint",
    nodes_per_pass: int | None = None,
    softplus_beta: float | None = 1.0,
) -> Objective:
    """`max { l(x_adv) + lambda (1 - cos(IG(x_adv, 0), IG(x, 0))) }`; arguments of `far`.

    The integrated gradient regularizer [Wang and Kong, Exploiting the Relationship Between
    Kendall's Rank Correlation and Cosine Similarity for Attribution Protection, 2022].
    """
    return adv_far(
        weight,
        dissimilarity="cosine",
        ig_steps=ig_steps,
        attack_ig_steps=attack_ig_steps,
        ig_rule=ig_rule,
        nodes_per_pass=nodes_per_pass,
        softplus_beta=softplus_beta,
    )


@register
def align(
    weight: float = 0.5, *, base: str = "clean", softplus_beta: float | None = 1.0
) -> Objective:
    """`l(x) + lambda max log(1 + exp(-(cos(g^y(x_adv), x) - cos(g^ybar(x_adv), x))))`.

    [FAR eq. 9 and A.1.3; ALIGN]. FAR writes it on the clean loss; the authors of [ALIGN]
    train 0.5 of the term on the adversarial loss: base "adversarial".

    Args:
      weight: factor lambda of the term, >= 0.
      base: loss that the term is added to: clean or adversarial.
      softplus_beta: as in `far`.
    """
    return Objective(base, terms.misalignment, weight, softplus_beta=softplus_beta)
