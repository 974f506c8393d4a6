"""Identity of an evaluation: what must be the same for its rows to be of one measurement."""

import dataclasses
import hashlib
import inspect
import json
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rar_tf.attack import MapAttack
from rar_tf.evaluation.evaluation_set import EvaluationSet
from rar_tf.evaluation.protocols import Protocol
from rar_tf.evaluation.report import MEASUREMENT
from rar_tf.naming import json_default

NUM_PROBES = 8
# Logits of one network on two machines agree to this share of the largest.
PROBE_TOLERANCE = 1e-3


def weights_digest(classifier: keras.Model) -> str:
    """SHA-256 of the values of all weights, in Keras's order."""
    digest = hashlib.sha256()
    for weight in classifier.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def probe(network: keras.Model, evaluation_set: EvaluationSet) -> list[list[float | None]]:
    """Logits [<= NUM_PROBES, classes] of the first images, to six digits; None where not finite."""
    x, _ = evaluation_set.read(np.arange(min(NUM_PROBES, len(evaluation_set))))
    logits = tf.cast(network(tf.constant(x), training=False), tf.float64).numpy()
    return [[float(f"{v:.6g}") if math.isfinite(v) else None for v in row] for row in logits]


def same_probe(one: Any, other: Any) -> bool:
    """Whether two probes agree to `PROBE_TOLERANCE` of the largest logit."""
    try:
        a, b = np.array(one, np.float64), np.array(other, np.float64)
    except (TypeError, ValueError):  # Not logits, as of a file that was edited.
        return False
    if a.shape != b.shape or a.size == 0:
        return False
    scale = np.nanmax(np.abs(np.concatenate([a, b])), initial=0.0)
    return np.allclose(a, b, rtol=0.0, atol=PROBE_TOLERANCE * scale, equal_nan=True)


def data_digests(evaluation_set: EvaluationSet) -> dict[str, str]:
    """SHA-256 of the pixels, as float32 in [0, 1], and of the labels, as int32."""
    images, labels = hashlib.sha256(), hashlib.sha256()
    images.update(repr(evaluation_set.image_shape).encode())
    for x, y in evaluation_set.batches():
        images.update(np.ascontiguousarray(x, "<f4").tobytes())
        labels.update(np.ascontiguousarray(y, "<i4").tobytes())
    return {"images_sha256": images.hexdigest(), "labels_sha256": labels.hexdigest()}


def prefix_digests(evaluation_set: EvaluationSet) -> dict[str, str]:
    """Short digests of the first 1, 2, 4, ... and of all images with their labels, by number.

    Two sets of different sizes are of the same data where the digests of common numbers agree.
    """
    digest, result = hashlib.sha256(), {}
    for number, (x, y) in enumerate(_examples(evaluation_set), 1):
        digest.update(
            np.ascontiguousarray(x, "<f4").tobytes() + int(y).to_bytes(4, "little", signed=True)
        )
        if number & (number - 1) == 0 or number == len(evaluation_set):
            result[str(number)] = digest.hexdigest()[:16]
    return result


def code_digest(protocol: Protocol, attack: MapAttack, *functions: Any) -> str | None:
    """SHA-256 of the source of the custom functions in maps, searches and `functions`, or None."""
    values = [dataclasses.asdict(protocol), dataclasses.asdict(attack), functions]
    sources = {json_default(f): _source(f) for f in _functions(values) if not _is_of_package(f)}
    text = json.dumps(sources, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest() if sources else None


def of_evaluation(described: Mapping[str, Any], logits: Any, code: str | None) -> dict[str, Any]:
    """Identity of an evaluation as plain data; names and places of files are no part of it.

    Args:
      described: fields of the report that decide its rows.
      logits: `probe` of the network.
      code: `code_digest` of protocol and attack.
    """
    model, data = described["model"], described["dataset"]
    settings = {n: v for n, v in described.items() if n not in ("model", "dataset", "measurement")}
    return {
        "measurement": MEASUREMENT,
        "architecture": model["architecture_sha256"],
        "weights": model["weights_sha256"],
        "outputs": model["outputs"],
        **_convention(model.get("input_convention")),
        "logits": logits,
        "images": data["images_sha256"],
        "labels": data["labels_sha256"],
        "split": data["split"],
        "num_examples": data["num_examples"],
        **settings,
        "code": code,
    }


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Names of the parts in which two identities differ, in words."""
    # Other numbers of images are other images.
    of_number = () if one.get("num_examples") == other.get("num_examples") else _OF_NUMBER
    names = [name for name in dict.fromkeys([*one, *other]) if name not in ("logits", *of_number)]
    words = [_WORDS.get(name, name) for name in names if one.get(name) != other.get(name)]
    # Another architecture or other images have other logits, which then tell nothing.
    if not words and not same_probe(one.get("logits"), other.get("logits")):
        words = ["preprocessing or activation (its logits of the first images differ)"]
    return words


def _convention(described: Mapping[str, Any] | None) -> dict[str, Any]:
    """Parts of an identity by which a model reads images otherwise than as they are."""
    names = {"pixels": "0..1", "output_name": None, "data_format": "channels_last"}
    given = described or {}
    return {n: given[n] for n, usual in names.items() if n in given and given[n] != usual}


_OF_NUMBER = ("images", "labels")
_WORDS = {
    "code": "code of custom functions",
    "num_examples": "number of images",
    "pixels": "range of pixels",
}


def _examples(evaluation_set: EvaluationSet) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for x, y in evaluation_set.batches():
        yield from zip(x, y, strict=True)


def _functions(value: Any) -> Iterator[Any]:
    """Functions in nested plain data."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _functions(part)
    elif callable(value):
        yield value


def _is_of_package(function: Any) -> bool:
    """Whether the measurement's version covers the function."""
    return str(getattr(function, "__module__", "")).startswith("rar_tf.")


def _source(function: Any) -> str:
    """Source of the function's module, which holds what it calls; "" where there is none."""
    parts = [sys.modules.get(str(getattr(function, "__module__", ""))), function]
    for part in filter(None, parts):
        try:
            return inspect.getsource(part)
        except (OSError, TypeError):
            continue
    return ""
