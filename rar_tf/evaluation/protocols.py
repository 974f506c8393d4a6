"""What is measured, by paper and data set, and how hard it is searched for, by name."""

import dataclasses
import math

from rar_tf.attack import Ifia, LpBall
from rar_tf.attribution import Explainer
from rar_tf.checks import check_count, is_count
from rar_tf.naming import CUSTOM, call_custom, check_name, find, is_custom

PROTOCOLS = ("rar", "far")
ATTACKS = ("original", "default", "strongest")


@dataclasses.dataclass(frozen=True)
class Pgd:
    """Projected gradient descent against the prediction.

    Attributes:
      steps, step_size: step_size in pixel units.
      restarts: random starts, >= 1; an image counts only if it withstands all.
    """

    steps: int
    step_size: float
    restarts: int = 1

    def __post_init__(self):
        for name in ("steps", "restarts"):
            check_count(name, getattr(self, name))
        if not self.step_size > 0:
            raise ValueError(f"step_size must be > 0. Received: step_size={self.step_size}")


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One paper's measurement on one data set.

    Attributes:
      name: "rar" or "far".
      dataset: whose published settings these are; "other" for settings of ours.
      threat: the allowed set of both attacks.
      k: of the metric top-k intersection.
      explainer: the map that the metrics are about.
      pgd: the table's attack on predictions.
      strong_pgd: a stronger one, reported beside it.
      attack_k: of the score `top_k`.
      attack_steps, attack_step_size: of the paper's attack on maps.
    """

    name: str
    dataset: str
    threat: LpBall
    k: int
    explainer: Explainer
    pgd: Pgd
    strong_pgd: Pgd
    attack_k: int
    attack_steps: int
    attack_step_size: float

    def searches(self, attack: str) -> tuple[Ifia, ...]:
        """The searches that the named attack consists of.

        original: the paper's. [RAR]: the protocol's own map in score and selection, the
          softplus twin, each iterate's Kendall. [FAR Algorithm 1, Table 2]: softplus second
          derivative with beta 1, three runs, the first from x, the others from random starts.
        default: top-k mass plus 0.025 times the smooth surrogate `log_pearson`, on the softplus
          twin, held back where the label flips, the iterate of the lowest mean of top-k
          intersection and Kendall; once from x and once from a random start, each in 15% of the
          steps, as much larger, with 8 rotating midpoint nodes instead of 100, in bfloat16.
          On 200 validation images each of three models it is at least as strong as `original`:
          benchmarks/ifia_economy.py.
        strongest: a portfolio of scores and starts around `default`, whose searches are its
          first; each metric is the worst of what all found, never weaker than `default` on
          an image.
        module:function: one's own, from this protocol to a tuple of `Ifia`.

        Raises:
          ValueError: an unknown name, or a function of one's own that does not give searches.
        """
        if is_custom(attack):
            return _own_searches(attack, self)
        check_name("attack", attack, ATTACKS, CUSTOM)
        paper = Ifia(
            self.threat,
            k=self.attack_k,
            metric_k=self.k,
            steps=self.attack_steps,
            step_size=self.attack_step_size,
            explainer=self.explainer,
        )
        if attack == "original" and self.name == "far":
            paper = dataclasses.replace(
                paper, algorithm="until_flip", second_derivatives="softplus_second_derivative"
            )
            restart = dataclasses.replace(paper, random_start=True)
            return (paper, restart, restart)
        if attack == "original":
            return (paper,)
        steps = max(round(0.15 * self.attack_steps), 15)  # FAR's seven are few
        few = _cheap(self.explainer, 8)
        economical = dataclasses.replace(
            paper,
            score=_mixture(0.025),
            steps=steps,
            step_size=self.attack_step_size * max(self.attack_steps / steps, 1.0),
            select=("top_k_and_kendall",),
            hold_label=1.0,
            explainer=few,
            rotate_nodes=few.attribution == "integrated_gradients",
            clean_explainer=self.explainer,
            precision="mixed_bfloat16",
        )
        # Two short searches find more of the maxima than a long one.
        default = (economical, dataclasses.replace(economical, random_start=True))
        return default if attack == "default" else _portfolio(default)


def _own_searches(attack: str, protocol: Protocol) -> tuple[Ifia, ...]:
    searches = call_custom("attack", attack, find("attack", attack, {}), tuple, protocol)
    if not searches or not all(isinstance(search, Ifia) for search in searches):
        raise ValueError(f"attack={attack} must return a tuple of Ifia. Received: {searches}")
    return searches


def _cheap(explainer: Explainer, nodes: int) -> Explainer:
    if explainer.attribution != "integrated_gradients":
        return explainer
    return dataclasses.replace(explainer, steps=min(nodes, explainer.steps), rule="midpoint")


def _mixture(weight: float) -> tuple[tuple[str, float], ...]:
    return (("top_k", 1.0), ("log_pearson", weight))


def _portfolio(default: tuple[Ifia, ...]) -> tuple[Ifia, ...]:
    # The default's own iterates are among those that compete.
    first = [
        dataclasses.replace(search, select=(*search.select, "top_k", "kendall", "spearman"))
        for search in default
    ]
    # Steps that shrink, on coarser maps, reach other maxima at a fraction of the cost.
    base = default[0]
    shrinking = dataclasses.replace(
        base,
        select=("top_k", "kendall"),
        select_every=2,
        explainer=_cheap(base.explainer, 5),
        selection_explainer=base.explainer,
        steps=20,
        step_size=base.threat.epsilon / 2,
        decay="linear",
    )
    random = dataclasses.replace(shrinking, random_start=True)
    return (
        *first,
        dataclasses.replace(random, score="top_k"),
        dataclasses.replace(shrinking, score="mass_center"),
        dataclasses.replace(random, score="log_pearson"),
        dataclasses.replace(shrinking, score=_mixture(1.0)),
        dataclasses.replace(
            random,
            score="log_pearson",
            second_derivatives="softplus_second_derivative",
            softplus_beta=4.0,
        ),
    )


# Radius, k, top-k of the score, steps and size of the attack on maps, PGD: [RAR], the
# configurations published with its code.
_RAR = {
    "mnist": (0.3, 100, 200, 100, 0.01, Pgd(40, 0.01)),
    "fashion_mnist": (0.1, 100, 100, 100, 0.01, Pgd(20, 0.01)),
    "gtsrb": (8 / 255, 100, 100, 50, 1 / 255, Pgd(7, 2 / 255)),
    "oxford_flowers17": (8 / 255, 1000, 1000, 100, 1 / 255, Pgd(7, 2 / 255)),
}
# Radius, k: [FAR Table 2]; steps are the same for all data sets.
_FAR = {
    "mnist": (0.3, 50),
    "fashion_mnist": (0.1, 50),
    "cifar10": (0.03, 100),
    "gtsrb": (0.03, 100),
    "restricted_imagenet": (0.01, 300),
}


def protocol(
    name: str,
    dataset: str,
    image_shape: tuple[int, int, int],
    *,
    norm: str | int = "inf",
    epsilon: float | None = None,
    k: int | None = None,
    explainer: Explainer | None = None,
) -> Protocol:
    """The named protocol for a data set.

    Data sets that the paper does not have get GTSRB's settings for "rar" and CIFAR-10's for
    "far", with k a tenth of the pixels. Step sizes keep their share of the radius.

    Args:
      name: "rar" or "far".
      dataset: name of a data set.
      image_shape: (H, W, C).
      norm: of the threat; settings for 2 are nowhere published, epsilon must be given.
      epsilon: radius in pixel units; None for the protocol's.
      k: of the metric and the score; None for the protocol's.
      explainer: None for the papers' integrated gradients, 100 right-rule nodes from black.

    Raises:
      ValueError: an unknown name, norm 2 without epsilon, or k larger than the map.
    """
    check_name("protocol", name, PROTOCOLS)
    if norm == 2 and epsilon is None:
        raise ValueError("norm 2 needs an epsilon. Received: norm=2, epsilon=None")
    pixels = math.prod(image_shape[:2])
    tenth = max(1, pixels // 10)
    known = dataset in (_RAR if name == "rar" else _FAR)
    if name == "rar":
        radius, own_k, attack_k, steps, size, pgd = _RAR[dataset if known else "gtsrb"]
    else:
        radius, own_k = _FAR[dataset if known else "cifar10"]
        attack_k, steps, size = own_k, 7, 1.2 / 7 * radius
        pgd = Pgd(40, 0.03 * radius)
    if not known:
        own_k = attack_k = tenth
    if k is not None:
        own_k = attack_k = k
    if not is_count(own_k) or not 1 <= own_k <= pixels:
        raise ValueError(
            f"k must be in 1 .. {pixels}, the pixels of a map {image_shape[0]}x{image_shape[1]}. "
            f"Received: k={own_k}"
        )
    threat = LpBall(norm, radius if epsilon is None else epsilon)
    scale = threat.epsilon / radius
    return Protocol(
        name,
        dataset if known else "other",
        threat,
        own_k,
        explainer or Explainer(),
        dataclasses.replace(pgd, step_size=pgd.step_size * scale),
        Pgd(100, threat.epsilon / 10, restarts=5),
        attack_k,
        steps,
        size * scale,
    )
