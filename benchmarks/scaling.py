"""The cost model of docs/scaling.md: checked on this machine, and what it predicts for others.

    python -m benchmarks.scaling --check     # minutes; on a machine that does nothing else
    python -m benchmarks.scaling             # the predictions; nothing is measured

--check fits the model's three constants to four settings, predicts the steps of three others from
their operations alone, and measures them: exit status 1 unless all are within --tolerance.
"""

import dataclasses
import sys

import numpy as np
import scipy.optimize
from absl import app, flags, logging

from benchmarks.timing import IMAGE_SHAPE, NUM_CLASSES, seconds, step_call
from rar_tf import markdown
from rar_tf.environment import hardware, versions
from rar_tf.models import PRECISIONS
from rar_tf.presets import build, resolve
from rar_tf.runs.cost import gradient_bytes, step_flops, step_seconds

FLAGS = flags.FLAGS
flags.DEFINE_bool("check", False, "Measure steps on this machine against the model.")
flags.DEFINE_integer("rounds", 15, "Steps of each setting that are timed.")
flags.DEFINE_enum("precision", "mixed_bfloat16", PRECISIONS, "Of the steps that are measured.")
flags.DEFINE_float("tolerance", 0.25, "Largest relative error of a prediction.")

# As in the committed table: the norm is ascended, and quadrature alone gives it.
_NORM = {"objective": "ig_norm", "batch_size": 64, "attack_ig_steps": 1, "completeness": False}
_FITTED = (
    {"objective": "natural", "batch_size": 64},
    {"objective": "natural", "batch_size": 256},
    {**_NORM, "attack_steps": 12, "ig_steps": 2},
    {**_NORM, "attack_steps": 1, "ig_steps": 8},
)
_PREDICTED = (
    {"objective": "madry", "batch_size": 64, "attack_steps": 7},
    {**_NORM, "attack_steps": 4, "ig_steps": 2},
    {**_NORM, "attack_steps": 4, "ig_steps": 4},
)


@dataclasses.dataclass(frozen=True)
class Machine:
    """Devices of one kind.

    Attributes:
      flops: operations a second that one device reaches: its peak times a utilization.
      bandwidth: {up to that many devices: bytes a second each sends in an all-reduce}.
    """

    name: str
    flops: float
    bandwidth: dict[int, float]

    def bytes_a_second(self, replicas: int) -> float:
        """The slowest link of a ring of that many devices."""
        return next(rate for most, rate in self.bandwidth.items() if replicas <= most)


# NVIDIA's data sheet of the H100 SXM: 989 TFLOP/s dense bfloat16, 67 TFLOP/s float32, NVLink
# 900 GB/s, both directions together, inside a machine of 8. Between machines 400 Gb/s a device.
_LINKS = {8: 900e9 / 2, 4096: 400e9 / 8}
H100 = {
    "mixed_bfloat16": Machine("H100, bfloat16 at 10% of peak", 0.10 * 989e12, _LINKS),
    "float32": Machine("H100, float32 at 40% of peak", 0.40 * 67e12, _LINKS),
}
_DEVICES = (1, 8, 64)
# (objective, images a device, further settings) on 224x224 images, ResNet-18.
_RUNS = (
    ("natural", 256, {}),
    ("madry", 128, {"attack_steps": 7}),
    ("ig_norm", 128, {}),
    ("adv_aat", 64, {}),
    (
        "adv_aat",
        16,
        {"attack_steps": 7, "ig_steps": 50, "attack_ig_steps": 10, "nodes_per_pass": 5},
    ),
)


def fit(work: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Constants >= 0 of `times = work @ constants`, the squares of relative errors least.

    Args:
      work: [n, 3]: 1, operations of the attack, operations of the gradient.
      times: [n], seconds.
    """
    return scipy.optimize.nnls(work / times[:, None], np.ones(len(times)))[0]


def check() -> bool:
    """Prints measured and predicted times; whether the predictions are within the tolerance."""
    settings = (*_FITTED, *_PREDICTED)
    presets = [
        resolve("fashion_mnist", precision=FLAGS.precision, **setting) for setting in settings
    ]
    work = np.array([_work(preset) for preset in presets])
    calls = [step_call(preset) for preset in presets]
    # In turn, so that what slows the machine slows all; the least, as interruptions only add.
    times = np.min([[seconds(call) for call in calls] for _ in range(FLAGS.rounds + 2)], 0)
    count = len(_FITTED)
    constants = fit(work[:count], times[:count])
    errors = work @ constants / times - 1
    header = ("setting", "GFLOP attack, gradient", "measured, ms", "model, ms", "error", "")
    lines = []
    for i, setting in enumerate(settings):
        words = ", ".join(f"{name}={value}" for name, value in setting.items())
        lines.append(
            (
                words,
                f"{work[i, 1] / 1e9:.1f}, {work[i, 2] / 1e9:.1f}",
                f"{1e3 * times[i]:.1f}",
                f"{1e3 * (work[i] @ constants):.1f}",
                f"{errors[i]:+.0%}",
                "fitted" if i < count else "predicted",
            )
        )
    print(markdown.table(header, lines))
    with np.errstate(divide="ignore"):
        rates = 1e-9 / constants[1:]
    print(
        f"\n{1e3 * constants[0]:.1f} ms a step, {rates[0]:.0f} GFLOP/s in the attack, "
        f"{rates[1]:.0f} GFLOP/s in the gradient; {FLAGS.precision}\n{hardware()}\n{versions()}"
    )
    return bool(np.abs(errors[count:]).max() <= FLAGS.tolerance)


def _work(preset):
    flops = step_flops(preset, build.classifier(preset, NUM_CLASSES, IMAGE_SHAPE))
    return (
        1.0,
        flops["attack"] * preset.optimizer.batch_size,
        flops["gradient"] * preset.optimizer.batch_size,
    )


def predict() -> None:
    """Prints images a second on 1, 8 and 64 devices of each kind."""
    most = _DEVICES[-1]
    heads = [
        *("device", "objective", "steps / nodes / attack nodes", "images a device"),
        *("GFLOP an image", *(f"images/s on {n}" for n in _DEVICES)),
        *(f"efficiency on {most}", f"minutes a million images on {most}"),
    ]
    lines = []
    for precision, machine in H100.items():
        for objective, batch_size, settings in _RUNS:
            preset = resolve("restricted_imagenet", objective, precision=precision, **settings)
            classifier = build.classifier(preset, 9, (224, 224, 3))
            flops, size = sum(step_flops(preset, classifier).values()), gradient_bytes(classifier)
            rates = [images_a_second(machine, flops, batch_size, size, n) for n in _DEVICES]
            counts = (
                preset.attack.steps,
                preset.objective.values["ig_steps"],
                preset.objective.values["attack_ig_steps"],
            )
            cells = [
                *(machine.name, f"`{objective}`", " / ".join(str(n or "-") for n in counts)),
                *(str(batch_size), f"{flops / 1e9:.0f}", *(f"{rate:.0f}" for rate in rates)),
                *(f"{rates[-1] / rates[0] / most:.0%}", f"{1e6 / rates[-1] / 60:.1f}"),
            ]
            lines.append(cells)
    print(markdown.table(heads, lines))
    print(f"\neach replica sends {size / 1e6:.0f} MB of gradients a step")


def images_a_second(
    machine: Machine, flops: float, batch_size: int, size: int, replicas: int
) -> float:
    """Of all replicas together; `batch_size` is a replica's, `size` its gradients' bytes."""
    step = step_seconds(
        flops * batch_size,
        machine.flops,
        gradient_bytes=size,
        replicas=replicas,
        bandwidth=machine.bytes_a_second(replicas),
    )
    return replicas * batch_size / step


def main(argv):
    """Checks the model, or prints what it predicts."""
    del argv
    logging.set_verbosity(logging.WARNING)
    if not FLAGS.check:
        predict()
    elif not check():
        sys.exit("error: a prediction is not within the tolerance")


if __name__ == "__main__":
    app.run(main)
