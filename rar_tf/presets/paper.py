"""The `paper` schedule: hyperparameters of the papers' experiments."""

from typing import Any

from rar_tf.naming import check_name
from rar_tf.papers import far, rar


def paper(dataset: str, objective: str) -> dict[str, Any]:
    """Settings by flat name from the paper that reports this objective on this data set.

    Raises:
      ValueError: no paper reports this objective on this data set.
    """
    if objective in rar.OBJECTIVES:
        check_name("dataset", dataset, rar.HYPERPARAMETERS, f" for {objective} --schedule=paper")
        return _rar(dataset, objective)
    reported = (*rar.OBJECTIVES, *far.OBJECTIVES)
    check_name("objective", objective, reported, " for --schedule=paper")
    datasets = [name for name, row in far.HYPERPARAMETERS.items() if objective in row["weights"]]
    check_name("dataset", dataset, datasets, f" for {objective} --schedule=paper")
    return _far(dataset, objective)


def _rar(dataset: str, objective: str) -> dict[str, Any]:
    table = rar.HYPERPARAMETERS[dataset]
    values = {name: value for name, value in table.items() if name != "weights"} | {
        "init_from": "scratch",
        "ig_steps": 50,
        "ig_rule": "right",
        "completeness": False,
        "weight": table["weights"].get(objective),
    }
    if dataset in rar.MOMENTUM:
        mean_peak, summed_peak = rar.MOMENTUM[dataset]
        summed = objective in table["weights"]
        # [RAR]'s code sums the IG losses over the batch; here losses are means.
        scale = table["batch_size"] if summed else 1
        return values | {
            "optimizer": "momentum",
            "learning_rate": (summed_peak if summed else mean_peak) * scale,
            "weight_decay": rar.WEIGHT_DECAY / scale,
            "lr_schedule": "piecewise",
            "lr_boundaries": (500, 60_000),
            "lr_factors": (0.1, 1.0, 0.1),
        }
    if objective == "natural":
        values["max_steps"] = 25_000
    return values | {"learning_rate": 1e-4, "adam_epsilon": 1e-8}


def _far(dataset: str, objective: str) -> dict[str, Any]:
    """Settings of [FAR Tables 2, 3]; IG step counts, which it does not give, are [RAR]'s."""
    table = far.HYPERPARAMETERS[dataset]
    return {
        "architecture": table["architecture"],
        "init_from": "natural",
        "natural_steps": table["max_steps"],
        "batch_size": table["batch_size"],
        "max_steps": table["max_steps"],
        "learning_rate": 1e-4,
        "adam_epsilon": 1e-8,
        "epsilon": table["epsilon"],
        "attack_steps": 7,
        "attack_step_size": 1.2 / 7 * table["epsilon"],
        "weight": table["weights"][objective],
        "ig_steps": 50,
        "attack_ig_steps": 10,
        "ig_rule": "right",
        "softplus_beta": 1.0,
    }
