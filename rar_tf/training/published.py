"""The hyperparameters of the papers' experiments, as plain data."""

from typing import Any

# [RAR], from its published code. Weights are lambda and beta.
RAR: dict[str, dict[str, Any]] = {
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
RAR_OBJECTIVES = ("natural", "madry", "ig_norm", "ig_sum_norm")

# Peak learning rates under momentum: of mean losses, and of the original's IG losses, which
# are sums over the batch.
RAR_MOMENTUM = {"gtsrb": (1e-2, 1e-2), "oxford_flowers17": (1e-2, 1e-3)}
RAR_WEIGHT_DECAY = 2e-4

# [FAR, Tables 2 and 3]. Steps are 50 epochs of the official training images.
FAR: dict[str, dict[str, Any]] = {
    "mnist": {
        "architecture": "small_cnn",
        "batch_size": 50,
        "max_steps": 60_000,
        "epsilon": 0.3,
        "natural_learning_rate": 1e-3,
        "weights": {"aat": 0.5, "adv_aat": 0.5, "align": 0.5},
    },
    "fashion_mnist": {
        "architecture": "small_cnn",
        "batch_size": 50,
        "max_steps": 60_000,
        "epsilon": 0.1,
        "natural_learning_rate": 1e-3,
        "weights": {"aat": 1.0, "adv_aat": 0.5, "align": 0.5},
    },
    "cifar10": {
        "architecture": "resnet18",
        "batch_size": 128,
        "max_steps": 19_532,
        "epsilon": 0.03,
        "natural_learning_rate": 1e-2,
        "weights": {"aat": 2.0, "adv_aat": 0.5},
    },
    "gtsrb": {
        "architecture": "gtsrb_resnet",
        "batch_size": 128,
        "max_steps": 15_316,
        "epsilon": 0.03,
        "natural_learning_rate": 1e-2,
        "weights": {"aat": 0.5, "adv_aat": 0.2},
    },
}
FAR_OBJECTIVES = ("aat", "adv_aat", "align")
