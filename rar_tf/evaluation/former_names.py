"""Names in settings.json and report.json of earlier versions, and what they are called today."""

from typing import Any

from rar_tf.evaluation.attacks import CUSTOM_ATTACK

_REPORT = {"chunk": "nodes_per_pass"}
_EXPLAINERS = {
    "label_map": "explainer",
    "clean_map": "clean_explainer",
    "select_map": "selection_explainer",
}


def upgrade(values: dict[str, Any]) -> dict[str, Any]:
    """Settings or report as plain data, under today's names; those of today are unchanged."""
    values = {_REPORT.get(name, name): value for name, value in values.items()}
    if isinstance(values.get("protocol"), dict):
        values["protocol"] = _with_explainers(values["protocol"])
    if isinstance(values.get("searches"), list):
        values["searches"] = [_with_explainers(search) for search in values["searches"]]
    if values.get("attack") == "own":
        values["attack"] = CUSTOM_ATTACK
    # Versions without this field had one attack that takes the worst of each metric, whose first
    # two searches were its reference.
    if "attack" in values and "worst_of_each_metric" not in values:
        is_portfolio = values["attack"] == "strongest"
        values |= {"worst_of_each_metric": is_portfolio, "reference": 2 if is_portfolio else 0}
    return values


def _with_explainers(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        _EXPLAINERS.get(name, name): _explainer(value) if name in _EXPLAINERS else value
        for name, value in settings.items()
    }


def _explainer(settings: dict[str, Any] | None) -> dict[str, Any] | None:
    if settings is None:
        return None
    renamed = {("method" if n == "attribution" else n): value for n, value in settings.items()}
    return {"baseline": 0.0, "layer": None} | renamed
