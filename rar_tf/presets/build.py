"""Construction of the model, optimizer and attack of a preset."""

import dataclasses
from typing import Any

import keras

from rar_tf import models
from rar_tf.attack import LpBall
from rar_tf.datasets import ImageData
from rar_tf.presets.preset import Preset
from rar_tf.presets.resolve import resolve
from rar_tf.training import RobustModel


def robust_model(preset: Preset, classifier: keras.Model) -> RobustModel:
    """The compiled model that trains this classifier.

    Raises:
      ValueError: the classifier lacks a layer of the objective.
    """
    model = RobustModel(
        classifier,
        preset.objective.build(),
        preset.build_attack(),
        seed=preset.seed,
        precision=precision(preset, classifier),
        batch_statistics=preset.model.batch_statistics or "moving",
        **dataclasses.asdict(preset.model.convention),
    )
    model.compile(optimizer(preset))
    return model


def precision(preset: Preset, classifier: keras.Model) -> str:
    """The preset's precision, or that of a trial of this classifier where it is "auto".

    Raises:
      ValueError: the preset's precision does not work on this processor.
    """
    name = preset.optimizer.precision
    network = models.to_train(classifier, preset.model.convention).model
    if name == models.AUTO:
        return models.try_precisions(network).precision
    models.check_precision(network, name)
    return name


def ball(preset: Preset) -> LpBall:
    """The ball of the attack; that of `madry` on the data set if the preset has no ball."""
    threat = preset.attack and preset.attack.threat()
    if isinstance(threat, LpBall):
        return threat
    return ball(resolve(preset.data.name, "madry"))


def check_data(preset: Preset, data: ImageData) -> None:
    """Raises ValueError unless the data has validation images and a batch of training images.

    The ball of the attack must be smaller than the set of all images.
    """
    data.require("validation")
    ball(preset).check_images(data.image_shape)
    count = len(data.require("train"))
    if preset.optimizer.batch_size > count:
        raise ValueError(
            f"batch_size must be <= {count}, the number of training images. "
            f"Received: batch_size={preset.optimizer.batch_size}; --batch_size sets it"
        )


def learning_rate(preset: Preset) -> Any:
    """The learning rate: a number, or a Keras schedule by optimizer step."""
    settings, schedules = preset.optimizer, keras.optimizers.schedules
    if settings.lr_schedule == "piecewise":
        values = [settings.learning_rate * factor for factor in settings.lr_factors or ()]
        return schedules.PiecewiseConstantDecay(list(settings.lr_boundaries or ()), values)
    if settings.lr_schedule == "warmup_cosine":
        # At most a tenth of the run, so that short runs keep the shape of the schedule.
        warmup = min(settings.warmup_steps or 0, settings.max_steps // 10)
        return schedules.CosineDecay(
            0.0 if warmup else settings.learning_rate,
            max(settings.max_steps - warmup, 1),
            warmup_target=settings.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    return settings.learning_rate


def optimizer(preset: Preset) -> keras.optimizers.Optimizer:
    """The optimizer: Adam, or SGD with momentum 0.9."""
    settings = preset.optimizer
    averaging = {} if settings.ema is None else {"use_ema": True, "ema_momentum": settings.ema}
    rate = learning_rate(preset)
    if settings.name == "adam":
        return keras.optimizers.Adam(rate, epsilon=settings.adam_epsilon, **averaging)
    return keras.optimizers.SGD(rate, momentum=0.9, **averaging)


def classifier(preset: Preset, num_classes: int, image_shape: tuple[int, int, int]) -> keras.Model:
    """The preset's architecture at its initial weights, or the classifier of a `.keras` file.

    Its pixels and outputs are those that it has, see `Convention`.

    Raises:
      ValueError: the classifier does not fit the data set.
    """
    settings = preset.model
    models.import_modules(settings.imports or ())
    if settings.from_file or settings.architecture is None:
        return _from_file(preset, num_classes, image_shape)
    model = models.build(
        settings.architecture,
        num_classes=num_classes,
        input_shape=image_shape,
        seed=preset.seed,
        weight_decay=preset.optimizer.weight_decay,
    )
    _check_fit(preset, model, num_classes, image_shape)
    if settings.initializer is not None:
        models.reinitialize(model, settings.initializer, seed=preset.seed)
    models.scale_kernels(model, settings.init_scale or 1.0, first=settings.first_init_scale)
    return model


def _check_fit(
    preset: Preset, model: keras.Model, num_classes: int, image_shape: tuple[int, int, int]
) -> None:
    """Raises ValueError unless the model fits the data set and can be trained."""
    adapted = models.adapt_to_dataset(
        model,
        image_shape,
        num_classes,
        name=preset.data.name,
        convention=preset.model.convention,
    )
    source = preset.model.init_from if preset.model.from_file else preset.model.architecture
    models.check_trainable(adapted, str(source))


def _from_file(preset: Preset, num_classes: int, image_shape: tuple[int, int, int]) -> keras.Model:
    model = models.load_classifier(preset.model.init_from)
    _check_fit(preset, model, num_classes, image_shape)
    if preset.optimizer.weight_decay:
        models.decay_kernels(model, preset.optimizer.weight_decay)
    return model
