"""Presets keep their settings: today's against those recorded in tests/testdata/presets.json."""

import json

import pytest

from rar_tf.presets import Preset, resolve
from rar_tf.runs import Workdir, WorkdirError
from rar_tf.serving import zoo
from tests.support.paths import TESTDATA

RECORD = json.loads((TESTDATA / "presets.json").read_text())
RECORDED = RECORD["presets"]
# Settings that were not recorded for these objectives, where they had no effect.
ADDED = {"far": {"base": "clean"}}
LAYER = {"layer": "dense"}


def recorded(key):
    """(flat settings as recorded, with their nulls; the preset that resolves to them today)."""
    dataset, objective, schedule = key.split()
    values = dict.fromkeys(RECORD["names"]) | RECORDED[key]
    # Only the recorded version resolved a layer objective whose layer must still be given.
    layer = LAYER if objective == "layer_ig_norm" and values["layer"] is None else {}
    preset = resolve(dataset, objective, schedule, seed=values["seed"], **layer)
    if preset.optimizer.precision == "auto":  # The recorded version had no trial.
        preset = preset.replace(precision=values["precision"])
    return values | layer, preset


@pytest.mark.parametrize("key", RECORDED)
def test_resolved_settings_are_those_recorded(key):
    values, preset = recorded(key)
    expected = {name: value for name, value in values.items() if value is not None}
    expected |= ADDED.get(values["objective"], {})
    assert json.loads(preset.to_json()) == expected


@pytest.mark.parametrize("key", RECORDED)
def test_recorded_settings_are_read_to_the_same_preset(key):
    values, preset = recorded(key)
    assert Preset.from_flat(values) == preset


def test_a_former_name_of_a_setting_is_read():
    values, preset = recorded("fashion_mnist ig_norm fast")
    assert "chunk" in values and "nodes_per_pass" not in values
    assert Preset.from_flat(values | {"chunk": 3}) == preset.replace(nodes_per_pass=3)


@pytest.mark.parametrize("key", RECORDED)
def test_a_workdir_of_an_earlier_version_is_resumed(key, tmp_path):
    values, preset = recorded(key)
    (tmp_path / "preset.json").write_text(json.dumps(values, indent=2))
    Workdir(tmp_path).claim(preset)
    assert json.loads((tmp_path / "preset.json").read_text()) == values
    with pytest.raises(WorkdirError, match=r"(?s)another preset.*validate_every: \d+ -> 7"):
        Workdir(tmp_path).claim(preset.replace(validate_every=7))


@pytest.mark.parametrize("name", zoo.names())
def test_the_preset_of_a_zoo_card_is_read(name, tmp_path):
    values = zoo.card(name)["preset"]
    preset = Preset.from_flat(values)
    given = {setting: value for setting, value in values.items() if value is not None}
    assert json.loads(preset.to_json()).items() >= given.items()
    (tmp_path / "preset.json").write_text(json.dumps(values))
    Workdir(tmp_path).claim(preset)
