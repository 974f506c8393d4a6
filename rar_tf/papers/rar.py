"""[RAR]: hyperparameters of its experiments, constants of its evaluation, its Table 2."""

from typing import Any

# [RAR], from its published code. Weights are lambda and beta.
HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "mnist": {
        "architecture": "small_cnn",
        "batch_size": 50,
        "max_steps": 100_000,
        "epsilon": 0.3,
        "attack_steps": 40,
        "attack_step_size": 0.01,
        "attack_ig_steps": 10,
        "weights": {"ig_norm": 1.0, "ig_sum_norm": 0.1},
    },
    "fashion_mnist": {
        "architecture": "small_cnn",
        "batch_size": 50,
        "max_steps": 100_000,
        "epsilon": 0.1,
        "attack_steps": 20,
        "attack_step_size": 0.01,
        "attack_ig_steps": 10,
        "weights": {"ig_norm": 1.0, "ig_sum_norm": 0.1},
    },
    "gtsrb": {
        "architecture": "gtsrb_resnet",
        "batch_size": 64,
        "max_steps": 70_000,
        "epsilon": 8 / 255,
        "attack_steps": 7,
        "attack_step_size": 2 / 255,
        "attack_ig_steps": 5,
        "weights": {"ig_norm": 1.0, "ig_sum_norm": 1.0},
    },
    "oxford_flowers17": {
        "architecture": "flower_resnet",
        "batch_size": 16,
        "max_steps": 70_000,
        "epsilon": 8 / 255,
        "attack_steps": 7,
        "attack_step_size": 2 / 255,
        "attack_ig_steps": 5,
        "weights": {"ig_norm": 0.1, "ig_sum_norm": 0.1},
    },
}
OBJECTIVES = ("natural", "madry", "ig_norm", "ig_sum_norm")

# Peak learning rates under momentum: of mean losses, and of the original's IG losses, which
# are sums over the batch.
MOMENTUM = {"gtsrb": (1e-2, 1e-2), "oxford_flowers17": (1e-2, 1e-3)}
WEIGHT_DECAY = 2e-4

# Evaluation: radius of the threat in pixel units, k of the metric; k, steps and step size of the
# attack on maps; steps and step size of PGD. From the configurations published with its code.
EVALUATION: dict[str, dict[str, Any]] = {
    "mnist": {
        "epsilon": 0.3,
        "k": 100,
        "attack_k": 200,
        "attack_steps": 100,
        "attack_step_size": 0.01,
        "pgd_steps": 40,
        "pgd_step_size": 0.01,
    },
    "fashion_mnist": {
        "epsilon": 0.1,
        "k": 100,
        "attack_k": 100,
        "attack_steps": 100,
        "attack_step_size": 0.01,
        "pgd_steps": 20,
        "pgd_step_size": 0.01,
    },
    "gtsrb": {
        "epsilon": 8 / 255,
        "k": 100,
        "attack_k": 100,
        "attack_steps": 50,
        "attack_step_size": 1 / 255,
        "pgd_steps": 7,
        "pgd_step_size": 2 / 255,
    },
    "oxford_flowers17": {
        "epsilon": 8 / 255,
        "k": 1000,
        "attack_k": 1000,
        "attack_steps": 100,
        "attack_step_size": 1 / 255,
        "pgd_steps": 7,
        "pgd_step_size": 2 / 255,
    },
}
# Data set whose evaluation settings stand in for those of a data set that the paper lacks.
EVALUATION_OF_OTHERS = "gtsrb"
# Settings of the attack on maps by which it differs from the defaults of `Ifia`, and the number
# of further runs from random starts.
MAP_ATTACK: dict[str, Any] = {}
MAP_ATTACK_RESTARTS = 0

# (data set, objective) -> NA, AA, IN, CO as printed in Table 2.
TABLE_2 = {
    ("mnist", "natural"): ("99.17", "0.00", "46.61", ".1758"),
    ("mnist", "madry"): ("98.40", "92.47", "62.56", ".2422"),
    ("mnist", "ig_norm"): ("98.74", "81.43", "71.36", ".2841"),
    ("mnist", "ig_sum_norm"): ("98.34", "88.17", "72.45", ".3111"),
    ("fashion_mnist", "natural"): ("90.86", "0.01", "39.01", ".4610"),
    ("fashion_mnist", "madry"): ("85.73", "73.01", "46.12", ".6251"),
    ("fashion_mnist", "ig_norm"): ("85.13", "65.95", "59.22", ".6171"),
    ("fashion_mnist", "ig_sum_norm"): ("85.44", "70.26", "72.08", ".6747"),
    ("gtsrb", "natural"): ("98.57", "21.05", "54.16", ".6790"),
    ("gtsrb", "madry"): ("97.59", "83.24", "68.85", ".7520"),
    ("gtsrb", "ig_norm"): ("97.02", "75.24", "74.81", ".7555"),
    ("gtsrb", "ig_sum_norm"): ("95.68", "77.12", "74.04", ".7684"),
    ("oxford_flowers17", "natural"): ("86.76", "0.00", "8.12", ".4978"),
    ("oxford_flowers17", "madry"): ("83.82", "41.91", "55.87", ".7784"),
    ("oxford_flowers17", "ig_norm"): ("85.29", "24.26", "64.68", ".7591"),
    ("oxford_flowers17", "ig_sum_norm"): ("82.35", "47.06", "66.33", ".7974"),
}
