"""Presets: all settings of a run, by data set, objective and schedule."""

from rar_tf.presets.preset import Preset, applies, differences, setting_names
from rar_tf.presets.resolve import SCHEDULES, natural_start, resolve

__all__ = [
    "SCHEDULES",
    "Preset",
    "applies",
    "differences",
    "natural_start",
    "resolve",
    "setting_names",
]
