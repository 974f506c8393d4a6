"""docs/serving.md: its example runs as written, its defaults are the library's."""

import pathlib

import keras
from matplotlib import pyplot

from rar_tf import serving
from rar_tf.attribution import Explainer
from rar_tf.serving import export

ROOT = pathlib.Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def test_the_example_runs_as_written(tmp_path, monkeypatch, capsys):
    image = keras.Input((28, 28, 1))
    logits = keras.layers.Dense(10)(keras.layers.Flatten()(image))
    model = keras.Model(image, logits)
    export(model, tmp_path / "served/fashion_mnist/1", explainer=Explainer(steps=1))
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.chdir(tmp_path)
    code = TEXT.split("<!-- example:start -->\n```python\n")[1].split("```\n<!-- example:end")[0]
    exec(code, {})
    pyplot.close("all")
    assert capsys.readouterr().out.startswith("{'class': [")
    assert (tmp_path / "answer.png").read_bytes().startswith(b"\x89PNG")


def test_defaults_are_those_of_the_library():
    defaults = {
        "steps": serving.EXPLAINER.steps,
        "rule": serving.EXPLAINER.rule,
        "nodes_per_pass": serving.NODES_PER_PASS,
        "images_per_pass": serving.IMAGES_PER_PASS,
    }
    for flag, default in defaults.items():
        assert f"`--{flag}` ({default}" in TEXT
