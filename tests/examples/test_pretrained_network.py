"""The example of a pretrained network, on a tiny one and few images."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from examples import pretrained_network

SHAPE = (12, 12, 3)


def tiny_network():
    """A network of ten classes, of pixels in [0, 255], with statistics, ReLU6 and a softmax."""
    layers = keras.layers
    image = keras.Input(SHAPE)
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(10, activation="softmax")(x))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Arguments of the example: the network and its images."""
    folder = tmp_path_factory.mktemp("pretrained")
    tiny_network().save(folder / "network.keras")
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = random.integers(0, 60, (60, *SHAPE)) + 60 * labels[:, None, None, None]
    np.savez(folder / "data.npz", images=images.astype("uint8"), labels=labels)
    return [
        *(str(folder / "network.keras"), f"--dataset=npz:{folder / 'data.npz'}"),
        *("--steps=2", "--examples=2", "--attack=quick", "--batch_size=6", "--ig_steps=1"),
        f"--output={folder / 'out'}",
    ]


def test_all_stages_and_a_second_start(files, capsys):
    output = pathlib.Path(files[-1].removeprefix("--output="))
    pretrained_network.main(files)
    table = capsys.readouterr().out
    assert "start  " in table and "robust  " in table and f"served: {output}/served/1" in table
    names = ("start.keras", "robust/model.keras", "start.png", "robust.png", "features.npy")
    times = {name: (output / name).stat().st_mtime_ns for name in names}
    classifier = keras.models.load_model(output / "robust/model.keras")
    endpoint = tf.saved_model.load(str(output / "served/1")).signatures["serve"]
    x = np.random.default_rng(1).random((2, *SHAPE)).astype("float32")
    np.testing.assert_allclose(
        endpoint(image=tf.constant(x))["logits"], classifier(255 * x), atol=1e-5
    )
    pretrained_network.main(files)
    assert capsys.readouterr().out == table
    assert times == {name: (output / name).stat().st_mtime_ns for name in names}


def test_the_head_takes_the_features_of_the_network():
    network = tiny_network()
    changed = pretrained_network.with_head(network, 3)
    inner = keras.Model(network.inputs, network.layers[-1].input)
    head = changed.get_layer("head")
    x = tf.random.stateless_uniform([4, *SHAPE], seed=(0, 0), maxval=255.0)
    expected = inner(x, training=False) @ head.kernel + head.bias
    np.testing.assert_allclose(changed(x, training=False), expected, atol=1e-5)


def test_statistics_and_the_first_layers_are_frozen():
    changed = pretrained_network.with_head(tiny_network(), 3)
    pretrained_network.freeze(changed, 0.5)
    trained = {
        weight.path.split("/")[0].rstrip("_0123456789") for weight in changed.trainable_weights
    }
    assert trained == {"depthwise_conv2d", "head"}


def test_a_network_without_a_dense_end_is_refused():
    image = keras.Input(SHAPE)
    network = keras.Model(image, keras.layers.Conv2D(2, 3)(image))
    with pytest.raises(ValueError, match="the last layer with weights must be Dense. Received: c"):
        pretrained_network.with_head(network, 3)
