"""Counted operations against arithmetic by hand."""

import keras
import pytest
import tensorflow as tf

from rar_tf.models import build
from rar_tf.presets import resolve
from rar_tf.runs.cost import forward_flops, gradient_bytes, step_flops, step_seconds
from rar_tf.training.flops import count_flops

# Twice the multiplications of the papers' CNN, layer by layer.
CONV1 = 2 * (28 * 28) * (5 * 5 * 1) * 32
CONV2 = 2 * (14 * 14) * (5 * 5 * 32) * 64
DENSE = 2 * (7 * 7 * 64) * 1024 + 2 * 1024 * 10
CNN = CONV1 + CONV2 + DENSE
PIXELS = 28 * 28


def cnn():
    return build("small_cnn", num_classes=10, input_shape=(28, 28, 1), seed=0, weight_decay=0.0)


def cost(objective, **settings):
    parts = step_flops(resolve("fashion_mnist", objective, **settings), cnn())
    return parts["attack"], parts["gradient"]


def test_forward_passes_of_known_networks():
    assert forward_flops(cnn()) == CNN == 27_767_808
    assert gradient_bytes(cnn()) == 4 * 3_274_634
    # 1.814 billion multiplications, as the architecture's authors and libraries count them.
    resnet = build(
        "resnet18", num_classes=1000, input_shape=(224, 224, 3), seed=0, weight_decay=0.0
    )
    assert forward_flops(resnet) == pytest.approx(2 * 1.814e9, rel=1e-3)


def test_natural_steps_need_no_gradient_by_the_pixels():
    assert cost("natural") == (0, 3 * CNN - CONV1)


def test_a_madry_step_is_a_forward_and_a_backward_pass():
    # The gradient step also classifies the clean images.
    assert cost("madry", attack_steps=7) == (7 * 2 * CNN, 3 * CNN - CONV1 + CNN)


@pytest.mark.parametrize(("steps", "nodes", "search_nodes"), [(5, 3, 1), (2, 4, 3), (2, 1, 1)])
def test_ig_norm_differentiates_each_node_twice(steps, nodes, search_nodes):
    attack, gradient = cost(
        "ig_norm",
        attack_steps=steps,
        ig_steps=nodes,
        attack_ig_steps=search_nodes,
        completeness=False,
    )
    assert attack == steps * ig_flops(search_nodes)
    # By the weights as well: the first layer's by the pixels is not needed twice.
    more = (2 * CNN - CONV1) if nodes == 1 else nodes * 2 * (CNN - CONV1) + 2 * CONV1
    assert gradient == 3 * CNN - CONV1 + ig_flops(nodes) + more


def ig_flops(nodes):
    """Of the IG norm and its derivative by the pixels; several nodes share the first layer."""
    # The weighted mean over the nodes is a product, so is its derivative, and so is the
    # second derivative of the softmax.
    if nodes == 1:
        return 4 * CNN + 2 * (2 * PIXELS) + 2 * 10
    small = 2 * (2 * 32 * PIXELS) + 2 * 10
    return nodes * (4 * (CNN - CONV1) + small) + 5 * CONV1


def test_ascent_of_the_loss_costs_as_madrys():
    attack, gradient = cost("ig_norm", attack_steps=5, attack_ig_steps=0)
    assert attack == 5 * 2 * CNN
    assert gradient == cost("ig_norm", attack_steps=5, attack_ig_steps=3)[1]


@pytest.mark.parametrize(
    ("objective", "weight", "cancels"),
    [("ig_norm", 1.0, 1), ("ig_norm", 0.5, 0), ("ig_sum_norm", 1.0, 0)],
)
def test_completeness_costs_a_pass_at_the_other_end(objective, weight, cancels):
    """With lambda = 1 the loss at x cancels, and is not differentiated."""
    (attack, without), (same, gradient) = (
        cost(objective, weight=weight, completeness=given) for given in (False, True)
    )
    assert attack == same
    assert gradient == without + (1 - cancels) * (3 * CNN - CONV1) + cancels * CNN


def test_chunks_recompute_their_nodes():
    whole, chunked = cost("ig_norm", ig_steps=4), cost("ig_norm", ig_steps=4, nodes_per_pass=2)
    assert chunked[0] == whole[0]
    # All but what a gradient behind the first layer does not need: the way back to that layer.
    again = 2 * (CNN - CONV1) - CONV2
    assert chunked[1] - whole[1] == pytest.approx(4 * again, rel=1e-2)


def test_loss_output_has_no_second_derivative():
    attack, gradient = cost("loss_output", attack_steps=5)
    assert (attack, gradient) == (5 * 3 * CNN, 3 * (3 * CNN - CONV1))


@pytest.mark.parametrize(
    ("layer", "shape", "flops"),
    [
        (keras.layers.Conv2D(8, 3, padding="same", groups=2), (4, 4, 6), 2 * 16 * 9 * 3 * 8),
        (keras.layers.DepthwiseConv2D(3, depth_multiplier=2), (5, 5, 6), 2 * 9 * 9 * 12),
        (keras.layers.Conv2DTranspose(8, 3, padding="same"), (4, 4, 6), 2 * 16 * 9 * 6 * 8),
        (keras.layers.Conv3D(2, 2), (3, 3, 3, 5), 2 * 8 * 8 * 5 * 2),
        (keras.layers.EinsumDense("abc,cd->abd", (None, 7)), (4, 6), 2 * 4 * 6 * 7),
        (keras.layers.Dense(7), (4, 6), 2 * 4 * 6 * 7),
        (keras.layers.MaxPooling2D(2), (4, 4, 6), 0),
    ],
)
def test_layers(layer, shape, flops):
    assert forward_flops(keras.Sequential([keras.Input(shape), layer])) == flops


def test_einsum_and_branches():
    a, b = tf.TensorSpec((2, 3)), tf.TensorSpec((3, 5))
    assert count_flops(lambda a, b: tf.einsum("ij,jk->ik", a, b), [a, b]) == 2 * 2 * 3 * 5

    def either(a, b):
        product = lambda: tf.reduce_sum(a @ b)  # noqa: E731
        return tf.cond(a[0, 0] > 0, lambda: product() + product(), product)

    assert count_flops(either, [a, b]) == 2 * 2 * 2 * 3 * 5


def test_what_cannot_be_counted_is_named():
    square = tf.TensorSpec((2, 2))

    def until_large(a):
        return tf.while_loop(lambda a: tf.reduce_sum(a) < 9.0 * a[0, 0], lambda a: (a @ a,), (a,))

    with pytest.raises(ValueError, match="bounded by one constant to be counted. Received: .*cond"):
        count_flops(until_large, [square])
    with pytest.raises(ValueError, match=r"shapes must be known.*Received: matmul \[-1, 2\]"):
        count_flops(lambda a: a @ a, [tf.TensorSpec((None, 2))])
    with pytest.raises(ValueError, match="ellipsis cannot be counted. Received"):
        count_flops(lambda a: tf.einsum("...i,ij->...j", a, a), [square])


def test_a_step_is_computation_and_a_ring_all_reduce():
    assert step_seconds(6e9, 2e9) == 3
    ring = {"gradient_bytes": 10.0, "bandwidth": 5.0}
    assert step_seconds(6e9, 2e9, replicas=1, **ring) == 3
    assert step_seconds(6e9, 2e9, replicas=2, **ring) == 3 + 2
    assert step_seconds(6e9, 2e9, replicas=4, **ring) == 3 + 3
    with pytest.raises(ValueError, match="replicas must be >= 1. Received: replicas=0"):
        step_seconds(1, 1, replicas=0)
    with pytest.raises(ValueError, match="throughput must be > 0. Received: throughput=0"):
        step_seconds(1, 0)
