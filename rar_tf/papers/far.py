"""[FAR]: hyperparameters of its experiments, constants of its evaluation, its Tables 1 and 4."""

from typing import Any

# [FAR, Tables 2 and 3]. Steps are 50 epochs of the official training images.
HYPERPARAMETERS: dict[str, dict[str, Any]] = {
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
OBJECTIVES = ("aat", "adv_aat", "align")

# Evaluation: radius of the threat in pixel units, k of the metric and of the score [FAR Table 2].
EVALUATION: dict[str, dict[str, Any]] = {
    "mnist": {"epsilon": 0.3, "k": 50},
    "fashion_mnist": {"epsilon": 0.1, "k": 50},
    "cifar10": {"epsilon": 0.03, "k": 100},
    "gtsrb": {"epsilon": 0.03, "k": 100},
    "restricted_imagenet": {"epsilon": 0.01, "k": 300},
}
# Data set whose evaluation settings stand in for those of a data set that the paper lacks.
EVALUATION_OF_OTHERS = "cifar10"
# Steps of all data sets; a step's size is its number here times the radius.
ATTACK_STEPS, ATTACK_STEP_SIZE = 7, 1.2 / 7
PGD_STEPS, PGD_STEP_SIZE = 40, 0.03
# Settings of the attack on maps by which it differs from the defaults of `Ifia`, and the number
# of further runs from random starts [FAR Algorithm 1, Table 2].
MAP_ATTACK: dict[str, Any] = {
    "algorithm": "until_flip",
    "second_derivatives": "softplus_second_derivative",
}
MAP_ATTACK_RESTARTS = 2

# Values of lambda of Figure 3 and of beta of Figure 5. Each in the order of running: a study that
# is stopped early has points over the whole range.
STUDY_LAMBDAS = (0.0, 1.0, 0.5, 1.5, 0.25, 0.75, 1.25)
STUDY_BETAS = (1.0, 10.0, 0.1, 100.0, 1000.0, 3.0, 0.3, 30.0, 300.0)

# Table 4, MNIST, input gradients: (initializer, objective) -> IN, CO as printed.
TABLE_4 = {
    ("PTD", "natural"): (".23", ".20"),
    ("PTD", "madry"): (".35", ".05"),
    ("PTD", "aat"): (".39", ".28"),
    ("CUST", "natural"): (".09", ".03"),
    ("CUST", "madry"): (".21", ".02"),
    ("CUST", "aat"): (".30", ".18"),
    ("UNI", "natural"): (".18", ".13"),
    ("UNI", "madry"): (".40", ".08"),
    ("UNI", "aat"): (".33", ".24"),
    ("HU", "natural"): (".13", ".08"),
    ("HU", "madry"): (".12", ".01"),
    ("HU", "aat"): (".38", ".24"),
    ("HN", "natural"): (".10", ".06"),
    ("HN", "madry"): (".11", ".01"),
    ("HN", "aat"): (".36", ".24"),
    ("GU", "natural"): (".27", ".19"),
    ("GU", "madry"): (".21", ".45"),
    ("GU", "aat"): (".38", ".27"),
    ("GN", "natural"): (".26", ".20"),
    ("GN", "madry"): (".37", ".55"),
    ("GN", "aat"): (".39", ".28"),
}

# (data set, objective) -> NA, AA, IN, CO as printed in Table 1; * is quoted there from others.
TABLE_1 = {
    ("fashion_mnist", "natural"): ("91.5", "11.0", ".43", ".20"),
    ("fashion_mnist", "madry"): ("87.1", "69.9", ".71", ".58"),
    ("fashion_mnist", "align"): ("90.2", "30.5", ".48", ".60"),
    ("fashion_mnist", "ig_sum_norm"): ("85.4*", "70.3*", ".72*", ".67*"),
    ("fashion_mnist", "aat"): ("89.8", "0.01", ".80", ".82"),
    ("fashion_mnist", "adv_aat"): ("86.7", "41.4", ".81", ".82"),
    ("mnist", "natural"): ("99.4", "12.1", ".43", ".10"),
    ("mnist", "madry"): ("98.9", "92.7", ".52", ".19"),
    ("mnist", "align"): ("98.7", "2.6", ".52", ".40"),
    ("mnist", "aat"): ("98.4", "0.0", ".76", ".72"),
    ("mnist", "adv_aat"): ("98.7", "77.1", ".77", ".73"),
    ("gtsrb", "natural"): ("98.5", "14.7", ".39", ""),
    ("gtsrb", "madry"): ("94.9", "66.7", ".72", ".64"),
    ("gtsrb", "align"): ("98.5*", "84.7*", ".92*", ".89*"),
    ("gtsrb", "aat"): ("95.6", "26.9", ".75", ".79"),
    ("gtsrb", "adv_aat"): ("91.7", "65.9", ".84", ".80"),
    ("cifar10", "natural"): ("89.9", "0.0", ".17", "-.02"),
    ("cifar10", "madry"): ("80.3", "43.9", ".66", ".66"),
    ("cifar10", "aat"): ("73.7", "0.4", ".86", ".70"),
    ("cifar10", "adv_aat"): ("72.2", "24.9", ".90", ".71"),
    ("restricted_imagenet", "natural"): ("89.1", "0.0", ".08", "-"),
    ("restricted_imagenet", "madry"): ("80.0", "68.2", ".81", ".78"),
    ("restricted_imagenet", "aat"): ("88.4", ".02", ".91", ".78"),
    ("restricted_imagenet", "adv_aat"): ("80.2", "61.1", ".90", ".79"),
}
