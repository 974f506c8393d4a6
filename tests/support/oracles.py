"""Independent constructions that several tests hold the library against."""

from collections.abc import Callable

import keras
import numpy as np
import scipy.stats
import tensorflow as tf

from rar_tf.models import small_cnn
from tests.support.paths import TESTDATA, TESTS

FASHION_SAMPLE = TESTDATA / "fashion_mnist_sample.npz"


def golden(name: str) -> dict[str, np.ndarray]:
    """Figures that the original implementation printed."""
    with np.load(TESTS / "golden" / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def golden_setting() -> tuple[keras.Model, np.ndarray, np.ndarray, np.ndarray]:
    """(classifier, x, y, start): the weights and inputs of the golden figures."""
    random = np.random.default_rng(2019)
    weights = []
    for shape, stddev in (
        ((5, 5, 1, 32), 0.2),
        ((5, 5, 32, 64), 0.05),
        ((3136, 1024), 0.02),
        ((1024, 10), 0.05),
    ):
        weights.append((random.standard_normal(shape) * stddev).astype("float32"))
        weights.append(np.full(shape[-1], 0.1, "float32"))
    classifier = small_cnn()
    classifier.set_weights(weights)
    with np.load(FASHION_SAMPLE, allow_pickle=False) as sample:
        x = (sample["test_images"][:8] / np.float32(255)).reshape(8, 28, 28, 1)
        y = sample["test_labels"][:8].astype("int32")
    noise = random.uniform(-0.1, 0.1, x.shape)
    return classifier, x, y, np.clip(x + noise, 0, 1).astype("float32")


def theorem_3_value(w: np.ndarray, x: np.ndarray, y: np.ndarray, epsilon: float) -> np.ndarray:
    """g(-y<w, x> + eps ||w||_1) with g = softplus: the two-class linear model of [RAR Thm 3].

    Args:
      w: [d], the difference of the two classes' weights (class 1 minus class 0).
      x: [B, d]; y: [B] in {0, 1}.
    """
    margin = (2 * y - 1) * (x @ w)
    return np.logaddexp(0, -margin + epsilon * np.abs(w).sum())


def leaky_pair(seed: int = 0) -> tuple[keras.Model, keras.Model]:
    """(network with leaky ReLU 0.1, its twin with 0.1 x + 0.9 softplus(x)), 6x6x3, 3 classes.

    Two networks built apart, with equal weights.
    """

    def network(activation: Callable[[], keras.layers.Layer]) -> keras.Model:
        return keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                keras.layers.Conv2D(4, 3, padding="same"),
                activation(),
                keras.layers.Flatten(),
                keras.layers.Dense(8),
                activation(),
                keras.layers.Dense(3),
            ]
        )

    def smooth() -> keras.layers.Layer:
        return keras.layers.Activation(lambda z: 0.1 * z + 0.9 * tf.math.softplus(z))

    relu, twin = network(lambda: keras.layers.LeakyReLU(negative_slope=0.1)), network(smooth)
    random = np.random.default_rng(seed)
    weights = [0.5 * random.standard_normal(w.shape) for w in relu.get_weights()]
    relu.set_weights(weights)
    twin.set_weights(weights)
    return relu, twin


def slow_map(network: keras.Model, image: np.ndarray, label: int, nodes: int) -> tf.Tensor:
    """Normalized saliency of right-Riemann IG from black, one node at a time [H, W]."""
    image = tf.convert_to_tensor(image)
    total = tf.zeros_like(image)
    for k in range(1, nodes + 1):
        point = image * (k / nodes)
        with tf.GradientTape() as tape:
            tape.watch(point)
            logit = network(point[tf.newaxis])[0, label]
        total += tape.gradient(logit, point) / nodes
    saliency = tf.reduce_sum(tf.abs(image * total), -1)
    return saliency / tf.reduce_sum(saliency) * float(np.prod(saliency.shape))


def slow_ifia(
    relu: keras.Model,
    twin: keras.Model,
    image: np.ndarray,
    label: int,
    *,
    nodes: int,
    k: int,
    epsilon: float,
    step: float,
    iterations: int,
) -> tuple[np.ndarray | None, float]:
    """The original's top-k attack with Kendall selection, one image, eagerly.

    Returns:
      (kept image or None, its Kendall).
    """
    clean = slow_map(relu, image, label, nodes).numpy().ravel()
    mask = np.zeros(clean.size, "float32")
    mask[np.argsort(-clean, kind="stable")[:k]] = 1
    best, lowest, x_adv = None, 1.0, image
    for _ in range(iterations):
        point = tf.convert_to_tensor(x_adv)
        with tf.GradientTape() as tape:
            tape.watch(point)
            mass = tf.reduce_sum(tf.reshape(slow_map(twin, point, label, nodes), [-1]) * mask)
        direction = -np.sign(tape.gradient(mass, point).numpy())
        x_adv = image + np.clip(x_adv + step * direction - image, -epsilon, epsilon)
        x_adv = np.clip(x_adv, 0, 1).astype("float32")
        if np.argmax(relu(x_adv[None])[0]) != label:
            continue
        after = slow_map(relu, x_adv, label, nodes).numpy().ravel()
        tau = scipy.stats.kendalltau(clean, after).statistic
        if tau < lowest:
            best, lowest = x_adv, tau
    return best, lowest
