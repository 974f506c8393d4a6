"""Setting: what results must share to stand in one table."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rar_tf.attribution import Explainer
from rar_tf.evaluation import Report
from rar_tf.papers import far, rar

_PAPERS = {"rar": rar, "far": far}


@dataclasses.dataclass(frozen=True)
class Setting:
    """Measurement, images and threat of the results of one table.

    Attributes:
      protocol: name of the protocol.
      dataset: name of the data set.
      split: split of the data set.
      threat: allowed set around an image, in words.
      k: number of pixels of the top-k intersection.
      explainer: map that is attacked, in words.
      images: digest of the images, where results of other images have the same setting otherwise.
    """

    protocol: str
    dataset: str
    split: str
    threat: str
    k: int
    explainer: str
    images: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The setting in words, part by part."""
        return (
            self.dataset,
            self.split,
            f"protocol {self.protocol}",
            self.threat,
            f"k {self.k}",
            self.explainer,
            f"images {self.images}" if self.images else "",
        )

    @property
    def title(self) -> str:
        """The setting in words, as the heading of a table."""
        return ", ".join(filter(None, self.parts))

    @property
    def is_published(self) -> bool:
        """Whether it is the setting of the paper's table: split, threat, k and map."""
        paper = _PAPERS.get(self.protocol)
        values = paper.EVALUATION.get(self.dataset) if paper else None
        return values is not None and self.parts[1:6] == (
            "test",
            f"protocol {self.protocol}",
            _threat({"norm": "inf", "epsilon": values["epsilon"]}),
            f"k {values['k']}",
            _explainer(dataclasses.asdict(Explainer())),
        )


def setting_of(report: Report) -> Setting:
    """The setting of one report.

    Raises:
      ValueError: the report lacks a part of it.
    """
    protocol, data = report.protocol, report.dataset
    try:
        return Setting(
            protocol=protocol["name"],
            dataset=data["name"],
            split=data["split"],
            threat=_threat(protocol["threat"]),
            k=protocol["k"],
            explainer=_explainer(protocol["explainer"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"a report must name protocol, data set, split, threat, k and map. Received: {error!r}"
        ) from error


def settings_by_images(reports: Sequence[Report]) -> list[Setting]:
    """The settings of reports; of other images, such as ones changed since, another setting.

    Reports of different numbers of images share one where the digests of their first images
    agree.
    """
    settings = [setting_of(report) for report in reports]
    groups: dict[Setting, list[list[int]]] = {}
    largest_first = sorted(range(len(reports)), key=lambda i: -_num_images(reports[i]))
    for i in largest_first:
        alike = groups.setdefault(settings[i], [])
        for group in alike:
            if all(_same_images(reports[i], reports[j]) for j in group):
                group.append(i)
                break
        else:
            alike.append([i])
    for setting, alike in groups.items():
        for group in alike if len(alike) > 1 else ():
            digest = list(_prefixes(reports[group[0]]).values())[-1][:8]
            for i in group:
                settings[i] = dataclasses.replace(setting, images=digest)
    return settings


def short_names(settings: Sequence[Setting]) -> dict[Setting, str]:
    """The data set of each setting, and in words only the other parts in which they differ."""
    columns = list(zip(*(setting.parts for setting in settings), strict=True))
    differing = [i for i, column in enumerate(columns) if i and len(set(column)) > 1]
    return {
        setting: ", ".join(filter(None, (setting.parts[i] for i in (0, *differing))))
        for setting in settings
    }


def differences(reports: Mapping[str, Sequence[Report]]) -> list[str]:
    """Sentences on how the measurements of one table differ, beyond the attack.

    Args:
      reports: the reports of the table, by approach.
    """
    pairs = [(approach, report) for approach, part in reports.items() for report in part]
    lines = [
        _difference("seed of random starts", pairs, lambda report: report.seed),
        _difference("PGD", pairs, lambda report: _digest(report.protocol.get("pgd"))),
    ]
    for attack in dict.fromkeys(report.attack for _, report in pairs):
        group = [(approach, report) for approach, report in pairs if report.attack == attack]
        lines += [
            _difference(f"number of images of attack {attack}", group, _num_images),
            _difference(f"searches of attack {attack}", group, lambda r: _digest(r.searches)),
        ]
    return [line for line in lines if line]


def _difference(
    name: str, pairs: Sequence[tuple[str, Report]], value: Callable[[Report], Any]
) -> str:
    approaches: dict[Any, list[str]] = {}
    for approach, report in pairs:
        names = approaches.setdefault(value(report), [])
        names += [approach] if approach not in names else []
    if len(approaches) < 2:
        return ""
    parts = "; ".join(f"{shown}: {', '.join(names)}" for shown, names in approaches.items())
    return f"These results differ in the {name} ({parts})."


def _threat(threat: Mapping[str, Any]) -> str:
    bounds = threat.get("bounds", (0.0, 1.0))
    suffix = "" if bounds and tuple(bounds) == (0.0, 1.0) else f" bounds {bounds}"
    return f"l_{threat['norm']} {threat['epsilon']:.6g}{suffix}"


def _explainer(explainer: Mapping[str, Any]) -> str:
    method = explainer["method"]
    words = [method.replace("_", " ") if ":" not in method else method]
    if method == "integrated_gradients":
        words.append(f"{explainer['steps']} nodes {explainer['rule']}")
        words += [f"baseline {explainer['baseline']:g}"] if explainer["baseline"] else []
    elif method == "smooth_grad":
        words.append(f"{explainer['steps']} samples sigma {explainer['sigma']:g}")
    # Settings of other maps than these.
    known = {field.name: field.default for field in dataclasses.fields(Explainer)}
    covered = ("method", "steps", "rule", "sigma", "baseline")
    words += [
        f"{name} {value}"
        for name, value in explainer.items()
        if name not in covered and value != known.get(name)
    ]
    return " ".join(words)


def _num_images(report: Report) -> int:
    return int(report.dataset.get("num_examples") or 0)


def _prefixes(report: Report) -> dict[str, str]:
    """Digests of the first images, by their number."""
    return dict(report.dataset.get("prefixes") or {})


def _same_images(one: Report, other: Report) -> bool:
    a, b = _prefixes(one), _prefixes(other)
    return all(a[number] == b[number] for number in a.keys() & b.keys())


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
