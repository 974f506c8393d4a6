"""Every objective by name, one constructor each; the only registry."""

from rar_tf.objective import sizes, terms
from rar_tf.objective.objective import Objective


def natural() -> Objective:
    """`l(x)`."""
    return Objective(attacked=False)


def madry() -> Objective:
    """`max l(x_adv)`  [MMS17; RAR Prop. 1]."""
    return Objective(base="adversarial")


def ig_norm(
    weight: float = 1.0,
    *,
    ig_steps: int = 50,
    attack_ig_steps: int = 10,
    ig_rule: str = "midpoint",
    chunk: int | None = None,
) -> Objective:
    """`l(x) + lambda max ||IG(x, x_adv)||_1`  [RAR sec. 4, IG-NORM].

    Args:
      weight: lambda.
      ig_steps: m of the gradient step.
      attack_ig_steps: m of the attack.
      ig_rule: quadrature rule of both ("right" is the original's).
      chunk: nodes held in memory at once in the gradient step; None for all.
    """
    l1_terms = _l1_terms(ig_steps, attack_ig_steps, ig_rule, chunk)
    return Objective("clean", weight=weight, flat_at_x=True, **l1_terms)


def ig_sum_norm(
    weight: float = 0.1,
    *,
    ig_steps: int = 50,
    attack_ig_steps: int = 10,
    ig_rule: str = "midpoint",
    chunk: int | None = None,
) -> Objective:
    """`max { l(x_adv) + beta ||IG(x, x_adv)||_1 }`  [RAR sec. 4, IG-SUM-NORM].

    Args:
      weight: beta.
      ig_steps, attack_ig_steps, ig_rule, chunk: as in `ig_norm`.
    """
    l1_terms = _l1_terms(ig_steps, attack_ig_steps, ig_rule, chunk)
    return Objective("adversarial", weight=weight, **l1_terms)


def _l1_terms(ig_steps, attack_ig_steps, rule, chunk):
    return {
        "term": terms.loss_attribution(sizes.l1, steps=ig_steps, rule=rule, chunk=chunk),
        "search": terms.loss_attribution(sizes.l1, steps=attack_ig_steps, rule=rule, chunk=chunk),
    }


CATALOGUE = {
    constructor.__name__: constructor for constructor in (natural, madry, ig_norm, ig_sum_norm)
}
