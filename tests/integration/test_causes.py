"""benchmarks.causes on a network in which the causes are known."""

import keras
import numpy as np


def test_one_nonlinear_layer_is_all_of_the_gradients_change(cli, tmp_path):
    """relu(x C) a: the gates are the only derivative that an attack can change.

    The linear model beside it has no such layer: its maps move by their pixels alone.
    """
    random = np.random.default_rng(0)
    image = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(image)
    hidden = keras.layers.Dense(12, "relu", use_bias=False, name="gates")(flat)
    network = keras.Model(image, keras.layers.Dense(3, use_bias=False)(hidden))
    kernel = random.normal(size=(64, 12))
    kernel -= kernel.mean(0)  # brightness alone must not decide the class
    network.set_weights([kernel, random.normal(size=(12, 3))])
    linear = keras.Model(image, keras.layers.Dense(3, use_bias=False)(flat))
    linear.set_weights([random.normal(size=(64, 3))])
    arrays = {}
    for name in ("train", "validation", "test"):
        arrays[f"{name}_images"] = images = random.integers(0, 256, (64, 8, 8)).astype("uint8")
        arrays[f"{name}_labels"] = network(images[..., None] / 255.0).numpy().argmax(-1)
    np.savez(tmp_path / "mine.npz", **arrays)
    network.save(tmp_path / "relu.keras")
    linear.save(tmp_path / "linear.keras")

    ran = cli(
        "benchmarks.causes",
        "--models=relu=relu.keras,linear=linear.keras",
        f"--dataset=npz:{tmp_path}/mine.npz",
        "--num_examples=12",
        "--plot=causes.png",
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    lines = [
        line.split(" | ")
        for line in ran.stdout.splitlines()
        if line.startswith("| ") and "---" not in line
    ]
    cells = {cause.strip("| "): [cell.strip(" |") for cell in rest] for cause, *rest in lines}
    assert cells.pop("what moves") == ["relu: IN", "CO", "linear: IN", "CO"]
    assert list(cells) == ["both", "pixels", "gradient", "gates"]
    assert cells["gates"] == [*cells["gradient"][:2], "", ""]
    assert cells["gradient"][2:] == ["100.0", "1.000"]
    assert cells["pixels"][2:] == cells["both"][2:]
    assert float(cells["both"][1]) < float(cells["gradient"][1]) < 1
    assert "relu 12," in ran.stdout  # by its own labels every image is right
    assert (tmp_path / "causes.png").stat().st_size > 10_000


def test_a_model_without_a_name_is_refused(cli, tmp_path):
    ran = cli("benchmarks.causes", "--models=mine.keras", cwd=tmp_path)
    assert ran.returncode != 0 and "NAME=FILE.keras" in ran.stderr + ran.stdout
