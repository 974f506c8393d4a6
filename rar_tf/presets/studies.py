"""Studies of [FAR] as plain data: trainings, measurements and published values."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from rar_tf.models import INITIALIZERS
from rar_tf.naming import check_name
from rar_tf.papers import PUBLISHED, far
from rar_tf.presets import Preset, applies, natural_start, resolve

_APPROACHES = ("natural", "madry", "aat")


@dataclasses.dataclass(frozen=True)
class Case:
    """One line of a study.

    Attributes:
      keys: first cells of the line, such as objective and lambda.
      place: sort key of the line in the table.
      objective: objective of the training.
      settings: settings of the preset beside the study's.
      softplus_beta: sharpness of the attack's second derivatives; None for the protocol's.
      published: cells of the paper, or none.
    """

    keys: tuple[str, ...]
    place: tuple[float, ...]
    objective: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    softplus_beta: float | None = None
    published: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the case's folder."""
        return "-".join(self.keys)


@dataclasses.dataclass(frozen=True)
class Study:
    """One study.

    Attributes:
      keys: headers of the cases' first cells.
      published: headers of the paper's cells.
      cases: in the order of running.
      attribution: attribution method of the measured map; None for the protocol's integrated
        gradients.
      accuracies: whether NA and AA are measured.
      attack: default attack on maps.
      source: place in the paper, and its data set.
    """

    keys: tuple[str, ...]
    published: tuple[str, ...]
    cases: tuple[Case, ...]
    attribution: str | None
    accuracies: bool
    attack: str
    source: str

    def lines(self) -> list[Case]:
        """The cases in the order of the table."""
        return sorted(self.cases, key=lambda case: case.place)


def study(name: str, dataset: str) -> Study:
    """The study of this name; published values where they are of this data set."""
    check_name("study", name, STUDIES)
    return STUDIES[name](dataset)


def preset_of(case: Case, dataset: str, schedule: str, seed: int, overrides: dict) -> Preset:
    """The preset of a case; a natural model is the natural start of an AAT model.

    Overrides that do not apply to the case's objective are left out.

    Raises:
      ValueError: an unknown setting, or a value that is refused.
    """
    objective = "aat" if case.objective == "natural" else case.objective
    plain = resolve(dataset, objective, schedule, seed=seed)
    fitting = {name: value for name, value in overrides.items() if applies(plain, name)}
    preset = resolve(dataset, objective, schedule, seed=seed, **{**fitting, **case.settings})
    return natural_start(preset) if case.objective == "natural" else preset


def _lambda(dataset: str) -> Study:
    def published(objective: str, weight: float) -> tuple[str, ...]:
        known = (
            far.HYPERPARAMETERS.get(dataset, {"weights": {}})["weights"].get(objective) == weight
        )
        return PUBLISHED[("far", dataset, objective)] if known else ()

    return Study(
        keys=("objective", "lambda"),
        published=("published NA", "AA", "IN", "CO"),
        cases=tuple(
            Case((objective, f"{weight:g}"), (place, weight), objective, {"weight": weight},
                 published=published(objective, weight))
            for weight in far.STUDY_LAMBDAS for place, objective in enumerate(("aat", "adv_aat"))
        ),
        attribution=None,
        accuracies=True,
        attack="worst_case",
        source="[FAR] Figure 3 (Fashion-MNIST); published values are those of its Table 1",
    )  # fmt: skip


def _init(dataset: str) -> Study:
    def case(name: str, approach: str) -> Case:
        place = list(INITIALIZERS).index(name), _APPROACHES.index(approach)
        published = far.TABLE_4[name, approach] if dataset == "mnist" else ()
        return Case((name, approach), place, approach, {"initializer": name}, published=published)

    return Study(
        keys=("initializer", "approach"),
        published=("published IN", "CO"),
        cases=tuple(
            case(name, approach)
            for approach in ("natural", "aat", "madry")
            for name in INITIALIZERS
        ),
        attribution="input_gradient",
        accuracies=True,
        attack="original",
        source="[FAR] Figure 4 and Table 4 (MNIST); the maps are input gradients",
    )  # fmt: skip


def _beta(dataset: str) -> Study:
    return Study(
        keys=("beta",),
        published=(),
        cases=tuple(
            Case((f"{beta:g}",), (beta,), "natural", softplus_beta=beta) for beta in far.STUDY_BETAS
        ),
        attribution="input_gradient",
        accuracies=False,
        attack="original",
        source="[FAR] Figure 5 (MNIST); a natural model, the maps are input gradients",
    )


STUDIES = {"lambda": _lambda, "init": _init, "beta": _beta}
