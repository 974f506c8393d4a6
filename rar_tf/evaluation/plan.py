"""Plan of an evaluation: batches that fit the memory, and its time, before the work begins."""

import dataclasses
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from rar_tf import memory
from rar_tf.attack import Ifia, MapAttack
from rar_tf.checks import check_count
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.expected_time import PassCosts, expected_seconds
from rar_tf.evaluation.gradient_check import NODES, GradientCheck
from rar_tf.evaluation.precision import relative_seconds
from rar_tf.evaluation.protocols import Protocol

AUTO = "auto"
# Batches of images that fit without a doubt: the attack on maps, its nodes, and predictions.
BATCH, NODES_PER_PASS, PREDICTION_BATCH = 32, 10, 128
# Memory of a pass as a share of the bytes of all activations: gradient by the pixels, and least
# and most of a gradient of a map. A trial may show less than it takes: memory that the process
# has released before stays resident.
_FIRST, _LEAST_SECOND, _MOST_SECOND = 0.4, 0.9, 2.2
# A graph of a search occupies this share of what the graphs of the gradient check do.
_GRAPH = 0.8
_TRIAL_IMAGES = (1, 4)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Batches of an evaluation, and its expected time.

    Attributes:
      batch_size: images in a batch of the attack on maps.
      nodes_per_pass: nodes of a map in one pass; None for all.
      prediction_batch: images in a batch of predictions and attacks on them.
      seconds: expected seconds of the attack on the maps of one image.
      trace_seconds: expected seconds until the searches have been traced.
      remark: how the batches were chosen, in words; empty where they are the usual ones.
    """

    batch_size: int
    nodes_per_pass: int | None
    prediction_batch: int
    seconds: float
    trace_seconds: float
    remark: str = ""

    def announce(self, count: int) -> None:
        """Log the batches, where they are not the usual ones, and the time of `count` images."""
        if self.remark:
            logging.info("attack on maps: %s", self.remark)
        logging.info(
            "attack on maps: about %s an image, %s for %d images, after %s of preparation",
            in_words(self.seconds),
            in_words(self.seconds * count),
            count,
            in_words(self.trace_seconds),
        )


def in_words(seconds: float) -> str:
    """A time such as "0.3 s", "12 minutes" or "5.2 hours"."""
    if seconds < 90:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def check_sizes(batch_size: int | str, nodes_per_pass: int | str | None) -> None:
    """Raises ValueError unless both are "auto" or a number >= 1; nodes_per_pass may be None."""
    if batch_size != AUTO:
        check_count("batch_size", batch_size)
    if nodes_per_pass not in (AUTO, None):
        check_count("nodes_per_pass", nodes_per_pass)


def prediction_batch(network: keras.Model, image_shape: tuple[int, ...]) -> int:
    """Number of images of one batch of predictions, and of attacks on them, that fits."""
    free = memory.free_bytes()
    if free is None:
        return PREDICTION_BATCH
    per_image = _FIRST * _activations(network, image_shape)
    return _fitting(free, per_image, PREDICTION_BATCH)


def plan(
    network: keras.Model,
    evaluation_set: EvaluationSet,
    protocol: Protocol,
    attack: MapAttack,
    check: GradientCheck,
    *,
    batch_size: int | str = AUTO,
    nodes_per_pass: int | str | None = AUTO,
) -> Plan:
    """Batches that fit 75% of the free memory, and the expected time of the attack on maps.

    Args:
      network: images -> logits.
      evaluation_set: the images.
      protocol: protocol of the measurement.
      attack: the attack on maps.
      check: the check of gradients of this attack; it runs here on a few images, as a trial.
      batch_size: "auto", or the number of images that the user wants.
      nodes_per_pass: "auto", or the number of nodes that the user wants; None for all.

    Raises:
      ValueError: a number < 1, or one image that does not fit.
    """
    check_sizes(batch_size, nodes_per_pass)
    activations = _activations(network, evaluation_set.image_shape)
    free = memory.free_bytes()
    _check_one_image(free, activations, evaluation_set.image_shape)
    costs = _trial(check, evaluation_set, attack, activations, free)
    batch = BATCH if batch_size == AUTO else int(batch_size)
    nodes: Any = NODES_PER_PASS if nodes_per_pass == AUTO else nodes_per_pass
    remark = ""
    free = memory.free_bytes()
    if free is not None and AUTO in (batch_size, nodes_per_pass):
        batch, nodes, remark = fitting_batches(costs, free, batch_size, nodes_per_pass)
    shape = evaluation_set.image_shape
    relative = relative_seconds(attack, network, shape)
    seconds = expected_seconds(costs, shape, protocol, attack, nodes, relative)
    searches = len(attack.searches) + len(attack.refinements)
    return Plan(
        batch,
        nodes,
        prediction_batch(network, evaluation_set.image_shape),
        seconds,
        costs.trace_seconds * searches,
        remark,
    )


def _activations(network: keras.Model, image_shape: tuple[int, ...]) -> int:
    return memory.activation_bytes(lambda x: network(x, training=False), image_shape)


def _fitting(free: float, bytes_each: float, most: int) -> int:
    """Number of equal parts that fit, of at least 1 and at most `most`."""
    return int(min(max(memory.USABLE * free / max(bytes_each, 1.0), 1), most))


def _check_one_image(free: int | None, activations: int, shape: tuple[int, ...]) -> None:
    needed = NODES * _LEAST_SECOND * activations
    if free is not None and needed > free:
        raise ValueError(
            f"one image of {'x'.join(map(str, shape))} needs about {memory.text(needed)} of memory "
            f"in the attack on maps, more than is free. Received: {memory.text(free)} free; "
            "evaluate smaller images, or on a machine with more memory"
        )


def _trial(
    check: GradientCheck,
    evaluation_set: EvaluationSet,
    attack: MapAttack,
    activations: int,
    free: int | None,
) -> PassCosts:
    """Costs of passes, measured while the check of gradients runs on a few images."""
    before = memory.resident_bytes()
    small, large = (min(count, len(evaluation_set)) for count in _TRIAL_IMAGES)
    if free is not None and large * NODES * _MOST_SECOND * activations > memory.USABLE * free:
        large = small
    started = time.perf_counter()
    check(*_images(evaluation_set, small))
    trace = time.perf_counter() - started
    started = time.perf_counter()
    check(*_images(evaluation_set, small))
    trace -= time.perf_counter() - started
    peaks = []
    for count in (small, large):
        first_seconds, second_seconds, peak = check.timed(*_images(evaluation_set, count))
        peaks.append(peak)
    after = memory.resident_bytes()
    growth = 0 if before is None or after is None else max(after - before, 0)
    second = _MOST_SECOND * activations
    if large > small and peaks[0] is not None and peaks[1] is not None:
        slope = (peaks[1] - peaks[0]) / (NODES * (large - small))
        second = float(np.clip(slope, _LEAST_SECOND * activations, second))
    searches = sum(isinstance(search, Ifia) for search in attack.searches)
    return PassCosts(
        first_bytes=_FIRST * activations,
        second_bytes=second,
        graph_bytes=_GRAPH * growth * searches,
        first_seconds=first_seconds / large,
        second_seconds=second_seconds / (NODES * large),
        # The check traces two gradients of maps.
        trace_seconds=max(trace, 0.0) / 2,
    )


def _images(evaluation_set: EvaluationSet, count: int) -> tuple[tf.Tensor, ...]:
    """Arguments of the check: the first images, their labels, a row, and maps of noise."""
    x, y = map(tf.constant, evaluation_set.read(np.arange(count)))
    maps = tf.random.stateless_uniform(x.shape[:3], seed=(0, 0))
    return x, y, tf.constant(0), maps


def fitting_batches(
    costs: PassCosts, free: float, batch_size: int | str, nodes_per_pass: int | str | None
) -> tuple[int, int | None, str]:
    """(batch size, nodes per pass, remark): the usual ones where they fit, else smaller ones.

    Args:
      costs: costs of passes.
      free: free bytes, of which the share `memory.USABLE` is used.
      batch_size: number of images; "auto" for one that fits.
      nodes_per_pass: number of nodes, None for all; "auto" for one that fits.
    """
    images = BATCH if batch_size == AUTO else int(batch_size)
    # A map of one pass is differentiated without computing its activations again.
    nodes = NODES_PER_PASS if nodes_per_pass in (AUTO, None) else int(nodes_per_pass or 0)
    room = max(free - costs.graph_bytes / memory.USABLE, 0.0)
    rows = _fitting(room, costs.second_bytes, images * nodes)
    usual = images * nodes
    if nodes_per_pass == AUTO:
        nodes = min(nodes, max(rows if batch_size == AUTO else rows // images, 1))
    if batch_size == AUTO:
        images = min(images, max(rows // nodes, 1))
    remark = ""
    if images * nodes < usual:
        remark = (
            f"{images} images and {nodes} nodes in a pass, as one of each takes about "
            f"{memory.text(costs.second_bytes)} and {memory.text(free)} are free"
        )
    return images, None if nodes_per_pass is None else nodes, remark
