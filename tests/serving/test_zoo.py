"""The zoo: float16 weights and a card rebuild the classifier."""

import json

import numpy as np
import pytest

from rar_tf.cli.settings import parse_settings
from rar_tf.models import AUTO, build
from rar_tf.presets import Preset, resolve
from rar_tf.serving import Provenance, model_card, zoo
from scripts.make_zoo import command
from tests.support import tiny_classifier as tiny

SHAPE = (4, 4, 1)


def classifier(seed=3):
    return build("small_cnn", num_classes=2, input_shape=SHAPE, seed=seed)


def described(model, **preset):
    known = {"dataset": "squares", "objective": "ig_norm", "architecture": "small_cnn"}
    return model_card(model, provenance=Provenance(known | preset))


@pytest.fixture
def root(tmp_path):
    zoo.save(classifier(), tmp_path / "squares" / "ig_norm", described(classifier()))
    return tmp_path


def test_weights_come_back_rounded_to_float16(root):
    assert zoo.names(root) == ("squares/ig_norm",)
    model, card = zoo.load("squares/ig_norm", root=root), zoo.card("squares/ig_norm", root=root)
    assert card == json.loads(json.dumps(described(classifier())))
    for found, given in zip(model.get_weights(), classifier().get_weights(), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, given.astype("float16").astype("float32"))
        np.testing.assert_allclose(found, given, rtol=2**-11, atol=2**-25)
    x = np.random.default_rng(0).random((5, *SHAPE)).astype("float32")
    np.testing.assert_allclose(model(x), classifier()(x), atol=2e-2)
    text = (root / "squares/ig_norm/MODEL_CARD.md").read_text()
    assert text.startswith("# small_cnn: trained on squares, objective ig_norm")


def test_unknown_names_and_empty_zoos_are_told(root, tmp_path_factory):
    with pytest.raises(ValueError, match=r"name must be one of squares/ig_norm.*Did you mean 'sq"):
        zoo.load("squares/ig_nrom", root=root)
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(ValueError, match=f"entries of a zoo. Received: {empty}"):
        zoo.load("squares/ig_norm", root=empty)


@pytest.mark.parametrize(
    "change", [{"num_classes": 3}, {"architecture": "vgg"}, {"image_shape": 1}]
)
def test_a_card_that_does_not_fit_the_weights_is_an_error(root, change):
    path = root / "squares/ig_norm/card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=r"must hold weights.npz and card.json that fit each othe"):
        zoo.load("squares/ig_norm", root=root)


def test_damaged_weights_are_an_error(root):
    (root / "squares/ig_norm/weights.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match="must hold weights.npz and card.json that fit"):
        zoo.load("squares/ig_norm", root=root)


def test_only_what_can_be_rebuilt_is_saved(tmp_path):
    with pytest.raises(ValueError, match="must be a small_cnn as the card says. Received: tiny"):
        zoo.save(tiny.classifier(), tmp_path / "a", described(classifier()))
    with pytest.raises(ValueError, match="architecture must be one of"):
        zoo.save(tiny.classifier(), tmp_path / "a", described(classifier(), architecture=None))
    model = classifier()
    model.set_weights([weight * 1e6 for weight in model.get_weights()])
    with pytest.raises(ValueError, match="finite in float16. Received: one of size"):
        zoo.save(model, tmp_path / "a", described(model))
    assert not (tmp_path / "a").exists()


def test_the_command_of_a_card_is_the_runs():
    preset = resolve("gtsrb", "ig_norm", seed=3, max_steps=50, image_size=(40, 32))
    assert command(json.loads(preset.to_json())) == (
        "python -m train.main --dataset=gtsrb --objective=ig_norm --schedule=fast --seed=3 "
        "--image_size=40,32 --max_steps=50"
    )
    own = resolve("mnist", "ig_norm", initializer="own")
    assert command(json.loads(own.to_json())).endswith("--seed=0 --initializer=own")
    scaled = resolve("mnist", "ig_norm", init_scale=0.5, initializer="own")
    assert command(json.loads(scaled.to_json())).endswith("--initializer=own --init_scale=0.5")


@pytest.mark.parametrize("name", zoo.names())
def test_the_command_of_an_entry_trains_its_preset(name):
    """A preset that changes must not leave behind a command that now trains another."""
    card = zoo.card(name)
    given = dict(word[2:].split("=", 1) for word in card["training"]["command"].split()[3:])
    names = [given.pop(key) for key in ("dataset", "objective", "schedule")]
    seed = int(given.pop("seed"))
    overrides = parse_settings("--zoo", [f"{key}={value}" for key, value in given.items()])
    found = resolve(*names, seed=seed, **overrides).to_flat()
    trained = Preset.from_flat(card["preset"]).to_flat()
    assert found.pop("precision") in (AUTO, trained.pop("precision"))
    assert trained == found
