"""A client that has TensorFlow alone: `client.py EXPORT INPUTS.npz RESULTS`, in a clean process.

Keras cannot be imported there, and `-I` keeps this project off the path. Writes RESULTS/NAME.npz
for each call and RESULTS/found.json: signatures and errors.
"""

import concurrent.futures
import json
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

# TensorFlow imports Keras when it can.
sys.modules["keras"] = None  # type: ignore[assignment]

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

CALLS: dict[str, tuple[str, list[str], int | None]] = {
    "empty": ("attribute", ["image"], 0),
    "one": ("attribute", ["image"], 1),
    "three": ("attribute", ["image"], 3),
    "all": ("attribute", ["image"], None),
    "served": ("serve", ["image"], None),
    "default": ("serving_default", ["image"], None),
    "labelled": ("attribute_label", ["image", "label", "baseline"], None),
}


def signature(function: Any) -> dict[str, Any]:
    """Names, shapes and types of the inputs and outputs."""

    def plain(specs: Mapping[str, Any]) -> dict[str, list]:
        return {name: [spec.shape.as_list(), spec.dtype.name] for name, spec in specs.items()}

    _, inputs = function.structured_input_signature
    return {"inputs": plain(inputs), "outputs": plain(function.structured_outputs)}


def message(function: Callable[..., Any], **inputs: tf.Tensor) -> str:
    """The error that a call raises."""
    try:
        function(**inputs)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def main(export: str, inputs: str, folder: str) -> None:
    """Call every endpoint, rightly and wrongly; write what came."""
    results = pathlib.Path(folder)
    endpoints = tf.saved_model.load(export).signatures
    with np.load(inputs) as file:
        given = {name: file[name] for name in file.files}
    encoded = tf.constant([value.tobytes() for value in (given["png"], given["jpeg"])])

    def call(endpoint: str, names: list[str], rows: int | None = None) -> dict[str, np.ndarray]:
        outputs = endpoints[endpoint](**{name: tf.constant(given[name][:rows]) for name in names})
        return {name: value.numpy() for name, value in outputs.items()}

    for name, arguments in CALLS.items():
        np.savez(results / f"{name}.npz", **call(*arguments))  # type: ignore[arg-type]
    decoded = {name: value.numpy() for name, value in endpoints["serve_bytes"](encoded).items()}
    np.savez(results / "decoded.npz", **decoded)
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(call, "attribute", ["image"], 1 + k % 11) for k in range(32)]
        answers = [thread.result() for thread in waiting]
    for k, answer in enumerate(answers):
        np.savez(results / f"thread{k}.npz", **answer)  # type: ignore[arg-type]

    image = given["image"]
    wrong = {
        "rank": message(endpoints["attribute"], image=tf.constant(image[0])),
        "channels": message(endpoints["serve"], image=tf.constant(image[..., :1])),
        "dtype": message(endpoints["serve"], image=tf.constant(image, tf.float64)),
        "rows": message(
            endpoints["attribute_label"],
            image=tf.constant(image[:3]),
            label=tf.constant([0]),
            baseline=tf.constant(image[:3]),
        ),
    }
    for name in ("gif", "truncated"):
        both = tf.stack([encoded[0], given[name].tobytes()])
        wrong[name] = message(endpoints["serve_bytes"], image_bytes=both)
    found = {
        "signatures": {name: signature(function) for name, function in endpoints.items()},
        "errors": wrong,
        "loaded": [name for name, module in sys.modules.items() if module is not None],
    }
    (results / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
