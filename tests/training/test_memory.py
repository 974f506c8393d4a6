"""Peak memory of a training step is flat in the number of nodes when they are chunked."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
STEP = """
import resource, sys
import keras, numpy as np
from rar_tf.attack import Attack, LpBall
from rar_tf.models import small_cnn
from rar_tf.objective import ig_norm
from rar_tf.training import RobustModel

nodes, nodes_per_pass = int(sys.argv[1]), int(sys.argv[2]) or None
objective = ig_norm(ig_steps=nodes, attack_ig_steps=1, nodes_per_pass=nodes_per_pass)
model = RobustModel(small_cnn(), objective, Attack(LpBall(), 1, 0.05))
model.compile(keras.optimizers.SGD(0.01))
x = np.random.default_rng(0).random((8, 28, 28, 1), "float32")
model.fit(x, np.arange(8), batch_size=8, verbose=0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(nodes, nodes_per_pass):
    command = [sys.executable, "-c", STEP, str(nodes), str(nodes_per_pass)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    return int(run.stdout.split()[-1])


@pytest.mark.slow
def test_ten_times_the_nodes_take_less_than_a_fifth_more_memory():
    few, many = peak(25, 5), peak(250, 5)
    assert many < 1.2 * few
    assert peak(250, 0) > 1.5 * few  # without chunks the same step shows what is saved
