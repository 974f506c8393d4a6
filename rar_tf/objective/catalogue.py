"""Every objective by name, one constructor each; the only registry."""

from rar_tf.attribution import input_gradient as input_gradient_map
from rar_tf.attribution import l1, label_logit, smooth_grad
from rar_tf.naming import find
from rar_tf.objective import sizes, terms
from rar_tf.objective.objective import Objective

# Similarity of maps by name, as the far objectives and the command line take them.
DISSIMILARITIES = {"pearson": terms.pearson_loss, "cosine": terms.cosine_loss, "l1": l1}


def natural() -> Objective:
    """`l(x)`."""
    return Objective(attacked=False)


def madry() -> Objective:
    """`max l(x_adv)`  [MMS17; RAR Prop. 1]."""
    return Objective(base="adversarial")


def ig_norm(
    weight: float = 1.0,
    *,
    size: sizes.SizeFn = sizes.l1,
    ig_steps: int = 50,
    attack_ig_steps: int = 10,
    ig_rule: str = "midpoint",
    chunk: int | None = None,
    completeness: bool = False,
) -> Objective:
    """`l(x) + lambda max ||IG(x, x_adv)||_1`  [RAR sec. 4, IG-NORM].

    Args:
      weight: lambda.
      size: s in place of the norm, attribution [B, ...] -> [B]  [RAR eq. 4].
      ig_steps: m of the gradient step.
      attack_ig_steps: m of the attack. With 0 it ascends l(x_adv) instead: l(x_adv) - l(x)
        is a lower bound of the norm (completeness), costs half or less, and on robust models
        its ascent meets larger norms than that of the norm itself, whose maximum next to a
        random start keeps the start's signs.
      ig_rule: quadrature rule of both ("right" is the original's).
      chunk: nodes held in memory at once; None for all.
      completeness: in the gradient step take ||IG||_1 = sum_i IG_i + 2 sum_i max(-IG_i, 0) with
        the sum as it is, l(x_adv) - l(x), and only the rest by quadrature: no change of the
        loss hides between a few nodes. With lambda = 1 the training loss is l(x_adv) and twice
        what pulls against its change.
    """
    term = _at_pixels(ig_rule, chunk)
    return _sized("clean", weight, term, size, ig_steps, attack_ig_steps, completeness)


def ig_sum_norm(
    weight: float = 0.1,
    *,
    size: sizes.SizeFn = sizes.l1,
    ig_steps: int = 50,
    attack_ig_steps: int = 10,
    ig_rule: str = "midpoint",
    chunk: int | None = None,
    completeness: bool = False,
) -> Objective:
    """`max { l(x_adv) + beta ||IG(x, x_adv)||_1 }`  [RAR sec. 4, IG-SUM-NORM].

    Args:
      weight: beta.
      size, ig_steps, attack_ig_steps, ig_rule, chunk, completeness: as in `ig_norm`.
    """
    term = _at_pixels(ig_rule, chunk)
    return _sized("adversarial", weight, term, size, ig_steps, attack_ig_steps, completeness)


def _at_pixels(rule, chunk):
    return lambda size, steps: terms.loss_attribution(size, steps=steps, rule=rule, chunk=chunk)


def _sized(base, weight, term, size, ig_steps, attack_ig_steps, completeness, **options):
    """s(IG) on either base; `term` makes one of a size and nodes."""
    options |= {"completeness": completeness, "search_loss": attack_ig_steps == 0}
    if attack_ig_steps:
        # Only the plain sum has a gradient at x_adv = x.
        flat = base == "clean" and size is not sizes.total
        options |= {"search": term(size, attack_ig_steps), "flat_at_x": flat}
    rest = sizes.beside_the_sum(size) if completeness else size
    return Objective(base, term(rest, ig_steps), weight, **options)


def input_gradient(weight: float = 0.1, *, q: float = 2.0) -> Objective:
    """`l(x) + lambda' ||grad_x l(x)||_q^q`, no attack  [RAR Prop. 2; DL92, RD18 at q = 2].

    Args:
      weight: lambda'.
      q: >= 1.
    """
    term = terms.input_gradient_size(sizes.lq_power(q))
    return Objective("clean", term, weight, attacked=False)


def loss_output(weight: float = 1.0) -> Objective:
    """`l(x) + lambda max |l(x_adv) - l(x)|`  [RAR Prop. 3 at lambda = 1].

    Args:
      weight: lambda.
    """
    return Objective("clean", terms.loss_change, weight, flat_at_x=True)


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
      weight: lambda.
      layer: name of a layer of the (Functional) classifier.
      size, ig_steps, attack_ig_steps, ig_rule, completeness: as in `ig_norm`.
    """

    def term(size, steps):
        return terms.layer_loss_attribution(size, layer, steps=steps, rule=ig_rule)

    counts = (ig_steps, attack_ig_steps)
    return _sized("clean", weight, term, size, *counts, completeness, layers=(layer,))


def distributional(
    weight: float = 1.0,
    *,
    size: sizes.SizeFn = sizes.l1,
    ig_steps: int = 50,
    attack_ig_steps: int = 10,
    ig_rule: str = "midpoint",
    chunk: int | None = None,
    completeness: bool = False,
) -> Objective:
    """`l(z) + lambda sup_{z'} { d_IG(z, z') - gamma c(z, z') }`  [RAR eq. 7].

    For an attack whose threat is a `TransportPenalty`: it holds gamma and c, and no ball.
    With `size=sizes.total` and lambda = 1 the objective is [SND18]'s. The cost has no
    gradient by the weights; it is left out of the value.

    Args:
      weight: lambda.
      size: s of d_IG(z, z') = s(IG(z, z')).
      ig_steps, attack_ig_steps, ig_rule, chunk, completeness: as in `ig_norm`.
    """
    term = _at_pixels(ig_rule, chunk)
    return _sized("clean", weight, term, size, ig_steps, attack_ig_steps, completeness)


def far(
    weight: float = 1.0,
    *,
    attribution: str | terms.AttributionFn = "integrated_gradients",
    dissimilarity: str | terms.DissimilarityFn = "pearson",
    base: str = "clean",
    ig_steps: int = 50,
    attack_ig_steps: int = 10,
    ig_rule: str = "midpoint",
    chunk: int | None = None,
    softplus_beta: float | None = 1.0,
) -> Objective:
    """`l(x) + lambda max d_s[S(x_adv), S^T(x)]`  [FAR eq. 5, or eq. 6 with base "adversarial"].

    The target S^T is the batch's target map where the data gives one,
    ({"image": x, "target_map": t}, y), else S(x). On the clean base the adversary keeps the
    label [FAR Algorithm 1], on the adversarial one it does not [FAR Algorithm 2].

    Args:
      weight: lambda.
      attribution: S: "integrated_gradients" (from black), "input_gradient" or "smooth_grad",
        of the predicted class's logit; or a function (classifier, x, classes) -> map.
      dissimilarity: d_s: a name of `DISSIMILARITIES`, or a function (map, target) -> [B].
      base: "clean" or "adversarial".
      ig_steps, attack_ig_steps, ig_rule, chunk: of named attributions (samples of
        smooth_grad); a function decides for itself.
      softplus_beta: sharpness of the second derivatives in the attack; None for plain ReLU.
    """
    compare = _named("dissimilarity", dissimilarity, DISSIMILARITIES)

    def maps(steps):
        if callable(attribution):
            return attribution
        makers = {
            "integrated_gradients": lambda: terms.logit_attribution(
                steps=steps, rule=ig_rule, chunk=chunk
            ),
            "input_gradient": lambda: _logit_gradient,
            "smooth_grad": lambda: _smooth_grad(steps, chunk),
        }
        return _named("attribution", attribution, makers)()

    return Objective(
        base,
        terms.map_change(maps(ig_steps), compare),
        weight,
        search=terms.map_change(maps(attack_ig_steps), compare),
        prepare=terms.with_target_map(maps(attack_ig_steps)),
        flat_at_x=base == "clean",
        keep_label=base == "clean",
        softplus_beta=softplus_beta,
    )


def adv_far(weight: float = 1.0, **options) -> Objective:
    """`max { l(x_adv) + lambda d_s[S(x_adv), S^T(x)] }`  [FAR eq. 6]; options as `far`."""
    return far(weight, base="adversarial", **options)


def aat(weight: float = 1.0, **options) -> Objective:
    """`l(x) + lambda max PCL[IG(x_adv, 0), IG(x, 0)]`  [FAR eq. 10]; options as `far`."""
    return far(weight, **options)


def adv_aat(weight: float = 0.5, **options) -> Objective:
    """`max { l(x_adv) + lambda PCL[IG(x_adv, 0), IG(x, 0)] }`  [FAR eq. 11]; as `far`."""
    return far(weight, base="adversarial", **options)


def igr(weight: float = 1.0, **options) -> Objective:
    """`max { l(x_adv) + lambda (1 - cos(IG(x_adv, 0), IG(x, 0))) }`; options as `far`.

    The integrated gradient regularizer [Wang and Kong, Exploiting the Relationship Between
    Kendall's Rank Correlation and Cosine Similarity for Attribution Protection, 2022].
    """
    return far(weight, base="adversarial", dissimilarity="cosine", **options)


def align(
    weight: float = 0.5, *, base: str = "clean", softplus_beta: float | None = 1.0
) -> Objective:
    """`l(x) + lambda max log(1 + exp(-(cos(g^y(x_adv), x) - cos(g^ybar(x_adv), x))))`.

    [FAR eq. 9 and A.1.3; ALIGN]. FAR writes it on the clean loss; the authors of [ALIGN]
    train 0.5 of the term on the adversarial loss: base "adversarial".

    Args:
      weight: lambda.
      base: "clean" or "adversarial".
      softplus_beta: as in `far`.
    """
    return Objective(base, terms.misalignment, weight, softplus_beta=softplus_beta)


def _logit_gradient(classifier, x, classes):
    return input_gradient_map(label_logit(classifier), x, classes)


def _smooth_grad(samples, chunk):
    def attribution(classifier, x, classes):
        # The same noise for both maps of a pair: what differs is the image alone.
        return smooth_grad(
            label_logit(classifier),
            x,
            classes,
            samples=samples,
            sigma=0.1,
            seed=[0, 0],
            chunk=chunk,
        )

    return attribution


def _named(what, value, known):
    return value if callable(value) else find(what, value, known)


CATALOGUE = {
    constructor.__name__: constructor
    for constructor in (
        natural,
        madry,
        ig_norm,
        ig_sum_norm,
        input_gradient,
        loss_output,
        layer_ig_norm,
        distributional,
        far,
        adv_far,
        aat,
        adv_aat,
        igr,
        align,
    )
}
