"""Names of settings, and custom code named "module:function"."""

import re
import sys

import numpy as np
import pytest

from rar_tf import datasets, models, naming
from rar_tf.attack import TransportPenalty
from rar_tf.objective import construct, settings
from rar_tf.presets import Preset, resolve

SOURCE = '''
import keras
import numpy as np
import rar_tf
from rar_tf.datasets import ImageData, Split
from rar_tf.objective import Objective, ig_norm, sizes

POWER = 3

def scaled(weight=0.5, *, ig_steps=4, power=2.0, size=sizes.l1, layer=None):
    return ig_norm(weight * power, size=size, ig_steps=ig_steps)

def unattacked(): return Objective(threat=None)
def first_pixel(classifier, batch, x_adv): return x_adv[:, 0, 0, 0]
def moved(weight=1.0): return Objective("clean", first_pixel, weight, threat="transport")
def needs(weight, ig_steps): return ig_norm(weight)
def nothing(weight=1.0): return None
def fails(): return 1 / 0

def pets(seed, image_size=None):
    sides = image_size or (6, 6)
    images = np.zeros((4, *sides, 3), "uint8")
    split = Split(images, np.array([0, 1, 0, 1], "int32"))
    return ImageData("?", 2, (*sides, 3), ("cat", "dog"), f"seed {seed}", split, split, split)

def plain_pets(): return pets(0)

def net(num_classes, input_shape, seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(),
                             keras.layers.Dense(num_classes)])

def wrong_net(num_classes, input_shape, seed): return net(num_classes + 1, input_shape, seed)
def seedless(num_classes, input_shape): return net(num_classes, input_shape, 0)
'''  # fmt: skip


@pytest.fixture(autouse=True)
def custom_modules(tmp_path, monkeypatch):
    """A current folder outside the repository, on the path, with the module custom_code."""
    (tmp_path / "custom_code.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("import no_such_thing\n")
    (tmp_path / "halting.py").write_text("raise RuntimeError('on purpose')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("custom_code", "broken", "halting"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ig_nrom", r"objective must be one of aat, .* or a custom MODULE:FUNCTION\. "
         r"Received: objective='ig_nrom'\. Did you mean 'ig_norm'\?"),
        ("custom_cod:scaled", r"must name a module that Python finds, such as a file "
         r"custom_cod\.py in the current directory\. Received: 'custom_cod', .*"
         r"Did you mean 'custom_code'\?"),
        ("custom_code:scalde", r"must name a function of .*custom_code\.py, which has scaled, "
         r"unatta.*Received: 'scalde'\. Did you mean 'scaled'\?"),
        ("custom_code:POWER", r"Received: 'POWER', a int\."),
        ("broken:anything", r"importing failed: ModuleNotFoundError: No module named "
         r"'no_such_thing' \(.*broken\.py, line 1\)"),
        ("halting:anything", r"importing failed: RuntimeError: on purpose \(.*halting\.py, line 1"),
    ],
)  # fmt: skip
def test_messages_suggest_the_nearest_name(name, message):
    with pytest.raises(ValueError, match=message):
        settings(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("custom_code:nothing", r"must return a rar_tf Objective\. Received: NoneType"),
        (
            "custom_code:needs",
            r"weight must be given for objective=custom_code:needs\. Received: None",
        ),
        (
            "custom_code:fails",
            r"failed: ZeroDivisionError: division by zero \(.*custom_code\.py, line 1",
        ),
    ],
)
def test_messages_of_functions_that_fail(name, message):
    with pytest.raises(ValueError, match=message):
        construct(name, {})


@pytest.mark.parametrize("name", ["a:b", "package.module:name", "_a.b2:C"])
def test_custom_names(name):
    assert naming.is_custom(name)


@pytest.mark.parametrize(
    "name", ["ig_norm", "npz:/a/b.npz", "folder:a b", "a:b:c", ":b", "a:", "2a:b"]
)
def test_other_names_are_not_custom(name):
    assert not naming.is_custom(name)


def test_settings_of_a_custom_objective_are_its_plain_arguments():
    result = settings("custom_code:scaled")
    assert {name: setting.default for name, setting in result.items()} == {
        "weight": 0.5, "ig_steps": 4, "power": 2.0, "layer": None
    }  # fmt: skip
    assert result["power"].kinds == (float,) and result["layer"].kinds == ()


def test_preset_of_a_custom_objective():
    preset = resolve("fashion_mnist", "custom_code:scaled")
    flat = preset.to_flat()
    assert (flat["weight"], flat["ig_steps"], flat["options"]) == (0.5, 4, {"power": 2.0})
    assert preset.attack == resolve("fashion_mnist", "loss_output").attack
    assert flat["init_from"] == "natural" and "attack_ig_steps" not in flat
    assert flat["objective"] == "custom_code:scaled"
    assert Preset.from_flat(flat) == preset
    changed = resolve("pets", "custom_code:scaled", weight=2.0, options={"power": 3}, layer="a")
    assert changed.objective.values == {"weight": 2.0, "ig_steps": 4, "power": 3, "layer": "a"}
    assert changed.attack.epsilon == 8 / 255
    assert changed.objective.build().weight == 6.0


def test_the_threat_of_a_custom_objective_decides_the_attack():
    assert resolve("pets", "custom_code:unattacked").attack is None
    transport = resolve("pets", "custom_code:moved", gamma=2.0)
    assert transport.attack.threat() == TransportPenalty(2.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attack_ig_steps": 2}, r"attack_ig_steps does not apply to objective=custom_code:scaled"),
        ({"gamma": 2.0}, r"gamma does not apply to objective=custom_code:scaled"),
        ({"options": {"powr": 1.0}}, r"option must be one of .*power.*, the settings of "
         r"custom_code:scaled\. Received: option='powr'\. Did you mean 'power'\?"),
        ({"options": {"power": "two"}}, r"power must be of type float\. Received: power='two'"),
        ({"schedule": "paper"}, r"objective must be one of .* for --schedule=paper"),
    ],
)  # fmt: skip
def test_messages_about_settings_of_a_custom_objective(settings, message):
    with pytest.raises(ValueError, match=message):
        resolve("mnist", "custom_code:scaled", **settings)


def test_a_custom_data_set_gets_the_arguments_that_it_accepts():
    data = datasets.load("custom_code:pets", seed=3, image_size=(5, 4))
    assert (data.name, data.source, data.image_shape) == ("custom_code:pets", "seed 3", (5, 4, 3))
    assert datasets.load("custom_code:plain_pets", seed=3).source == "seed 0"


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("custom_code:plain_pets", {"image_size": 4}, r"must take image_size for it to be given"),
        ("custom_code:net", {}, r"failed: TypeError: net\(\) missing"),
        ("custom_code:fails", {}, r"failed: ZeroDivisionError"),
        ("fodler:pets", {}, r"Received: 'fodler', which is not found\. Did you mean 'folder'\?"),
    ],
)
def test_messages_of_custom_data_sets(name, settings, message):
    with pytest.raises(ValueError, match=message):
        datasets.load(name, **settings)


def test_custom_architecture():
    kernels = [
        models.build("custom_code:net", num_classes=2, input_shape=(3, 3, 1), seed=s).get_weights()[
            0
        ]
        for s in (1, 1, 2)
    ]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).any()


@pytest.mark.parametrize(
    ("name", "weight_decay", "message"),
    [
        ("custom_code:wrong_net", 0.0, r"must map images \(None, 3, 3, 1\) to logits \(None, 2\)\. "
         r"Received: a model from \(None, 3, 3, 1\) to \(None, 3\)"),
        ("custom_code:seedless", 0.0, r"must take num_classes, input_shape and seed\. Received: a "
         r"function without seed"),
        ("custom_code:net", 1e-4, r"must take weight_decay for it to be other than 0"),
        ("small_cmm", 0.0, r"Did you mean 'small_cnn'\?"),
    ],
)  # fmt: skip
def test_messages_of_custom_architectures(name, weight_decay, message):
    with pytest.raises(ValueError, match=message):
        models.build(name, num_classes=2, input_shape=(3, 3, 1), weight_decay=weight_decay)


def test_plain_forms():
    assert naming.json_default(naming.find) == "rar_tf.naming:find"
    with pytest.raises(TypeError, match="ndarray has no plain form"):
        naming.json_default(np.zeros(1))
    assert naming.as_file_name("folder:photos/pets and cats") == "folder_photos_pets_and_cats"
    assert re.fullmatch(r"[\w.]+", naming.as_file_name("npz:../x.npz"))
