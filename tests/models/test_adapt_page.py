"""The code that docs/own_models.md shows."""

import numpy as np
import tensorflow as tf

from tests.support.paths import ROOT

PAGE = (ROOT / "docs/own_models.md").read_text(encoding="utf-8")


def test_the_code_of_the_page(capsys):
    code = PAGE.split("test_adapt_page.py -->\n```python\n")[1].split("```\n")[0]
    names = {}
    exec(code, names)
    assert capsys.readouterr().out == (
        "pixels scaled to [0, 255], as its first layers take them; one sigmoid output "
        "p = sigmoid(z) read as two logits (-z/2, z/2)\n"
    )
    np.testing.assert_allclose(
        tf.nn.softmax(names["logits"])[:, 1:], names["probability"], atol=1e-6
    )
