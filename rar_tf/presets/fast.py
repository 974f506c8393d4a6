"""The `fast` schedule: minutes on two CPU cores, for any data set and objective.

Literal settings by flat name, merged in this order, the later winning: base, architecture, data
set, objective, objective on an architecture, objective on a data set. Each value was chosen on
validation images: docs/experiments.md.
"""

from typing import Any

from rar_tf.objective import settings
from rar_tf.papers import rar

_BASE: dict[str, Any] = {
    "architecture": "resnet18",
    "init_from": "natural",
    "batch_size": 128,
    "max_steps": 3_000,
    "natural_steps": 1_300,
    "learning_rate": 1e-3,
    "lr_schedule": "warmup_cosine",
    "warmup_steps": 100,
    "adam_epsilon": 1e-7,
    "precision": "auto",
    "epsilon": 8 / 255,
    "attack_steps": 2,  # few, large steps: more images per second
    "gamma": 1.0,
}
_BY_ARCHITECTURE: dict[str, dict[str, Any]] = {
    "small_cnn": {"max_steps": 4_500},
    # Narrow convolutions are slower in bfloat16, also on processors with bfloat16 units.
    "gtsrb_resnet": {"precision": "float32"},
    "flower_resnet": {"precision": "float32"},
}
_LONG_NATURAL_START = {"natural_steps": 6_000}
_BY_DATASET: dict[str, dict[str, Any]] = {
    name: {key: row[key] for key in ("architecture", "epsilon")}
    for name, row in rar.HYPERPARAMETERS.items()
}
_BY_DATASET["gtsrb"] |= _LONG_NATURAL_START
_BY_DATASET["oxford_flowers17"] |= _LONG_NATURAL_START

_ONE_NODE = {"ig_steps": 1, "attack_ig_steps": 1, "completeness": True}
# Ascending the loss yields larger norms than ascending the norm, in half the operations.
_ASCEND_LOSS = _ONE_NODE | {"attack_ig_steps": 0}
# The path from a black image is longer than the one inside the ball.
_COMPARE_MAPS = {"batch_size": 64, "max_steps": 3_000, "ig_steps": 3, "attack_ig_steps": 2}
_BY_OBJECTIVE: dict[str, dict[str, Any]] = {
    "ig_norm": _ASCEND_LOSS,
    "ig_sum_norm": _ASCEND_LOSS,
    "layer_ig_norm": _ASCEND_LOSS,
    "distributional": _ONE_NODE | {"attack_steps": 5, "attack_step_size": 0.1},
    "far": _COMPARE_MAPS,
    "adv_far": _COMPARE_MAPS | {"weight": 0.5},
    "aat": _COMPARE_MAPS,
    "adv_aat": _COMPARE_MAPS,
    "igr": _COMPARE_MAPS,
    "align": {"batch_size": 64, "max_steps": 3_000},
}
_BY_OBJECTIVE_AND_ARCHITECTURE = {("layer_ig_norm", "small_cnn"): {"layer": "pool1"}}

# A strong attack with decreasing steps, in a ball slightly smaller than the paper's.
_FASHION = {
    "max_steps": 3_300,
    "learning_rate": 3e-3,
    "epsilon": 0.096,
    "attack_steps": 4,
    "attack_step_size": 0.192,
    "attack_decay": "linear",
}
_FASHION_FAR = _FASHION | {"max_steps": 2_500, "ig_steps": 2, "attack_ig_steps": 1}
_BY_OBJECTIVE_AND_DATASET: dict[tuple[str, str], dict[str, Any]] = {
    ("madry", "fashion_mnist"): _FASHION,
    ("ig_norm", "fashion_mnist"): _FASHION | {"max_steps": 3_000, "weight": 0.7},
    # The plain norm: beta times the change of the loss alone would reward a large l(x).
    ("ig_sum_norm", "fashion_mnist"): _FASHION
    | {
        "max_steps": 3_500,
        "attack_steps": 8,
        "weight": 0.05,
        "completeness": False,
        "ig_steps": 2,
    },
    ("aat", "fashion_mnist"): _FASHION_FAR | {"weight": 20.0},
    ("adv_aat", "fashion_mnist"): _FASHION_FAR
    | {"weight": 16.0, "epsilon": 0.075, "attack_step_size": 0.15},
}
# Natural training, in place of the tables above; networks without normalization use small batches.
_NATURAL: dict[str, Any] = {"init_from": "scratch", "natural_steps": None, "max_steps": 1_300}
_NATURAL_BY_DATASET: dict[str, dict[str, Any]] = {
    "gtsrb": {"batch_size": 32, "max_steps": 6_000, "learning_rate": 2e-3, "validate_every": 2_000},
    "oxford_flowers17": {
        "batch_size": 16,
        "max_steps": 6_000,
        "learning_rate": 2e-3,
        "validate_every": 2_000,
    },
}
# Factors of the initial kernels by architecture: docs/choosing.md.
INIT_SCALES: dict[str, dict[str, float]] = {
    "small_cnn": {"init_scale": 0.5, "first_init_scale": 0.1}
}


def fast(dataset: str, objective: str) -> dict[str, Any]:
    """Settings of the fast schedule by flat name; absent ones have the defaults of the parts."""
    values = _BASE | _BY_DATASET.get(dataset, {})
    architecture = values["architecture"]
    values = _BASE | _BY_ARCHITECTURE.get(architecture, {}) | _BY_DATASET.get(dataset, {})
    if objective == "natural":
        return values | _NATURAL | _NATURAL_BY_DATASET.get(dataset, {})
    by_objective = _BY_OBJECTIVE.get(objective, {})
    weights = rar.HYPERPARAMETERS.get(dataset, {}).get("weights", {})
    if objective in weights:
        values["weight"] = weights[objective]
    # Steps as large as the radius; attacks on maps need smaller ones.
    share = 0.7 if "softplus_beta" in settings(objective) else 1.0
    values["attack_step_size"] = share * values["epsilon"]
    return (
        values
        | by_objective
        | _BY_OBJECTIVE_AND_ARCHITECTURE.get((objective, architecture), {})
        | _BY_OBJECTIVE_AND_DATASET.get((objective, dataset), {})
    )
