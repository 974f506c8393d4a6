# %% [markdown]
# # Robust explanations
#
# A classifier predicts *boot*, and a map of integrated gradients shows the pixels that the
# prediction depends on. Here a small classifier is trained twice on 461 images of Fashion-MNIST:
# with the natural loss, and with attribution regularization. Then the explanations of both are
# attacked, by a change of the image that is hard to see and does not change the prediction.
#
# `python -m scripts.gen_notebook` writes this notebook, with its outputs, from
# `examples/robust_explanations.py`. Run it in a checkout.

# %%
import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np

import rar_tf
from rar_tf import attack, attribution, datasets, evaluation, objective, reporting, training

STEPS = 300  # of each training: seconds on two cores
EPSILON = 0.1  # largest change of a pixel, in units of [0, 1]
SAMPLE = pathlib.Path(rar_tf.__file__).parents[1] / "tests/testdata/fashion_mnist_sample.npz"

NAMES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Boot",
)

data = datasets.load(f"npz:{SAMPLE}")
test_x, test_y = data.require("test").read(np.arange(8))
figure, axes = plt.subplots(1, 8, figsize=(9, 1.4))
for axis, image in zip(axes, test_x, strict=True):
    axis.imshow(image[..., 0], cmap="gray")
    axis.set_axis_off()

# %% [markdown]
# ## Natural and robust training
#
# `RobustModel` is a Keras model whose `fit` minimizes an objective under an attack. The natural
# objective needs no attack; `ig_norm` adds the largest 1-norm of the integrated gradients of the
# loss in the ball.


# %%
def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(data.image_shape),
            layers.Conv2D(16, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(data.num_classes),
        ]
    )


def trained(loss: objective.Objective) -> keras.Model:
    classifier = network()
    maximizer = attack.Attack(attack.LpBall("inf", EPSILON), steps=5, step_size=EPSILON / 4)
    model = training.RobustModel(classifier, loss, maximizer)
    model.compile(keras.optimizers.Adam(2e-3))
    batches = datasets.training_batches(data.require("train"), batch_size=64, seed=0, steps=STEPS)
    model.fit(batches, steps_per_epoch=STEPS, shuffle=False, verbose=0)
    return classifier


natural = trained(objective.natural())
robust = trained(objective.ig_norm(ig_steps=3, attack_ig_steps=1))

# %% [markdown]
# ## Measurement
#
# IN is the share of the 100 most important pixels that are still among the 100 most important
# after the attack; CO is Kendall's rank correlation of the two maps. Both are means over the images
# that a model classifies correctly. With few images and a small network, the numbers only show the
# direction of the effect.

# %%
protocol = evaluation.protocol("rar", "fashion_mnist", data.image_shape)
for name, classifier in (("natural", natural), ("robust", robust)):
    report = evaluation.evaluate(
        classifier, data, protocol=protocol, num_examples=24, strong_pgd=False
    )
    metrics = report.metrics
    print(
        f"{name:>8}: accuracy {report.natural_accuracy.value:.3f}, "
        f"under PGD {report.pgd_accuracy.value:.3f}, "
        f"IN {metrics['top_k'].mean:.3f}, CO {metrics['kendall'].mean:.3f} "
        f"({report.counts['attacked']} images)"
    )

# %% [markdown]
# ## Explanations under attack
#
# The natural model: blue pixels stay among the most important ones, orange ones are lost, and
# yellow ones replace them.

# %%
explained = evaluation.explain(natural, test_x[0], protocol)
reporting.explanation_figure(explained, NAMES[explained.row.label])

# %% [markdown]
# The robust model, on the same image and under the same attack.

# %%
explained = evaluation.explain(robust, test_x[0], protocol)
reporting.explanation_figure(explained, NAMES[explained.row.label])

# %% [markdown]
# ## Completeness
#
# Integrated gradients sum up to the difference of the output between the image and the black image.
# The deviation of their sum is the error of the quadrature.

# %%
logit = attribution.label_logit(robust)
x = datasets.to_unit(test_x[:1])
label = np.argmax(robust(x), -1).astype("int32")
for steps in (5, 20, 100):
    maps = attribution.integrated_gradients(logit, x, label, baseline=0.0, steps=steps)
    change = float(logit(x, label)[0] - logit(np.zeros_like(x), label)[0])
    print(f"{steps:>3} nodes: sum {np.sum(maps):.4f}, change of the logit {change:.4f}")
