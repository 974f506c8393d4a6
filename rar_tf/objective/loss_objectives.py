"""Objectives of [RAR]: natural, adversarial, and those with an attribution of the loss."""

from collections.abc import Callable
from typing import Any

from rar_tf.objective import sizes, terms
from rar_tf.objective.objective import Objective, Term
from rar_tf.objective.registry import register

# (size, quadrature intervals) -> term
MakeTerm = Callable[[sizes.SizeFn, int], Term]


@register
def natural() -> Objective:
    """`l(x)`."""
    return Objective(threat=None)


@register
def madry() -> Objective:
    """`max l(x_adv)`  [MMS17; RAR Prop. 1]."""
    return Objective(base="adversarial")


@register
def ig_norm(
    weight: float = 1.0,
    *,
    size: sizes.SizeFn = sizes.l1,
    ig_steps: int = 50,
    attack_ig_steps: int = 10,
    ig_rule: str = "midpoint",
    nodes_per_pass: int | None = None,
    completeness: bool = False,
) -> Objective:
    """`l(x) + lambda max ||IG(x, x_adv)||_1`  [RAR sec. 4, IG-NORM].

    Args:
      weight: factor lambda of the term, >= 0.
      size: size s of the attribution, [B, ...] -> [B], in place of the norm  [RAR eq. 4].
      ig_steps: number of quadrature intervals in the gradient step, >= 1.
      attack_ig_steps: number of quadrature intervals in the attack; 0 ascends the loss instead of
        the norm. The change of the loss, l(x_adv) - l(x), is a lower bound of the norm
        (completeness) and costs at most half; unlike the norm's, its ascent does not keep the
        signs of the random start.
      ig_rule: quadrature rule: left, right (that of the papers), midpoint, trapezoid or
        gauss_legendre.
      nodes_per_pass: quadrature nodes in one pass of the classifier; all by default.
      completeness: use the exact loss change for the attribution's sum (completeness). In the
        gradient step ||IG||_1 = sum_i IG_i + 2 sum_i max(-IG_i, 0), and the first sum is
        l(x_adv) - l(x); only the second one has an error of quadrature.
    """
    term = _at_pixels(ig_rule, nodes_per_pass)
    return _sized("clean", weight, term, size, ig_steps, attack_ig_steps, completeness)


@register
def ig_sum_norm(
    weight: float = 0.1,
    *,
    size: sizes.SizeFn = sizes.l1,
    ig_steps: int = 50,
    attack_ig_steps: int = 10,
    ig_rule: str = "midpoint",
    nodes_per_pass: int | None = None,
    completeness: bool = False,
) -> Objective:
    """`max { l(x_adv) + beta ||IG(x, x_adv)||_1 }`  [RAR sec. 4, IG-SUM-NORM].

    Args:
      weight: factor beta of the term, >= 0.
      size, ig_steps, attack_ig_steps, ig_rule, nodes_per_pass, completeness: as in `ig_norm`.
    """
    term = _at_pixels(ig_rule, nodes_per_pass)
    return _sized("adversarial", weight, term, size, ig_steps, attack_ig_steps, completeness)


def _at_pixels(rule: str, nodes_per_pass: int | None) -> MakeTerm:
    def term(size: sizes.SizeFn, steps: int) -> Term:
        return terms.loss_attribution(size, steps=steps, rule=rule, nodes_per_pass=nodes_per_pass)

    return term


def _sized(
    base: str,
    weight: float,
    term: MakeTerm,
    size: sizes.SizeFn,
    ig_steps: int,
    attack_ig_steps: int,
    completeness: bool,
    **options: Any,
) -> Objective:
    """Objective of a size of the loss's attribution; `term` makes the term of a size and steps."""
    options |= {"completeness": completeness, "attack_on_loss": attack_ig_steps == 0}
    if attack_ig_steps:
        # Only the plain sum has a gradient at x_adv = x.
        flat = base == "clean" and size is not sizes.total
        options |= {"attack_term": term(size, attack_ig_steps), "needs_random_start": flat}
    rest = sizes.beside_the_sum(size) if completeness else size
    return Objective(base, term(rest, ig_steps), weight, **options)


@register
def input_gradient(weight: float = 0.1, *, q: float = 2.0) -> Objective:
    """`l(x) + lambda' ||grad_x l(x)||_q^q`, no attack  [RAR Prop. 2; DL92, RD18 at q = 2].

    Args:
      weight: factor lambda' of the term, >= 0.
      q: power of the gradient's norm, >= 1.
    """
    term = terms.input_gradient_size(sizes.lq_power(q))
    return Objective("clean", term, weight, threat=None)


@register
def loss_output(weight: float = 1.0) -> Objective:
    """`l(x) + lambda max |l(x_adv) - l(x)|`  [RAR Prop. 3 at lambda = 1].

    Args:
      weight: factor lambda of the term, >= 0.
    """
    return Objective("clean", terms.loss_change, weight, needs_random_start=True)


@register
def layer_ig_norm(
    weight: float = 1.0,
    *,
    layer: str,
    size: sizes.SizeFn = sizes.l1,
    ig_steps: int = 50,
    attack_ig_steps: int = 10,
    ig_rule: str = "midpoint",
    completeness: bool = False,
) -> Objective:
    """`l(x) + lambda max ||IG_h(x, x_adv)||_1` at a hidden layer h  [RAR eq. 2-4].

    Args:
      weight: factor lambda of the term, >= 0.
      layer: name of the hidden layer, of a Functional or Sequential classifier.
      size, ig_steps, attack_ig_steps, ig_rule, completeness: as in `ig_norm`.
    """

    def term(size: sizes.SizeFn, steps: int) -> Term:
        return terms.layer_loss_attribution(size, layer, steps=steps, rule=ig_rule)

    counts = (ig_steps, attack_ig_steps)
    return _sized("clean", weight, term, size, *counts, completeness, layers=(layer,))


@register
def distributional(
    weight: float = 1.0,
    *,
    size: sizes.SizeFn = sizes.l1,
    ig_steps: int = 50,
    attack_ig_steps: int = 10,
    ig_rule: str = "midpoint",
    nodes_per_pass: int | None = None,
    completeness: bool = False,
) -> Objective:
    """`l(z) + lambda sup_{z'} { d_IG(z, z') - gamma c(z, z') }`  [RAR eq. 7].

    The attack's threat is a `TransportPenalty`, which holds gamma and c. With
    `size=sizes.total` and lambda = 1 this is the objective of [SND18]. The value omits the cost,
    whose gradient by the weights is zero.

    Args:
      weight: factor lambda of the term, >= 0.
      size: size s of d_IG(z, z') = s(IG(z, z')).
      ig_steps, attack_ig_steps, ig_rule, nodes_per_pass, completeness: as in `ig_norm`.
    """
    term = _at_pixels(ig_rule, nodes_per_pass)
    counts = (ig_steps, attack_ig_steps)
    return _sized("clean", weight, term, size, *counts, completeness, threat="transport")
