"""Preset -> the objects of a run."""

from typing import Any

import keras

from rar_tf import models
from rar_tf.attack import Attack, LpBall, Threat, TransportPenalty
from rar_tf.datasets import ImageData
from rar_tf.naming import is_own
from rar_tf.objective import Objective, constructor
from rar_tf.training.presets import Preset
from rar_tf.training.schedules import objective_settings


def objective(preset: Preset) -> Objective:
    """The objective with those of the preset's settings that are its own.

    Raises:
      ValueError: one of them is not given.
    """
    names = objective_settings(preset.objective)
    if is_own(preset.objective):  # None leaves the default of its own function.
        settings = {name: getattr(preset, name) for name in names} | (preset.options or {})
        settings = {name: value for name, value in settings.items() if value is not None}
    else:
        settings = {name: needed(preset, name) for name in names}
        if preset.chunk is not None:
            settings["chunk"] = preset.chunk
    return constructor(preset.objective)(**settings)


def attack(preset: Preset) -> Attack | None:
    """The inner maximization; None where the preset has none."""
    if preset.attack_steps is None:
        return None
    threat: Threat
    if preset.gamma is not None:
        threat = TransportPenalty(preset.gamma)
    else:
        threat = LpBall(norm=needed(preset, "norm"), epsilon=needed(preset, "epsilon"))
    step_size, decay = needed(preset, "attack_step_size"), preset.attack_decay or "constant"
    return Attack(threat, steps=preset.attack_steps, step_size=step_size, decay=decay)


def check_data(preset: Preset, data: ImageData) -> None:
    """Raises ValueError unless there are validation images, and enough to train on."""
    data.require("validation")
    count = len(data.require("train"))
    if preset.batch_size > count:
        raise ValueError(
            f"batch_size must be <= {count}, the number of training images. "
            f"Received: batch_size={preset.batch_size}; --batch_size sets it"
        )


def needed(preset: Preset, name: str) -> Any:
    """A setting that this preset must have.

    Raises:
      ValueError: it has none.
    """
    value = getattr(preset, name)
    if value is None:
        raise ValueError(f"{name} must be given for objective={preset.objective}. Received: None")
    return value


def learning_rate(preset: Preset):
    """A number or a Keras schedule by optimizer step."""
    schedules = keras.optimizers.schedules
    if preset.lr_schedule == "constant":
        return preset.learning_rate
    if preset.lr_schedule == "piecewise":
        boundaries, factors = needed(preset, "lr_boundaries"), needed(preset, "lr_factors")
        if len(factors) != len(boundaries) + 1:
            raise ValueError(
                "lr_factors must have one value more than lr_boundaries. "
                f"Received: lr_boundaries={boundaries}, lr_factors={factors}"
            )
        values = [preset.learning_rate * factor for factor in factors]
        return schedules.PiecewiseConstantDecay(list(boundaries), values)
    if preset.lr_schedule == "warmup_cosine":
        # A short trial run keeps the shape of the schedule.
        warmup = min(needed(preset, "warmup_steps"), preset.max_steps // 10)
        return schedules.CosineDecay(
            0.0 if warmup else preset.learning_rate,
            max(preset.max_steps - warmup, 1),
            warmup_target=preset.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    raise ValueError(
        "lr_schedule must be constant, piecewise or warmup_cosine. "
        f"Received: lr_schedule={preset.lr_schedule!r}"
    )


def optimizer(preset: Preset) -> keras.optimizers.Optimizer:
    """Adam, or SGD with momentum 0.9."""
    averaging = {} if preset.ema is None else {"use_ema": True, "ema_momentum": preset.ema}
    if preset.optimizer == "adam":
        epsilon = needed(preset, "adam_epsilon")
        return keras.optimizers.Adam(learning_rate(preset), epsilon=epsilon, **averaging)
    if preset.optimizer == "momentum":
        return keras.optimizers.SGD(learning_rate(preset), momentum=0.9, **averaging)
    raise ValueError(
        f"optimizer must be adam or momentum. Received: optimizer={preset.optimizer!r}"
    )


def classifier(preset: Preset, num_classes: int, image_shape: tuple[int, int, int]) -> keras.Model:
    """The preset's architecture at its initial weights, or the classifier of a `.keras` file.

    A softmax at the end of the file's classifier is taken away.

    Raises:
      ValueError: the file's classifier does not fit the data set.
    """
    if preset.init_from not in ("scratch", "natural"):
        return _own_classifier(preset, num_classes, image_shape)
    model = models.build(
        needed(preset, "architecture"),
        num_classes=num_classes,
        input_shape=image_shape,
        seed=preset.seed,
        weight_decay=preset.weight_decay,
    )
    if preset.initializer is not None:
        models.reinitialize(model, preset.initializer, seed=preset.seed)
    models.scale_kernels(model, preset.init_scale or 1.0, first=preset.first_init_scale)
    return model


def _own_classifier(preset, num_classes, image_shape):
    model, how = models.fitted(
        models.load_classifier(preset.init_from), image_shape, num_classes, name=preset.dataset
    )
    if how == "log_probability":
        raise ValueError(
            "a model to train must end in logits or a softmax layer. Received: "
            f"{preset.init_from}, which computes probabilities in another way"
        )
    if preset.weight_decay:
        models.decay_kernels(model, preset.weight_decay)
    return model
