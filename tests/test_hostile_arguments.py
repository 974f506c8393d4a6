"""Whatever the public functions are given, they answer with a result or a sentence of ours.

Hypothesis draws the arguments; its choices are fixed, so that a failure comes again.
"""

import re
from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rar_tf import attack, attribution, datasets, evaluation, objective, presets, training

# Ours, or that of Keras about images that a layer does not take.
SENTENCE = re.compile(
    r"(?s)(must|needs?|expected|does not apply|found).*Received|is incompatible with the layer"
)
EXAMPLES = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
NAN, INF = float("nan"), float("inf")

small_counts = st.sampled_from([1, 2, 3]) | st.sampled_from([-1, 0, True, 2.5, NAN, "3"])
counts = small_counts | st.just(10**9)
sizes = st.sampled_from([0.1, 1, 2.0]) | st.sampled_from([-1.0, -1e-9, 0, 1e30, NAN, INF, -INF])
names = st.sampled_from(["midpoint", "inf", "top_k"]) | st.sampled_from(["", "no such", None, 3])


@pytest.fixture(scope="module")
def classifier():
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 1))
    h = keras.layers.Conv2D(2, 1, activation="relu", name="hidden")(image)
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(h)))


def images():
    good = np.random.default_rng(0).random((2, 4, 5, 1)).astype("float32")
    return st.just(good) | st.sampled_from(
        [
            good[:0],
            good[:, :1, :1],
            good.astype("float64"),
            (255 * good).astype("uint8"),
            (255 * good).astype("int64"),
            good * 300 - 7,
            np.where(good > 0.9, np.float32(NAN), good),
            np.where(good > 0.9, np.float32(INF), good),
            good[0],
            good[..., 0],
            good[0, 0, 0, 0],
            good > 0.5,
            good.astype(str),
            np.repeat(good, 2, -1),
        ]
    )


def labels():
    return st.just(np.array([0, 2])) | st.sampled_from(
        [
            np.array([0, 2], "uint8"),
            np.array([0, 3]),
            np.array([-1, 0]),
            np.array([0]),
            np.array([0, 1, 2]),
            np.array([], "int32"),
            np.array([0.0, 1.0]),
            np.array([0.5, NAN]),
            np.eye(3)[:2],
            np.array(1),
            np.array(["a", "b"]),
            np.array([2**40, 0]),
        ]
    )


TRIED: Counter = Counter()


def answers(function, *args, **kwargs):
    """The result, or None where the function refused with a sentence of ours."""
    TRIED["refused"] += 1
    try:
        found = function(*args, **kwargs)
        TRIED.update(answered=1, refused=-1)
        return found
    except (ValueError, FileNotFoundError, tf.errors.InvalidArgumentError) as error:
        assert SENTENCE.search(str(error)), f"{type(error).__name__}: {error}"
    return None


@EXAMPLES
@given(rule=names, steps=counts)
def test_quadrature(rule, steps):
    found = answers(attribution.nodes_and_weights, rule, steps)
    assert found is None or found[1].sum() == pytest.approx(1)


@EXAMPLES
@given(x=images(), y=labels(), steps=small_counts, nodes_per_pass=small_counts)
def test_attributions(classifier, x, y, steps, nodes_per_pass):
    logit = attribution.label_logit(classifier)
    for found in (
        answers(
            attribution.integrated_gradients,
            logit,
            x,
            y,
            baseline=0.0,
            steps=steps,
            nodes_per_pass=nodes_per_pass,
        ),
        answers(attribution.input_gradient, logit, x, y),
        answers(attribution.smooth_grad, logit, x, y, samples=steps, sigma=0.1, seed=[0, 0]),
        answers(
            attribution.layer_integrated_gradients,
            classifier,
            "hidden",
            x,
            y,
            baseline=0.0,
            steps=steps,
        ),
    ):
        if found is not None and np.isfinite(x).all():
            assert np.isfinite(found).all()


@EXAMPLES
@given(a=images(), b=images(), k=counts)
def test_metrics(a, b, k):
    for metric in (attribution.kendall_tau, attribution.spearman, attribution.center_shift):
        found = answers(metric, a[..., 0] if np.ndim(a) == 4 else a, b)
    found = answers(attribution.top_k_intersection, a, b, k)
    assert found is None or not ((found < 0) | (found > 1)).any()
    answers(attribution.saliency, a)


@EXAMPLES
@given(norm=names, number=sizes, steps=counts, size=sizes, other=sizes)
def test_threats_and_attacks(norm, number, steps, size, other):
    answers(attack.LpBall, norm, number)
    answers(attack.TransportPenalty, number, start_radius=size)
    answers(attack.LpBall, "inf", 0.1, bounds=(size, other))
    ball = attack.LpBall("inf", 0.1)
    answers(attack.Attack, ball, steps, size)
    answers(attribution.Explainer, norm, steps)
    answers(attack.Ifia, ball, steps, score=norm, steps=steps, step_size=size)


@EXAMPLES
@given(x=images(), y=labels(), k=small_counts)
def test_searches(classifier, x, y, k):
    loss = attribution.label_loss(classifier)
    ball = attack.LpBall("inf", 0.1)
    found = answers(
        attack.maximize, lambda z: loss(z, y), x, ball, steps=1, step_size=0.1, seed=[0, 0]
    )
    if found is not None and np.isfinite(x).all():
        assert np.isfinite(found).all()

    def ifia():
        search = attack.Ifia(ball, k, steps=1, explainer=attribution.Explainer(steps=1))
        return search(classifier, x, y)

    answers(ifia)


@EXAMPLES
@given(
    name=st.sampled_from(sorted(objective.OBJECTIVES)), weight=sizes, steps=small_counts, q=sizes
)
def test_objectives(name, weight, steps, q):
    constructor = objective.OBJECTIVES[name]
    known = constructor.__kwdefaults__ or {}
    options = {key: value for key, value in {"ig_steps": steps, "q": q}.items() if key in known}
    if name == "layer_ig_norm":
        options["layer"] = "hidden"
    if name not in ("natural", "madry"):
        answers(constructor, weight, **options)


@EXAMPLES
@given(x=images(), y=labels())
def test_training_steps(classifier, x, y):
    copy = keras.models.clone_model(classifier)
    model = training.RobustModel(
        copy,
        objective.ig_norm(ig_steps=1, attack_ig_steps=1),
        attack.Attack(attack.LpBall("inf", 0.1), 1, 0.1),
    )
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    found = answers(lambda: model.train_step((tf.constant(x), tf.constant(y))))
    if found is not None and len(x) and np.isfinite(x).all():
        assert np.isfinite(float(found["loss"]))


PRESET_VALUES = st.one_of(counts, sizes, names)


@EXAMPLES
@given(
    objective=st.sampled_from([*objective.OBJECTIVES, "no_such"]),
    schedule=st.sampled_from(["fast", "paper", "slow"]),
    overrides=st.dictionaries(
        st.sampled_from(
            sorted(set(presets.setting_names()) - {"dataset", "objective", "schedule"})
        ),
        PRESET_VALUES,
        max_size=3,
    ),
)
def test_presets(objective, schedule, overrides):
    from rar_tf.presets import build

    def everything():
        preset = presets.resolve("fashion_mnist", objective, schedule, **overrides)
        preset.objective.build(), preset.build_attack(), build.optimizer(preset)

    answers(everything)


@EXAMPLES
@given(x=images(), y=labels(), count=counts)
def test_data(x, y, count):
    answers(datasets.Split, x, y)
    answers(evaluation.EvaluationSet, (x, y), num_examples=count)
    good = datasets.Split(np.zeros((3, 2, 2, 1), np.uint8), np.zeros(3, np.int32))
    answers(datasets.training_batches, good, batch_size=count, seed=0, steps=1)
    answers(datasets.training_batches, good, batch_size=1, seed=count, steps=count)
    answers(datasets.ordered_batches, good, count)


@EXAMPLES
@given(name=names, dataset=names, k=counts, epsilon=sizes, steps=counts)
def test_evaluations(name, dataset, k, epsilon, steps):
    answers(evaluation.protocol, name, dataset, (8, 8, 1))
    answers(evaluation.protocol, "rar", "mnist", (28, 28, 1), k=k, epsilon=epsilon)
    answers(evaluation.Pgd, steps, epsilon, restarts=k)
    answers(attribution.Explainer, "integrated_gradients", steps, name, epsilon)
    answers(datasets.load, f"{name}:{dataset}", seed=0)


@pytest.mark.parametrize("x", [(0,), (2, 0, 0, 1)])
def test_images_without_pixels_are_refused(x):
    with pytest.raises(ValueError, match="Received"):
        evaluation.EvaluationSet((np.zeros(x, np.float32), np.zeros(x[0], np.int32)))


def test_both_answers_came_often():
    """Last: the tests above tried what is right and what is wrong."""
    print(f"{TRIED.total()} calls: {dict(TRIED)}")
    assert min(TRIED["answered"], TRIED["refused"]) > 500
