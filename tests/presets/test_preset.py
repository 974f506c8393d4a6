"""Presets: the original's table, overrides, what applies, errors, and one check over all."""

import json

import numpy as np
import pytest

from rar_tf.objective import OBJECTIVES
from rar_tf.papers import far, rar
from rar_tf.presets import (
    SCHEDULES,
    Preset,
    applies,
    build,
    differences,
    natural_start,
    resolve,
    setting_names,
)
from rar_tf.presets.parts import (
    BallSettings,
    DataSettings,
    ModelSettings,
    ObjectiveSettings,
    TransportSettings,
    ValidationSettings,
)

PAPER_DATASETS = ("mnist", "fashion_mnist", "gtsrb", "oxford_flowers17")


def published_row(dataset, objective):
    if objective in rar.OBJECTIVES:
        return dataset in rar.HYPERPARAMETERS
    return objective in far.HYPERPARAMETERS.get(dataset, {}).get("weights", ())


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("dataset", PAPER_DATASETS)
def test_every_preset_builds_and_round_trips_through_json(dataset, objective, schedule):
    if schedule == "paper" and not published_row(dataset, objective):
        with pytest.raises(ValueError, match="must be one of .* for .*--schedule=paper"):
            resolve(dataset, objective, schedule)
        return
    layer = "somewhere" if objective == "layer_ig_norm" else None
    preset = resolve(dataset, objective, schedule, layer=layer)
    built = preset.objective.build()
    assert built.weight == preset.objective.values.get("weight", 0.0)
    attack = preset.build_attack()
    assert (attack is not None) == built.attacked
    if attack and objective != "distributional":
        assert attack.threat.epsilon == preset.attack.epsilon < 1
    build.optimizer(preset)
    assert json.loads(preset.to_json())["objective"] == objective


def test_paper_values_of_fashion_mnist():
    preset = resolve("fashion_mnist", "ig_norm", "paper")
    assert (
        preset.optimizer.batch_size,
        preset.optimizer.max_steps,
        preset.optimizer.learning_rate,
    ) == (50, 100_000, 1e-4)
    assert (preset.attack.epsilon, preset.attack.steps, preset.attack.step_size) == (0.1, 20, 0.01)
    assert (
        preset.objective.values["ig_steps"],
        preset.objective.values["attack_ig_steps"],
        preset.objective.values["ig_rule"],
    ) == (50, 10, "right")
    assert (
        preset.objective.values["weight"],
        resolve("fashion_mnist", "ig_sum_norm", "paper").objective.values["weight"],
    ) == (1.0, 0.1)
    assert resolve("fashion_mnist", "natural", "paper").optimizer.max_steps == 25_000
    assert (preset.optimizer.adam_epsilon, preset.model.init_from) == (1e-8, "scratch")


@pytest.mark.parametrize(
    ("dataset", "objective", "rates", "decay"),
    [
        ("gtsrb", "natural", (1e-3, 1e-2, 1e-3), 2e-4),
        ("gtsrb", "ig_norm", (0.064, 0.64, 0.064), 3.125e-6),
        ("oxford_flowers17", "madry", (1e-3, 1e-2, 1e-3), 2e-4),
        ("oxford_flowers17", "ig_sum_norm", (0.0016, 0.016, 0.0016), 1.25e-5),
    ],
)
def test_momentum_presets_turn_the_original_s_sums_into_means(dataset, objective, rates, decay):
    preset = resolve(dataset, objective, "paper")
    schedule = build.learning_rate(preset)
    for step, rate in zip((0, 501, 60_001), rates, strict=True):
        assert float(schedule(step)) == pytest.approx(rate)
    assert preset.optimizer.weight_decay == pytest.approx(decay)
    assert build.optimizer(preset).momentum == 0.9


def test_fast_natural_models_are_those_that_others_start_from():
    for dataset in PAPER_DATASETS:
        natural = resolve(dataset, "natural")
        preset = resolve(dataset, "ig_norm")
        assert natural_start(preset) == natural and natural.model.natural_steps is None
        slow = natural.model.architecture != "small_cnn"  # in bfloat16
        assert natural.optimizer.precision == ("float32" if slow else "auto")
    assert (
        resolve("gtsrb", "natural").optimizer.batch_size
        == 32
        < resolve("gtsrb", "madry").optimizer.batch_size
    )


def _scales(preset):
    return preset.model.init_scale, preset.model.first_init_scale


def test_the_scales_of_fast_initial_kernels_follow_the_architecture():
    assert _scales(resolve("mnist", "ig_norm")) == (0.5, 0.1)
    assert _scales(resolve("folder:photos", "ig_norm")) == (None, None)
    assert _scales(resolve("folder:photos", "ig_norm", architecture="small_cnn")) == (0.5, 0.1)
    assert _scales(resolve("mnist", "ig_norm", architecture="resnet18")) == (None, None)
    given = {"init_scale": 2.0, "first_init_scale": 3.0}
    assert _scales(natural_start(resolve("mnist", "ig_norm", **given))) == (2, 3)
    for paper in (resolve("mnist", "ig_norm", "paper"), resolve("mnist", "aat", "paper")):
        assert _scales(paper) == _scales(natural_start(paper)) == (None, None)
    assert _scales(resolve("mnist", "ig_norm", init_from="me.keras")) == (None, None)


def test_an_initializer_is_taken_as_it_is():
    own = resolve("mnist", "ig_norm", initializer="own")
    assert (own.model.initializer, *_scales(own)) == (None, None, None)
    other = resolve("mnist", "aat", initializer="HU")
    assert (other.model.initializer, *_scales(other)) == ("HU", None, None)
    scaled = resolve("mnist", "aat", initializer="HU", init_scale=0.3)
    assert _scales(scaled) == (0.3, None)
    for preset in (own, other, scaled):
        start = natural_start(preset)
        assert (start.model.initializer, *_scales(start)) == (
            preset.model.initializer,
            *_scales(preset),
        )


def test_initial_kernels_are_scaled_and_biases_are_not():
    presets = [resolve("mnist", "ig_norm"), resolve("mnist", "ig_norm", initializer="own")]
    fast, own = (build.classifier(preset, 10, (28, 28, 1)).get_weights() for preset in presets)
    for index, (scaled, whole) in enumerate(zip(fast, own, strict=True)):
        factor = 1 if whole.ndim == 1 else 0.5 if index else 0.1
        np.testing.assert_array_equal(scaled, np.float32(factor) * whole)
    with pytest.raises(ValueError, match="first_init_scale must be > 0 and finite. Received: f"):
        resolve("mnist", "ig_norm", first_init_scale=0.0)
    with pytest.raises(ValueError, match="init_scale must be > 0 and finite. Received: init_sc"):
        resolve("mnist", "ig_norm", init_scale=-1.0)


def test_paper_values_of_far():
    preset = resolve("fashion_mnist", "aat", "paper")
    assert (
        preset.objective.values["weight"],
        preset.optimizer.learning_rate,
        preset.optimizer.batch_size,
    ) == (1.0, 1e-4, 50)
    assert (preset.attack.steps, preset.model.init_from) == (7, "natural")
    assert preset.attack.step_size == pytest.approx(1.2 / 7 * 0.1)
    assert resolve("gtsrb", "adv_aat", "paper").objective.values["weight"] == 0.2


def test_warmup_and_cosine_reach_their_peak_and_zero():
    preset = resolve("fashion_mnist", "ig_norm")
    schedule = build.learning_rate(preset)
    assert float(schedule(0)) == 0
    assert float(schedule(preset.optimizer.warmup_steps)) == pytest.approx(
        preset.optimizer.learning_rate
    )
    assert float(schedule(preset.optimizer.max_steps)) == pytest.approx(0, abs=1e-9)
    short = build.learning_rate(resolve("fashion_mnist", "ig_norm", max_steps=50))
    assert float(short(5)) == pytest.approx(preset.optimizer.learning_rate)
    assert float(short(50)) == pytest.approx(0, abs=1e-9)


def test_overrides_none_leaves_and_zero_is_respected():
    preset = resolve("fashion_mnist", "ig_norm", weight=0.0, attack_steps=0, batch_size=None)
    assert (
        preset.objective.values["weight"],
        preset.attack.steps,
        preset.optimizer.batch_size,
    ) == (0.0, 0, 128)


@pytest.mark.parametrize(
    ("arguments", "overrides", "message"),
    [
        (("fashion_mnist", "ig_nrom"), {}, r"objective must be one of .*Did you mean 'ig_norm'\?"),
        (("fashion_mnist", "ig_norm", "quick"), {}, "schedule must be one of fast, paper"),
        (
            ("cifar10", "ig_norm", "paper"),
            {},
            "dataset must be one of .*for ig_norm --schedule=paper",
        ),
        (("fashion_mnist", "madry"), {"weight": 0.5}, "weight does not apply to objective=madry"),
        (("fashion_mnist", "natural"), {"epsilon": 0.1}, "epsilon does not apply"),
        (("fashion_mnist", "ig_norm"), {"batch_size": 0}, "batch_size must be >= 1.*batch_size=0"),
        (("fashion_mnist", "ig_norm"), {"epsilon": 8}, r"epsilon must be <= 1.* 8/255 = 0\.0314"),
        (("fashion_mnist", "ig_norm"), {"learning_rate": -1.0}, "learning_rate must be > 0"),
        (("fashion_mnist", "ig_norm"), {"validate_every": 0}, "validate_every must be >= 1"),
        (
            ("fashion_mnist", "madry"),
            {"initializer": "GG"},
            "initializer must be .*GN.*'GG'",
        ),
        (
            ("fashion_mnist", "madry"),
            {"init_from": "me.pt"},
            "natural or a .keras or .h5 file.*me.pt",
        ),
        (("gtsrb", "madry"), {"image_size": (8, 0)}, "image_size must be .*Received: .*=8,0"),
        (
            ("gtsrb", "madry"),
            {"init_from": "me.keras", "initializer": "GU"},
            "initializer does not apply to init_from=me.keras.*Received: initializer=GU",
        ),
        (
            ("fashion_mnist", "ig_norm"),
            {"epsilonn": 1},
            r"setting must be .*Did you mean 'epsilon'",
        ),
    ],
)
def test_errors(arguments, overrides, message):
    with pytest.raises(ValueError, match=message):
        resolve(*arguments, **overrides)


def test_a_classifier_of_ones_own_brings_its_network():
    preset = resolve("fashion_mnist", "ig_norm", init_from="me.keras", image_size=(28,))
    assert (preset.model.architecture, preset.model.natural_steps, preset.model.init_from) == (
        None,
        None,
        "me.keras",
    )
    assert preset.data.image_size == (28, 28)
    with pytest.raises(ValueError, match="layer must be given for objective=layer_ig_norm"):
        resolve("fashion_mnist", "layer_ig_norm", init_from="me.keras").objective.build()


def test_a_schedule_that_the_preset_does_not_have():
    preset = resolve(
        "fashion_mnist",
        "natural",
        lr_schedule="piecewise",
        lr_boundaries=(10, 20),
        lr_factors=(0.1, 1.0, 0.5),
    )
    rates = [float(build.learning_rate(preset)(step)) for step in (0, 15, 25)]
    assert rates == pytest.approx([1e-4, 1e-3, 5e-4])
    with pytest.raises(ValueError, match="lr_factors must have one value more.*lr_factors=.1.0,"):
        preset.replace(lr_factors=(1.0,))
    with pytest.raises(ValueError, match="lr_boundaries must be given.*Received: None"):
        resolve("fashion_mnist", "natural", lr_schedule="piecewise")
    with pytest.raises(ValueError, match="lr_boundaries must be >= 1 and ascending"):
        preset.replace(lr_boundaries=(20, 10))


def test_values_that_the_parts_themselves_refuse():
    for override, message in (
        ({"optimizer": "lion"}, "optimizer must be adam or momentum.*'lion'"),
        ({"lr_schedule": "steps"}, "lr_schedule must be .*'steps'"),
    ):
        with pytest.raises(ValueError, match=message):
            build.optimizer(resolve("fashion_mnist", "natural", **override))
    with pytest.raises(ValueError, match="epsilon must be finite"):
        resolve("fashion_mnist", "madry", epsilon=float("nan"))


def test_the_decay_of_attack_steps_is_of_a_training_with_an_attack():
    preset = resolve("fashion_mnist", "madry", attack_decay="linear")
    assert preset.build_attack().decay == "linear"
    with pytest.raises(ValueError, match="attack_decay must be.*constant, linear.*cosine"):
        resolve("fashion_mnist", "madry", attack_decay="cosine")
    with pytest.raises(ValueError, match="attack_decay does not apply to objective=natural"):
        resolve("fashion_mnist", "natural", attack_decay="linear")


def test_differences_name_what_differs():
    before, after = {"a": 1, "b": 2, "d": 1}, {"a": 1, "b": 3, "c": 4}
    assert differences(before, after) == ["b: 2 -> 3", "d: 1 -> None", "c: None -> 4"]


def test_settings_by_name_and_parts_are_the_same_preset():
    for objective in OBJECTIVES:
        layer = "dense" if objective == "layer_ig_norm" else None
        preset = resolve("gtsrb", objective, layer=layer, image_size=(16, 24))
        flat = preset.to_flat()
        assert None not in flat.values() and "chunk" not in flat
        assert Preset.from_flat(flat) == Preset.from_flat(json.loads(preset.to_json())) == preset
        assert flat["attack_steps"] == preset.attack.steps if preset.attack else True
        assert ("epsilon" in flat) == isinstance(preset.attack, BallSettings)
        assert ("gamma" in flat) == isinstance(preset.attack, TransportSettings)


def test_settings_of_an_earlier_version_are_read():
    preset = resolve("mnist", "ig_norm")
    former = dict.fromkeys(setting_names()) | preset.to_flat() | {"chunk": 2, "no_longer": 1}
    former["lr_factors"] = [0.5]
    read = Preset.from_flat(former)
    assert read.objective.values["nodes_per_pass"] == 2
    assert read == preset.replace(nodes_per_pass=2, lr_factors=(0.5,))
    with pytest.raises(ValueError, match="epsilon_typo"):
        preset.replace(epsilon_typo=1)
    assert preset.replace(ema=0.9).replace(ema=None) == preset
    for name in ("objective", "seed", "dataset"):
        with pytest.raises(ValueError, match=f"{name} must be given. Received: None"):
            Preset.from_flat({key: value for key, value in former.items() if key != name})


def test_what_applies_follows_from_the_parts():
    ball, transport = resolve("mnist", "ig_norm"), resolve("mnist", "distributional")
    natural = resolve("mnist", "natural")
    file = resolve("mnist", "natural", init_from="me.keras")
    for name, presets in (
        ("seed", (ball, transport, natural, file)),
        ("ema", (ball, transport, natural, file)),
        ("epsilon", (ball,)),
        ("attack_decay", (ball, transport)),
        ("gamma", (transport,)),
        ("ig_steps", (ball, transport)),
        ("natural_steps", (ball, transport)),
        ("architecture", (ball, transport, natural)),
        ("options", ()),
    ):
        for preset in (ball, transport, natural, file):
            assert applies(preset, name) == (preset in presets), (name, preset)
    with pytest.raises(ValueError, match="setting must be one of"):
        applies(ball, "epsilon_typo")


def test_parts_check_themselves():
    for part, message in (
        (lambda: BallSettings(epsilon=-1.0), "epsilon must be"),
        (lambda: BallSettings(step_size=0.0), "attack_step_size must be > 0"),
        (lambda: BallSettings(epsilon=8), r"epsilon must be <= 1, .*give 8/255 = 0\.0314"),
        (lambda: BallSettings(step_size=2.0), r"attack_step_size must be <= 1.*2/255 = 0\.00784"),
        (lambda: DataSettings("folder:x", classes=("a",)), "classes must be at least 2 names"),
        (lambda: DataSettings("folder:x", channels=2), r"channels must be 1 \(gray\) or 3 \(RGB\)"),
        (lambda: DataSettings("folder:x", resize="zoom"), "resize must be one of crop, pad, stre"),
        (lambda: DataSettings("mnist", channels=3), "channels applies to custom data"),
        (lambda: TransportSettings(gamma=-1.0), "gamma must be"),
        (lambda: ObjectiveSettings("ig_norm", {"wieght": 1.0}), "settings of objective=ig_norm"),
        (lambda: ObjectiveSettings("ig_norm", {"ig_steps": 1.5}), "ig_steps must be of type int"),
        (lambda: ObjectiveSettings("layer_ig_norm"), "layer must be given"),
        (lambda: ModelSettings(architecture=None), "architecture must be given"),
        (lambda: ValidationSettings(validate_every=0), "validate_every must be >= 1"),
    ):
        with pytest.raises(ValueError, match=message):
            part()
