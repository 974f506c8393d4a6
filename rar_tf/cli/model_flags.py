"""Flags on how a classifier takes pixels and gives classes, and on its custom code."""

from collections.abc import Mapping
from typing import Any

from absl import flags

from rar_tf import models
from rar_tf.cli.command import FLAGS
from rar_tf.naming import is_custom


def define_model_flags() -> None:
    """Define --pixels, --outputs, --output_name and --import."""
    flags.DEFINE_string(
        "pixels",
        None,
        f"Pixels that the model takes: {', '.join(models.PIXELS)} or a custom MODULE:FUNCTION of "
        "images in [0, 1]. Default: that of the training run, else auto, what its layers show.",
    )
    flags.DEFINE_enum(
        "outputs",
        None,
        models.OUTPUTS,
        "Kind of the model's outputs. Default: that of the training run, else auto.",
    )
    flags.DEFINE_string(
        "output_name", None, "Name of the output that classifies, of a model with several."
    )
    flags.DEFINE_multi_string(
        "import", None, "Module with the model's custom layers; may be given several times."
    )


def convention(preset: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments pixels, outputs and output_name by the flags, else by a run's flat preset.

    Raises:
      ValueError: an unknown value.
    """
    names = {"pixels": "auto", "outputs": "auto", "output_name": None}
    values = {}
    for name, default in names.items():
        given = FLAGS[name].value
        values[name] = preset.get(name, default) if given is None else given
    models.Convention(**values)  # Checks them.
    return values


def import_custom_code(preset: Mapping[str, Any]) -> None:
    """Import the modules of the flags, and those of a run's flat preset.

    Raises:
      ValueError: no such module, or one that fails.
    """
    architecture = str(preset.get("architecture"))
    of_architecture = [architecture.partition(":")[0]] if is_custom(architecture) else []
    of_run = [*(preset.get("import") or ()), *of_architecture]
    models.import_modules(dict.fromkeys([*(FLAGS["import"].value or ()), *of_run]))
