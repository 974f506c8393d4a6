"""Networks in loops: oneDNN's pooling gradient, and passes over nodes inside a search."""

import numpy as np
import tensorflow as tf

from rar_tf.attack import Attack, LpBall, maximize
from rar_tf.attribution import cross_entropy
from rar_tf.models import small_cnn
from rar_tf.not_inlined import not_inlined
from rar_tf.objective import ig_norm
from rar_tf.training import RobustModel


def operations(graph, loops):
    """Operations of all functions of a graph; with `loops`, of its loop bodies alone."""
    functions = {function.signature.name: function for function in graph.library.function}
    bodies = [
        node.attr["body"].func.name
        for nodes in (graph.node, *(f.node_def for f in functions.values()))
        for node in nodes
        if node.op in ("While", "StatelessWhile")
    ]
    assert bodies
    chosen = bodies if loops else functions
    return {node.op for name in chosen for node in functions[name].node_def}


def test_no_pooling_gradient_is_in_the_loop_itself():
    """In a loop TensorFlow's oneDNN pass replaces it only in some processes."""
    network = small_cnn(3, (8, 8, 1), seed=0)
    y = tf.constant([0, 1])

    @tf.function(autograph=False)
    def attacked(x):
        return maximize(
            lambda x_adv: cross_entropy(network(x_adv, training=False), y),
            x,
            LpBall("inf", 0.1),
            steps=2,
            step_size=0.1,
            seed=None,
            select=lambda x_adv: cross_entropy(network(x_adv, training=False), y),
        )

    graph = attacked.get_concrete_function(tf.TensorSpec([2, 8, 8, 1])).graph.as_graph_def()
    assert "MaxPoolGrad" in operations(graph, loops=False)
    assert not operations(graph, loops=True) & {"MaxPool", "MaxPoolGrad"}
    marked = [f for f in graph.library.function if f.attr["_noinline"].b]
    assert any("MaxPoolGrad" in {node.op for node in f.node_def} for f in marked)


def test_not_inlined_function_computes_the_same():
    square = not_inlined(lambda x: x**2)
    assert square(tf.constant(3.0)).numpy() == 9
    assert tf.function(lambda x: square(x) + square(2 * x))(tf.constant(3.0)).numpy() == 45


def losses(nodes_per_pass):
    x = tf.random.stateless_uniform([50, 28, 28, 1], [0, 0])
    y = tf.range(50) % 10
    model = RobustModel(
        small_cnn(10, (28, 28, 1), seed=0),
        ig_norm(ig_steps=10, attack_ig_steps=10, nodes_per_pass=nodes_per_pass),
        Attack(LpBall("inf", 0.1), steps=2, step_size=0.05),
        seed=0,
    )
    model.compile("adam")
    step = tf.function(model.train_step)
    return [step((x, y))["loss"].numpy() for _ in range(3)]


def test_passes_inside_a_search_train_as_all_nodes_at_once():
    # Nested loops must not share temporary storage, which fails from the second step on.
    np.testing.assert_allclose(losses(5), losses(None), rtol=1e-4)
