"""Independent constructions that several tests hold the library against."""

import pathlib

import keras
import numpy as np

from rar_tf.models import small_cnn

TESTS = pathlib.Path(__file__).parent
FASHION_SAMPLE = TESTS / "testdata" / "fashion_mnist_sample.npz"


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
