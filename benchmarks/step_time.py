"""What a training step costs: by objective, by schedule, and as nodes, steps and batch grow.

    python -m benchmarks.step_time --output=results/step_time

Each line is measured in a process of its own, against a natural step of the same batch size and
precision that runs in turn with it: the ratio holds where the milliseconds do not. GFLOP/s counts
what `training.cost.step_flops` counts; the peak is this machine's, the best of a matrix product
and of the small CNN's second convolution, measured in the same process and precision. Writes
OUTPUT.json as lines come (the same command goes on), then OUTPUT.md and OUTPUT.png. Run it on a
machine that does nothing else.
"""

import json
import pathlib
import resource
import subprocess
import sys
from typing import Any

import numpy as np
import tensorflow as tf
from absl import app, flags, logging
from matplotlib.figure import Figure

from benchmarks.timing import IMAGE_SHAPE, NUM_CLASSES, seconds, step_call
from rar_tf.environment import hardware, versions
from rar_tf.files import write_atomically
from rar_tf.objective import OBJECTIVES
from rar_tf.presets import build, resolve
from rar_tf.reporting import measurements
from rar_tf.runs.cost import step_flops

FLAGS = flags.FLAGS
flags.DEFINE_string("output", "results/step_time", "Stem of the files written.")
flags.DEFINE_integer("rounds", 15, "Steps of each kind that are timed, after two that are not.")
flags.DEFINE_string("one", None, "JSON of one line's settings: measure it and print it.")

_SWEEPS = {
    "ig_steps": (1, 2, 4, 8),
    "attack_steps": (1, 2, 4, 8),
    "batch_size": (32, 64, 128, 256),
}


def settings() -> list[dict]:
    """The lines of the table: overrides of `resolve("fashion_mnist", ...)`."""
    by_objective = [{"objective": name, "schedule": "fast"} for name in OBJECTIVES]
    float32 = [
        {"objective": name, "schedule": "fast", "precision": "float32"}
        for name in ("natural", "madry", "ig_norm", "ig_sum_norm")
    ]
    paper = [
        {"objective": name, "schedule": "paper", "nodes_per_pass": 10}
        for name in ("ig_norm", "ig_sum_norm")
    ]
    sweeps = [
        {"objective": "ig_norm", "schedule": "fast", "sweep": name, name: value}
        for name, values in _SWEEPS.items()
        for value in values
    ]
    return [*by_objective, *float32, *paper, *sweeps]


def measure(overrides: dict, rounds: int) -> dict:
    """Seconds of a step, of a natural one beside it, FLOPs, this machine's peak, memory."""
    overrides = {name: value for name, value in overrides.items() if name != "sweep"}
    preset = resolve("fashion_mnist", **overrides)
    classifier = build.classifier(preset, NUM_CLASSES, IMAGE_SHAPE)
    preset = preset.replace(precision=build.precision(preset, classifier))
    same: dict[str, Any] = {
        "batch_size": preset.optimizer.batch_size,
        "precision": preset.optimizer.precision,
    }
    natural = resolve("fashion_mnist", "natural", **same)
    calls = [step_call(natural), step_call(preset)]
    times = np.array([[seconds(call) for call in calls] for _ in range(rounds + 2)])[2:]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    flops = sum(step_flops(preset, classifier).values())
    return {
        "preset": preset.to_flat(),
        "seconds": float(np.median(times[:, 1])),
        "natural_seconds": float(np.median(times[:, 0])),
        "relative": float(np.median(times[:, 1] / times[:, 0])),
        "flops": flops * preset.optimizer.batch_size,
        "peak_flops": peak(tf.bfloat16 if "bfloat16" in preset.optimizer.precision else tf.float32),
        "memory_bytes": memory * (1 if sys.platform == "darwin" else 1024),
        "rounds": rounds,
    }


def peak(dtype: tf.DType) -> float:
    """FLOP/s of the better of a 2048-sided matrix product and a 5x5 convolution, 32 to 64."""
    a = tf.cast(tf.random.normal([2048, 2048]), dtype)
    x = tf.cast(tf.random.normal([256, 14, 14, 32]), dtype)
    kernel = tf.cast(tf.random.normal([5, 5, 32, 64]), dtype)
    product = tf.function(lambda: a @ a)
    convolution = tf.function(lambda: tf.nn.conv2d(x, kernel, 1, "SAME"))
    flops = {product: 2 * 2048**3, convolution: 2 * 256 * 14 * 14 * 25 * 32 * 64}
    return max(count / min(seconds(call) for _ in range(20)) for call, count in flops.items())


def sweeps(rows: list[dict]) -> dict[str, tuple[list, list]]:
    """{setting: (its values, seconds a step)} of the sweeps measured so far."""
    found: dict[str, tuple[list, list]] = {}
    for row in rows:
        if name := row["settings"].get("sweep"):
            counts, times = found.setdefault(name, ([], []))
            counts.append(row["settings"][name])
            times.append(row["seconds"])
    return {name: pair for name, pair in found.items() if len(pair[0]) > 1}


def draw(rows: list[dict], path: pathlib.Path) -> None:
    """Left: cost of each objective relative to natural. Right: growth, on logarithmic axes."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    bars, growth = figure.subplots(1, 2)
    fast = [
        row
        for row in rows
        if row["settings"].keys() == {"objective", "schedule"}
        and row["settings"]["schedule"] == "fast"
    ]
    fast.sort(key=lambda row: row["relative"])
    names = [row["preset"]["objective"] for row in fast]
    drawn = bars.barh(names, [row["relative"] for row in fast], color="#4477aa")
    bars.bar_label(drawn, fmt="%.1f", padding=3)
    bars.set_xlabel("time of a step / time of a natural step")
    bars.spines[["top", "right"]].set_visible(False)
    for name, (counts, times) in sweeps(rows).items():
        growth.loglog(counts, times, "o-", base=2, label=name)
    growth.set_xlabel("value of the setting")
    growth.set_ylabel("seconds a step, ig_norm")
    if growth.lines:
        growth.legend(frameon=False)
    growth.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def main(argv):
    """Measures what is missing, then writes the table and the picture."""
    del argv
    logging.set_verbosity(logging.INFO)
    if FLAGS.one:
        print(json.dumps(measure(json.loads(FLAGS.one), FLAGS.rounds)))
        return
    stem = pathlib.Path(FLAGS.output)
    store = stem.with_suffix(".json")
    rows = json.loads(store.read_text())["rows"] if store.exists() else []
    for line in settings():
        if line in [row["settings"] for row in rows]:
            continue
        logging.info("%s", line)
        command = [sys.executable, "-m", "benchmarks.step_time", f"--one={json.dumps(line)}"]
        command.append(f"--rounds={FLAGS.rounds}")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"error: {line}: {done.stderr.strip()[-2000:]}")
        rows.append({"settings": line, **json.loads(done.stdout.strip().splitlines()[-1])})
        content = {"hardware": hardware(), "versions": versions(), "rows": rows}
        write_atomically(store, json.dumps(content, indent=1).encode())
    rows = [row for line in settings() for row in rows if row["settings"] == line]
    text = f"{measurements.step_time(rows)}\n\n{measurements.growth(sweeps(rows))}"
    stem.with_suffix(".md").write_text(
        f"`python -m benchmarks.step_time --output={stem}`, {FLAGS.rounds} steps a line, on "
        f"{hardware()}.\n\n{text}\n"
    )
    draw(rows, stem.with_suffix(".png"))
    print(text)


if __name__ == "__main__":
    app.run(main)
