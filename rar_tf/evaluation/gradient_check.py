"""Gradients that an attack follows: whether they exist, at each image, before the attack."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from rar_tf import memory
from rar_tf.attack import Ifia
from rar_tf.attack.ifia_score import AttackInputs, IfiaScore
from rar_tf.attack.networks import make_networks
from rar_tf.attribution import METHODS, label_logit, label_loss, uniform_rows
from rar_tf.models.rewrite import replace_operations

# Nodes of the map whose score is differentiated.
NODES = 2
_DIRECTIONS = 2
# Half a step of the finite difference, in pixel units.
_STEP = 0.01
# A second derivative that leaves this share of the finite difference unexplained, and has at
# most that share of its size, is missing.
_UNEXPLAINED, _SIZE = 0.9, 0.5
# Changes of a gradient below this many units of rounding are rounding.
_ROUNDING = 1000
_EPSILONS = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
_Gradient = Callable[..., tf.Tensor]


class GradientFlags(NamedTuple):
    """Gradients that an attack lacks, per image.

    Attributes:
      no_loss_gradient: [B] bool, whether the loss's gradient by the pixels is zero or not finite.
      no_logit_gradient: [B] bool, the same of the label's logit.
      no_map_gradient: [B] bool, whether the gradient of the map's score is zero or not finite, or
        the network's second derivative contradicts finite differences.
    """

    no_loss_gradient: np.ndarray
    no_logit_gradient: np.ndarray
    no_map_gradient: np.ndarray


class GradientCheck:
    """Check of the gradients that the attacks on a classifier follow: images -> flags.

    The map's gradient is that of the score of an `Ifia`, at a random start, of a map of few
    nodes. The network's second derivative is compared with central differences along random
    directions d and v of signs,

        d^T H v  =  (v^T g(x + h d) - v^T g(x - h d)) / (2 h),      g, H of f_y,

    on the smooth network of the attack, with average pooling in place of max pooling: there
    both sides agree if every second derivative exists. A ReLU that was not made smooth, and an
    operation whose second derivative TensorFlow lacks, make the left side too small.
    """

    def __init__(
        self,
        classifier: keras.Model,
        signature: list[tf.TensorSpec],
        search: Ifia | None,
        *,
        region: tf.Tensor | None = None,
    ):
        """
        Args:
          classifier: images -> logits.
          signature: signature of (x, y).
          search: the attack's first search that follows gradients; None if there is none, and
            no map gradient is missed.
          region: [H, W] of 0 and 1, for the score `target`.
        """  # fmt: skip
        trace = functools.partial(tf.function, autograph=False, input_signature=signature)
        self._loss = trace(_gradient(label_loss(classifier)))
        self._logit = trace(_gradient(label_logit(classifier)))
        self._score: _Gradient | None = None
        self._curvatures: Callable[..., tuple[tf.Tensor, ...]] | None = None
        if search is None:
            return
        shape = signature[0].shape[1:3]
        row, maps = tf.TensorSpec([], tf.int32), tf.TensorSpec([None, *shape], tf.float32)
        self._score = tf.function(
            _score_gradient(classifier, search, region),
            autograph=False,
            input_signature=[*signature, row, maps],
        )
        if search.explainer.method in METHODS:
            network = _smooth_network(classifier, search)
            self._curvatures = tf.function(
                lambda x, y, row: _curvatures(network, x, y, row),
                autograph=False,
                input_signature=[*signature, row],
            )
        self._rounding = _ROUNDING * max(
            _EPSILONS.get(layer.compute_dtype, _EPSILONS["float32"])
            for layer in classifier._flatten_layers()
        )

    def __call__(
        self, x: tf.Tensor, y: tf.Tensor, first_row: tf.Tensor, clean: tf.Tensor
    ) -> GradientFlags:
        """Flags of the images.

        Args:
          x: [B, H, W, C] float32, pixels in [0, 1].
          y: [B] int32, labels.
          first_row: number of the first row among all rows; keys the random directions.
          clean: [B, H, W], maps of x that the score compares with.
        """
        loss, logit = (_is_missing(function, x, y) for function in (self._loss, self._logit))
        missing = np.zeros(len(x), bool)
        if self._score is not None:
            missing = _is_missing(self._score, x, y, first_row, clean)
        if self._curvatures is not None:
            missing = missing | self._contradicts(self._curvatures, x, y, first_row)
        return GradientFlags(loss, logit, missing)

    def timed(
        self, x: tf.Tensor, y: tf.Tensor, first_row: tf.Tensor, clean: tf.Tensor
    ) -> tuple[float, float, int | None]:
        """Cost of the check's passes on images; arguments as of a call.

        Returns:
          (seconds of a forward and a backward pass, seconds of the gradient of a map of `NODES`
          nodes, peak of memory during the latter). Without such a gradient the second is a
          multiple of the first.
        """
        started = time.perf_counter()
        _is_missing(self._logit, x, y)
        first = time.perf_counter() - started
        if self._score is None:
            return first, NODES * first, None
        started = time.perf_counter()
        with memory.peak_bytes() as peak:
            _is_missing(self._score, x, y, first_row, clean)
        return first, time.perf_counter() - started, peak[0] if peak else None

    def _contradicts(
        self, curvatures: Callable[..., tuple[tf.Tensor, ...]], x: tf.Tensor, *arguments: tf.Tensor
    ) -> np.ndarray:
        """[B] bool, whether the second derivative is too small for the finite difference."""
        try:
            values = curvatures(x, *arguments)
        except LookupError:
            return np.ones(len(x), bool)
        automatic, difference, size, noise = (value.numpy() for value in values)
        floor = self._rounding * size
        if noise.max() > floor.max():  # Differences of a random classifier are of its noise.
            return np.zeros(len(x), bool)
        norm = _root_mean_square(difference)
        return (
            (norm > floor / (2 * _STEP))
            & (_root_mean_square(automatic - difference) > _UNEXPLAINED * norm)
            & (_root_mean_square(automatic) < _SIZE * norm)
        )


def _is_missing(function: _Gradient, *arguments: Any) -> np.ndarray:
    """[B] bool: zero, not finite, or of an operation without a derivative."""
    try:
        gradient = function(*arguments).numpy()
    except LookupError:  # Raised by TensorFlow for an operation without a gradient.
        return np.ones(len(arguments[0]), bool)
    flat = gradient.reshape(len(gradient), -1)
    return ~np.isfinite(flat).all(1) | ~flat.any(1)


def _gradient(output: Callable[..., tf.Tensor]) -> _Gradient:
    """(x, ...) -> gradient of the output by x, zero where they are not connected."""

    def gradient(x: tf.Tensor, *arguments: Any) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            values = output(x, *arguments)
        return tape.gradient(values, x, unconnected_gradients="zero")

    return gradient


def _score_gradient(classifier: keras.Model, search: Ifia, region: tf.Tensor | None) -> _Gradient:
    """(x, y, first_row, clean) -> gradient of the score at a random start."""
    explainer = search.explainer
    if explainer.method == METHODS[0]:
        explainer = dataclasses.replace(
            explainer, steps=min(NODES, explainer.steps), rule="midpoint"
        )
    search = dataclasses.replace(
        search,
        explainer=explainer,
        rotate_nodes=False,
        hold_label=0.0,
        algorithm="select",
        precision="float32",
        random_start=True,
    )
    networks = search.networks(classifier)
    seed = tf.constant([0, 0])

    def gradient(x: tf.Tensor, y: tf.Tensor, first_row: tf.Tensor, clean: tf.Tensor) -> tf.Tensor:
        options = {"first_row": first_row}
        inputs = AttackInputs(classifier, networks, x, y, clean, seed, region, options)
        score = IfiaScore(search, inputs)
        start = search.threat.project(search.threat.start(x, seed, first_row), x)
        return _gradient(lambda points: score(points, tf.constant(0)))(start)

    return gradient


def _smooth_network(classifier: keras.Model, search: Ifia) -> keras.Model:
    """The attack's network with average pooling in place of max pooling.

    The kinks of a max pooling move finite differences and no second derivative. FAR's second
    derivative is of no function: its network is replaced by the twin, which has it exactly.
    """
    layers = keras.layers

    def replace(value: Any) -> Any:
        if type(value) is layers.MaxPooling2D:
            return layers.AveragePooling2D(
                value.pool_size, value.strides, value.padding, value.data_format, name=value.name
            )
        if type(value) is layers.GlobalMaxPooling2D:
            return layers.GlobalAveragePooling2D(
                value.data_format, keepdims=value.keepdims, name=value.name
            )
        return value

    kind = "none" if search.second_derivatives == "none" else "softplus_twin"
    averaging = replace_operations(classifier, replace)
    return make_networks(averaging, kind, search.softplus_beta, "float32").attack_network


def _curvatures(
    network: keras.Model, x: tf.Tensor, y: tf.Tensor, first_row: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """`d^T H v` by automatic differentiation and by differences, each [directions, B].

    Then [B] each: the norm of the gradient g, and the difference of `v^T g` of two equal calls.
    """
    # Away from 0 and 1, where a network may clip.
    points = 2 * _STEP + (1 - 4 * _STEP) * x
    shape = tf.concat([tf.shape(x)[:1], [_DIRECTIONS + 1], tf.shape(x)[1:]], 0)
    signs = tf.sign(uniform_rows(shape, tf.constant([0, 3]), first_row) - 0.5)
    signs = tf.stack(tf.unstack(signs, _DIRECTIONS + 1, 1))
    v, directions = signs[0], signs[1:]
    logit_gradient = _gradient(label_logit(network))

    def slope(points: tf.Tensor) -> tf.Tensor:
        return _sum(logit_gradient(points, y) * v)

    product = _gradient(slope)(points)
    moves = tf.concat([_STEP * directions, -_STEP * directions, tf.zeros_like(x)[tf.newaxis]], 0)
    count = 2 * _DIRECTIONS + 1
    nearby = tf.reshape(points + moves, tf.concat([[-1], tf.shape(x)[1:]], 0))
    gradients = logit_gradient(nearby, tf.tile(y, [count]))
    gradients = tf.reshape(gradients, tf.shape(points + moves))
    slopes, at_points = _sum(gradients * v), gradients[-1]
    change = slopes[:_DIRECTIONS] - slopes[_DIRECTIONS:-1]
    noise = tf.abs(slopes[-1] - slope(points))
    return (
        _sum(product * directions),
        change / (2 * _STEP),
        tf.sqrt(_sum(tf.square(at_points))),
        noise,
    )


def _sum(values: tf.Tensor) -> tf.Tensor:
    """Sum over the pixels: [..., H, W, C] -> [...]."""
    return tf.reduce_sum(values, [-3, -2, -1])


def _root_mean_square(values: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(np.square(values, dtype=np.float64), 0))
