"""Protocols: what an evaluation measures, by paper and data set."""

import dataclasses
import math
from typing import Any

from rar_tf.attack import Ifia, LpBall, MapAttack
from rar_tf.attribution import Explainer
from rar_tf.checks import is_count
from rar_tf.evaluation.attacks import NAMED_ATTACKS
from rar_tf.evaluation.prediction_attacks import Pgd, PredictionAttack, strong_attack
from rar_tf.naming import CUSTOM, call_custom, check_name, find, is_custom
from rar_tf.papers import far, rar

PROTOCOLS = ("rar", "far")
ATTACKS = tuple(NAMED_ATTACKS)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One paper's measurement on one data set.

    Attributes:
      name: "rar" or "far".
      dataset: data set whose published settings these are; "other" where none are published.
      threat: allowed set of the attacks on maps and on predictions.
      k: number of pixels of the metric top-k intersection.
      explainer: map that the metrics compare.
      pgd: the paper's attack on predictions.
      strong_attack: parts of the stronger attack on predictions, reported beside it.
      attack_k: number of pixels of the score `top_k`.
      attack_steps: number of steps of the paper's attack on maps.
      attack_step_size: size of its steps, in pixel units.
    """

    name: str
    dataset: str
    threat: LpBall
    k: int
    explainer: Explainer
    pgd: Pgd
    strong_attack: PredictionAttack
    attack_k: int
    attack_steps: int
    attack_step_size: float

    def attack(self, name: str) -> MapAttack:
        """The attack on maps of this name.

        Args:
          name: "worst_case", for each metric the worst of gradient and gradient-free searches;
            "original", the paper's attack; "quick", a cheap one (see `evaluation.attacks`); or
            "module:function", a custom function from this protocol to a `MapAttack` or a tuple of
            its searches.

        Raises:
          ValueError: an unknown name, or a custom function that does not return an attack.
        """
        if is_custom(name):
            return _custom_attack(name, self)
        check_name("attack", name, NAMED_ATTACKS, CUSTOM)
        search = Ifia(
            self.threat,
            k=self.attack_k,
            metric_k=self.k,
            steps=self.attack_steps,
            step_size=self.attack_step_size,
            explainer=self.explainer,
        )
        return NAMED_ATTACKS[name](search, self.name)


def _custom_attack(name: str, protocol: Protocol) -> MapAttack:
    """The attack that a custom function returns, under the name of the function."""
    attack = call_custom("attack", name, find("attack", name, {}), object, protocol)
    if isinstance(attack, MapAttack):
        return dataclasses.replace(attack, name=name)
    try:
        return MapAttack(name, attack)
    except ValueError as error:
        raise ValueError(
            f"attack={name} must return a MapAttack or a tuple of Ifia. Received: {attack}"
        ) from error


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
      norm: norm of the threat; no settings are published for 2, epsilon must be given.
      epsilon: radius in pixel units; None for the protocol's.
      k: number of pixels of the metric and the score; None for the protocol's.
      explainer: map to measure; None for the papers' integrated gradients, 100 right-rule nodes
        from black.

    Raises:
      ValueError: an unknown name, norm 2 without epsilon, or k not smaller than the map.
    """
    check_name("protocol", name, PROTOCOLS)
    if norm == 2 and epsilon is None:
        raise ValueError("norm 2 needs an epsilon. Received: norm=2, epsilon=None")
    pixels = math.prod(image_shape[:2])
    known = dataset in (rar if name == "rar" else far).EVALUATION
    published = _rar_settings(dataset) if name == "rar" else _far_settings(dataset)
    metric_k, attack_k = published["k"], published["attack_k"]
    if not known:
        metric_k = attack_k = max(1, pixels // 10)
    if k is not None:
        metric_k = attack_k = k
    # Of all pixels the top-k intersection is 1 whatever the maps.
    if not is_count(metric_k) or not 1 <= metric_k < pixels:
        raise ValueError(
            f"k must be in 1 .. {pixels - 1}, fewer than the pixels of a map "
            f"{image_shape[0]}x{image_shape[1]}. Received: k={metric_k}"
        )
    threat = LpBall(norm, published["epsilon"] if epsilon is None else epsilon)
    threat.check_images(image_shape)
    scale = threat.epsilon / published["epsilon"]
    return Protocol(
        name=name,
        dataset=dataset if known else "other",
        threat=threat,
        k=metric_k,
        explainer=explainer or Explainer(),
        pgd=Pgd(published["pgd_steps"], published["pgd_step_size"] * scale),
        strong_attack=strong_attack(threat),
        attack_k=attack_k,
        attack_steps=published["attack_steps"],
        attack_step_size=published["attack_step_size"] * scale,
    )


def _rar_settings(dataset: str) -> dict[str, Any]:
    return rar.EVALUATION.get(dataset, rar.EVALUATION[rar.EVALUATION_OF_OTHERS])


def _far_settings(dataset: str) -> dict[str, Any]:
    settings = far.EVALUATION.get(dataset, far.EVALUATION[far.EVALUATION_OF_OTHERS])
    return settings | {
        "attack_k": settings["k"],
        "attack_steps": far.ATTACK_STEPS,
        "attack_step_size": far.ATTACK_STEP_SIZE * settings["epsilon"],
        "pgd_steps": far.PGD_STEPS,
        "pgd_step_size": far.PGD_STEP_SIZE * settings["epsilon"],
    }
