"""Export: SavedModel with attribution, ONNX, model cards, zoo."""

from rar_tf.serving import zoo
from rar_tf.serving.card import Provenance, model_card
from rar_tf.serving.export import EXPLAINER, IMAGES_PER_PASS, NODES_PER_PASS, export
from rar_tf.serving.onnx import export_onnx
from rar_tf.serving.warmup import write_warmup

__all__ = [
    "EXPLAINER",
    "IMAGES_PER_PASS",
    "NODES_PER_PASS",
    "Provenance",
    "export",
    "export_onnx",
    "model_card",
    "write_warmup",
    "zoo",
]
