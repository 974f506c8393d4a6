"""Memory of a run, found out before it starts: nodes of a pass, images of a validation batch."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from rar_tf import memory
from rar_tf.models import to_train
from rar_tf.objective import settings
from rar_tf.presets import Preset, build

# Most images of a validation batch.
VALIDATION_BATCH = 128
# Memory as a share of the bytes of all activations: of the validation of one image, which takes
# gradients of ten nodes at once, and most of a training step for one image and one node.
_VALIDATION, _MOST_STEP = 4.0, 3.0
_TRIAL_BATCHES = (1, 2)


@dataclasses.dataclass(frozen=True)
class MemoryPlan:
    """What of a run fits the memory.

    Attributes:
      preset: the preset, with fewer nodes in a pass where all do not fit.
      validation_batch: number of images of a validation batch.
      remark: what was changed, in words; empty where nothing was.
    """

    preset: Preset
    validation_batch: int
    remark: str = ""


def memory_plan(
    preset: Preset, classifier: keras.Model, image_shape: tuple[int, ...]
) -> MemoryPlan:
    """Sizes that fit 75% of the free memory; the results do not depend on them but for rounding.

    Where the images are large, steps of one and of two images run as a trial; the classifier's
    weights are restored afterwards. A run on several devices keeps the usual sizes.

    Args:
      preset: preset of the run.
      classifier: the classifier, with the pixels and outputs that it has.
      image_shape: (H, W, C).

    Raises:
      ValueError: a batch of the preset's size does not fit with one node in a pass.
    """
    free = memory.free_bytes()
    if free is None or tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return MemoryPlan(preset, VALIDATION_BATCH)
    network = to_train(classifier, preset.model.convention).model
    activations = memory.activation_bytes(lambda x: network(x, training=False), image_shape)
    room = memory.USABLE * free
    validation = int(np.clip(room // (_VALIDATION * activations), 1, VALIDATION_BATCH))
    remark = ""
    if validation < VALIDATION_BATCH:
        remark = f"validation in batches of {validation} images, as {memory.text(free)} are free"
    batch, nodes = preset.optimizer.batch_size, _nodes(preset)
    if batch * nodes * _MOST_STEP * activations <= room:
        return MemoryPlan(preset, validation, remark)
    each = _bytes_of_image(preset, classifier, image_shape)
    if batch * each <= room:
        return MemoryPlan(preset, validation, remark)
    fitting = int(room * nodes // (batch * each))
    if nodes == 1 or fitting < 1 or "nodes_per_pass" not in settings(preset.objective.name):
        most = int(room * nodes // each)
        raise ValueError(
            f"batch_size={batch} takes about {memory.text(batch * each / nodes)} of memory, more "
            f"than 75% of the {memory.text(free)} that are free; "
            + (f"choose --batch_size={most} or less" if most else "choose a smaller --image_size")
        )
    said = f"{fitting} of {nodes} nodes in a pass, as {memory.text(free)} are free"
    return MemoryPlan(
        preset.replace(nodes_per_pass=fitting), validation, "; ".join(filter(None, [said, remark]))
    )


def _nodes(preset: Preset) -> int:
    """Largest number of nodes that a step takes in one pass."""
    values = preset.objective.values
    nodes = max(values.get("ig_steps") or 1, values.get("attack_ig_steps") or 1)
    return min(nodes, values.get("nodes_per_pass") or nodes)


def _bytes_of_image(preset: Preset, classifier: keras.Model, image_shape: tuple[int, ...]) -> float:
    """Bytes that a further image of a batch takes in a step, by steps of one and two images."""
    before = [(variable, variable.numpy()) for variable in classifier.variables]
    model = build.robust_model(preset, classifier)
    model.optimizer.build(model.trainable_variables)
    signature = [(tf.TensorSpec([None, *image_shape], tf.float32), tf.TensorSpec([None], tf.int32))]
    step = tf.function(lambda batch: model.train_step(batch)["loss"], input_signature=signature)
    peaks = []
    for count in (_TRIAL_BATCHES[0], *_TRIAL_BATCHES):  # The first call traces.
        x = tf.random.stateless_uniform([count, *image_shape], seed=(0, 0))
        with memory.peak_bytes() as peak:
            step((x, tf.zeros([count], tf.int32))).numpy()
        peaks.append(peak[0] if peak else 0)
    for variable, value in before:
        variable.assign(value)
    return float(max(peaks[2] - peaks[1], 1))
