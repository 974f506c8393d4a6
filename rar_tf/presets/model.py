"""Settings of the model of a preset."""

import dataclasses

from rar_tf.models import (
    BATCH_STATISTICS,
    INITIALIZERS,
    OUTPUTS,
    PIXELS,
    Convention,
    is_model_file,
)
from rar_tf.naming import check_name
from rar_tf.presets.part import OPTIMIZATION, TRAINING, Part, setting


@dataclasses.dataclass(frozen=True)
class ModelSettings(Part):
    """Settings of the model: the classifier, and the weights that training starts from."""

    architecture: str | None = setting(
        "Architecture of the classifier; None for that of a .keras file.", TRAINING, default=None
    )
    init_from: str = setting(
        "Weights to start from: scratch, natural (train a natural model first) or a .keras or .h5 "
        "file.",
        TRAINING,
        default="scratch",
    )
    natural_steps: int | None = setting(
        "Number of optimizer steps of the natural start.", OPTIMIZATION, default=None
    )
    initializer: str | None = setting(
        f"Weight initializer: {', '.join(INITIALIZERS)}; own keeps the architecture's.",
        TRAINING,
        default=None,
        optional=True,
    )
    init_scale: float | None = setting(
        "Factor of all initial kernels.", TRAINING, default=None, optional=True
    )
    first_init_scale: float | None = setting(
        "Factor of the first layer's initial kernel; init_scale by default.",
        TRAINING,
        default=None,
        optional=True,
    )
    batch_statistics: str | None = setting(
        "Statistics of BatchNormalization in training: moving (by default) or frozen.",
        TRAINING,
        default=None,
        choices=BATCH_STATISTICS,
        optional=True,
    )

    pixels: str | None = setting(
        f"Pixels that a custom classifier takes: {', '.join(PIXELS)} or a custom MODULE:FUNCTION "
        "of images in [0, 1]. Default: auto, what its layers show.",
        TRAINING,
        default=None,
        optional=True,
    )
    outputs: str | None = setting(
        "Kind of a custom classifier's outputs. Default: auto.",
        TRAINING,
        default=None,
        choices=OUTPUTS,
        optional=True,
    )
    output_name: str | None = setting(
        "Name of the output that classifies, of a custom classifier with several.",
        TRAINING,
        default=None,
        optional=True,
    )

    imports: tuple[str, ...] | None = setting(
        "Module with a custom classifier's layers; may be given several times.",
        TRAINING,
        default=None,
        name="import",
        optional=True,
    )

    @property
    def from_file(self) -> bool:
        """Whether the classifier comes from a file."""
        return is_model_file(self.init_from)

    @property
    def convention(self) -> Convention:
        """How the classifier takes pixels and gives classes."""
        return Convention(self.pixels or "auto", self.outputs or "auto", self.output_name)

    def check(self) -> None:
        if self.init_from not in ("scratch", "natural") and not self.from_file:
            raise ValueError(
                "init_from must be scratch, natural or a .keras or .h5 file. "
                f"Received: init_from={self.init_from}"
            )
        if self.architecture is None and not self.from_file:
            raise ValueError("architecture must be given. Received: None")
        if self.initializer is not None:
            check_name("initializer", self.initializer, INITIALIZERS)
        if self.batch_statistics is not None:
            check_name("batch_statistics", self.batch_statistics, BATCH_STATISTICS)
        if self.batch_statistics == "frozen" and self.init_from == "scratch":
            raise ValueError(
                "batch_statistics=frozen needs statistics of a trained model: init_from=natural or "
                "a .keras file. Received: init_from=scratch"
            )
        self._counts("natural_steps")
        _ = self.convention  # Checks its values.
        self._positive("init_scale", "first_init_scale")
