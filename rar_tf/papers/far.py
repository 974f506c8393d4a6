"""[FAR]: hyperparameters of its experiments, constants of its evaluation, its Table 1."""

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
