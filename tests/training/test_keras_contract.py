"""RobustModel as a Keras model: files, callbacks, weights of examples, metrics, policies."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from rar_tf.attack import Attack, LpBall, TransportPenalty
from rar_tf.objective import Objective, aat, construct, distributional, ig_norm, madry, natural
from rar_tf.objective.terms import loss_change
from rar_tf.training import RobustModel
from tests.support.parity import relu_classifier, two_devices

RANDOM = np.random.default_rng(4)
X = RANDOM.random((12, 4, 4, 1)).astype("float32")
Y = (np.arange(12) % 3).astype("int32")
WEIGHTS = RANDOM.random(12).astype("float32")
RATE = 0.1


def robust(classifier=None, objective=None, attack=None, **options):
    attack = attack or Attack(LpBall(2, 0.2), steps=2, step_size=0.1)
    model = RobustModel(classifier or relu_classifier(), objective or madry(), attack, seed=3)
    model.compile(keras.optimizers.SGD(RATE, momentum=0.9), **options)
    return model


def fit(model, **options):
    return model.fit(X, Y, batch_size=4, shuffle=False, verbose=0, **options).history


def assert_same_weights(model, other):
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("objective", "attack"), [
    (ig_norm(0.5, ig_steps=2), Attack(LpBall("inf", 0.1, None), 2, 0.05, decay="linear")),
    (distributional(ig_steps=1), Attack(TransportPenalty(2.0, start_radius=0.1), 2, 0.05)),
    (natural(), None),
])  # fmt: skip
def test_a_saved_model_goes_on_as_the_model_itself(tmp_path, objective, attack):
    model = RobustModel(relu_classifier(), objective, attack, seed=3)
    model.compile(
        keras.optimizers.SGD(RATE, momentum=0.9), metrics=["sparse_top_k_categorical_accuracy"]
    )
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (loaded.attack, loaded.seed) == (model.attack, 3)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert fit(loaded) == fit(model)
    assert_same_weights(loaded, model)


def test_a_clone_has_the_settings_and_other_weights():
    model = robust(objective=aat(0.7, ig_steps=2))
    clone = keras.models.clone_model(model)
    assert clone.objective.construction == model.objective.construction
    assert clone.attack == model.attack
    assert clone.count_params() == model.count_params() == 16 * 12 + 12 + 12 * 3 + 3
    before = model.get_weights()
    clone.set_weights([np.zeros_like(w) for w in before])
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_summary_and_weights_files(tmp_path, capsys):
    model = robust()
    model.summary()
    assert "243" in capsys.readouterr().out
    fit(model)
    model.save_weights(tmp_path / "w.weights.h5")
    other = robust(relu_classifier(seed=5))
    other.load_weights(tmp_path / "w.weights.h5")
    assert_same_weights(other, model)
    assert_same_weights(other.classifier, model.classifier)


def test_model_checkpoint_and_early_stopping(tmp_path):
    model = robust()
    best = keras.callbacks.ModelCheckpoint(
        tmp_path / "{epoch}.keras", monitor="val_loss", save_best_only=False
    )
    stop = keras.callbacks.EarlyStopping("val_loss", min_delta=10.0, patience=1)
    history = fit(model, epochs=9, validation_data=(X, Y), callbacks=[best, stop])
    # An improvement of 10 nats cannot be: two epochs without one, after the first.
    assert len(history["val_loss"]) == 2
    loaded = keras.models.load_model(tmp_path / "2.keras")
    assert_same_weights(loaded, model)
    value = model.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True)["loss"]
    assert history["val_loss"][-1] == pytest.approx(value, rel=1e-5)


class Killed(Exception):
    """Raised in place of a death."""


def test_backup_and_restore_resumes_to_the_same_weights(tmp_path):
    whole = robust()
    fit(whole, epochs=3)
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")

    def die(epoch, logs):
        if epoch == 1:
            raise Killed

    killed = robust()
    with pytest.raises(Killed):
        fit(killed, epochs=3, callbacks=[backup, keras.callbacks.LambdaCallback(on_epoch_end=die)])
    resumed = robust(relu_classifier(seed=9))
    fit(resumed, epochs=3, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "backup")])
    assert int(resumed.optimizer.iterations) == 9
    assert_same_weights(resumed.classifier, whole.classifier)


def losses(classifier):
    logits = tf.constant(classifier(X))
    return keras.losses.sparse_categorical_crossentropy(Y, logits, from_logits=True).numpy()


def test_sample_weights_are_those_of_keras():
    """sum_i w_i l_i / B, in the step, the metrics and evaluate: against Keras's own fit."""
    classifier, plain = relu_classifier(), relu_classifier()
    expected = losses(classifier)
    model = robust(classifier, natural(), weighted_metrics=["sparse_categorical_accuracy"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    plain.compile(
        keras.optimizers.SGD(RATE, momentum=0.9),
        loss,
        weighted_metrics=["sparse_categorical_accuracy"],
    )
    result = model.evaluate(X, Y, sample_weight=WEIGHTS, verbose=0, return_dict=True)
    assert result["loss"] == pytest.approx(np.mean(WEIGHTS * expected), rel=1e-5)
    right = np.argmax(classifier(X), -1) == Y
    assert result["sparse_categorical_accuracy"] == pytest.approx(
        np.sum(WEIGHTS * right) / np.sum(WEIGHTS), rel=1e-5
    )
    assert result["accuracy"] == pytest.approx(np.mean(right))
    for weights in ({"sample_weight": WEIGHTS}, {"class_weight": {0: 0.2, 1: 3.0}}):
        a, b = (
            m.fit(X, Y, batch_size=4, shuffle=False, verbose=0, **weights).history
            for m in (model, plain)
        )
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
        name = "sparse_categorical_accuracy"
        assert a[name] == pytest.approx(b[name], rel=1e-5)
        for one, other in zip(classifier.get_weights(), plain.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("shape", [(12,), (12, 1)])
def test_weight_0_leaves_an_example_out_and_2_counts_it_twice(shape):
    """Of an attacked objective: gradients are linear in the weights."""
    weights = np.array([0, 2, 1] * 4, "float32")

    def step(x, y, w):
        classifier = relu_classifier()
        model = robust(classifier, ig_norm(ig_steps=1), Attack(LpBall(2, 0.2), 1, 0.1))
        # One random start for all rows, as the starts depend on the row.
        model.attack = dataclasses.replace(model.attack, steps=0)
        model.find_adversary = lambda batch: tf.minimum(batch.image + 0.1, 1.0)
        before = classifier.get_weights()
        model.train_step((x, y) if w is None else (x, y, w))
        return [a - b for a, b in zip(classifier.get_weights(), before, strict=True)]

    weighted = step(tf.constant(X), tf.constant(Y), tf.constant(weights.reshape(shape)))
    rows = np.repeat(np.arange(12), weights.astype(int))
    repeated = step(tf.constant(X[rows]), tf.constant(Y[rows]), None)
    for a, b in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_sample_weights_on_two_devices_equal_one():
    def weights(strategy):
        with strategy.scope():
            model = robust()
        data = tf.data.Dataset.from_tensors((X, Y, WEIGHTS))
        model.fit(data, shuffle=False, verbose=0)
        return model.classifier.get_weights()

    one, two = weights(tf.distribute.get_strategy()), weights(two_devices().strategy)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("objective", [natural(), madry()])
def test_metrics_are_of_the_unperturbed_images(objective):
    class FirstLogit(keras.metrics.Mean):
        def update_state(self, y, logits, sample_weight=None):
            return super().update_state(logits[:, 0])

    classifier = relu_classifier()
    model = robust(classifier, objective, metrics=["accuracy", FirstLogit(name="first")])
    right = np.mean(np.argmax(classifier(X), -1) == Y)
    first = np.mean(classifier(X)[:, 0])
    result = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert result == pytest.approx(
        {"loss": np.mean(losses(classifier)), "accuracy": right, "first": first}, rel=1e-4
    )
    model.optimizer.learning_rate.assign(0.0)
    history = fit(model)
    assert history["accuracy"][0] == pytest.approx(right)
    # The last epoch's weights are the first's; madry's predictions follow its step.
    assert history["first"][0] == pytest.approx(first, rel=1e-4)


def test_images_in_a_dictionary_are_predicted_and_measured():
    model = robust(metrics=["accuracy"])
    data = tf.data.Dataset.from_tensors(({"image": X}, Y))
    np.testing.assert_allclose(
        model.predict({"image": X}, verbose=0), model.predict(X, verbose=0), atol=1e-6
    )
    assert model.evaluate(data, verbose=0) == pytest.approx(
        model.evaluate(X, Y, verbose=0), rel=1e-5
    )
    model.fit(data, verbose=0)


def regularized(pool):
    """A ReLU convolution with an activity regularizer before max pooling."""
    image = keras.Input((4, 4, 1))
    regularizer = keras.regularizers.L2(0.3)
    h = layers.Conv2D(
        3,
        3,
        padding="same",
        activation="relu",
        activity_regularizer=regularizer,
        kernel_initializer=keras.initializers.RandomNormal(seed=1),
        bias_initializer=keras.initializers.Constant(0.1),
    )(image)
    h = layers.MaxPooling2D(2, activity_regularizer=regularizer if pool else None)(h)
    h = layers.LayerNormalization(activity_regularizer=regularizer, epsilon=0.1)(h)
    h = layers.ReLU(activity_regularizer=keras.regularizers.L1(0.1))(h)
    kernel = keras.initializers.RandomNormal(seed=2)
    return keras.Model(image, layers.Dense(3, kernel_initializer=kernel)(layers.Flatten()(h)))


@pytest.mark.parametrize("pool", [False, True])
def test_activity_regularizers_are_those_of_keras(pool):
    classifier, plain = regularized(pool), regularized(pool)
    model = robust(classifier, natural())
    plain.compile(
        keras.optimizers.SGD(RATE, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for m in (model, plain):
        m.fit(X, Y, batch_size=4, shuffle=False, epochs=2, verbose=0)
    for a, b in zip(classifier.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("objective", [ig_norm(0.7, ig_steps=2), aat(ig_steps=1), madry()])
def test_activities_are_penalized_in_the_pass_of_the_loss_alone(objective):
    """d total / d weights minus that without regularizers is that of the penalty, by hand."""
    changes = []
    for factor in (0.0, 1.0):
        keras.utils.set_random_seed(0)
        image = keras.Input((4, 4, 1))
        regularizer = keras.regularizers.L2(0.3 * factor)
        dense = layers.Dense(3, activity_regularizer=regularizer)
        classifier = keras.Model(image, dense(layers.Flatten()(image)))
        model = RobustModel(classifier, objective, Attack(LpBall(2, 0.2), 1, 0.1), seed=1)
        model.compile(keras.optimizers.SGD(1.0))
        seen = []
        find = model.find_adversary
        model.find_adversary = lambda batch, find=find, seen=seen: (
            seen.append(find(batch)) or seen[0]
        )
        before = dense.kernel.numpy()
        logits_x = X if objective.base == "clean" else None
        model.train_step((tf.constant(X), tf.constant(Y)))
        changes.append(dense.kernel.numpy() - before)
        points = (X if logits_x is not None else seen[0].numpy()).reshape(12, -1)
    expected = -points.T @ (2 * 0.3 * points @ before) / 12
    np.testing.assert_allclose(changes[1] - changes[0], expected, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "float16"])
def test_float16_is_refused(policy):
    keras.config.set_dtype_policy(policy)
    try:
        classifier = relu_classifier()
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(ValueError, match=f"float32 or bfloat16.*of policy {policy}"):
        robust(classifier)


def test_loss_scales_of_an_optimizer_do_not_change_the_step():
    weights = []
    for optimizer in (
        keras.optimizers.SGD(RATE),
        keras.optimizers.SGD(RATE, loss_scale_factor=1024.0),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(RATE)),
    ):
        model = robust()
        model.compile(optimizer)
        logs = model.train_step((tf.constant(X), tf.constant(Y)))
        weights.append((*model.get_weights()[:4], logs["gradient_norm"].numpy()))
    for others in weights[1:]:
        for a, b in zip(weights[0], others, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_mixed_bfloat16_classifier_learns_as_a_float32_one():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        coarse = relu_classifier()
        model = robust(coarse, ig_norm(0.5, ig_steps=1), Attack(LpBall(2, 0.2), 1, 0.1))
    finally:
        keras.config.set_dtype_policy("float32")
    assert {v.dtype for v in coarse.trainable_variables} == {"float32"}
    exact = robust(None, ig_norm(0.5, ig_steps=1), Attack(LpBall(2, 0.2), 1, 0.1))
    steps = []
    for m in (model, exact):
        before = np.concatenate([np.ravel(w) for w in m.classifier.get_weights()])
        m.train_step((tf.constant(X), tf.constant(Y)))
        steps.append(np.concatenate([np.ravel(w) for w in m.classifier.get_weights()]) - before)
    a, b = steps
    assert a @ b > 0.98 * np.linalg.norm(a) * np.linalg.norm(b)


def test_what_compile_refuses():
    model = robust()
    for options, message in (
        ({"loss": "mse"}, "loss must be None: the objective is the loss. Received: loss='mse'"),
        ({"loss_weights": [1.0]}, "loss_weights must be None"),
        ({"jit_compile": True}, "jit_compile must be False.*Received: jit_compile=True"),
    ):
        with pytest.raises(ValueError, match=message):
            model.compile("sgd", **options)
    model.compile("sgd", jit_compile="auto")
    assert model.jit_compile is False


def test_objectives_and_attacks_without_a_plain_form_are_not_saved(tmp_path):
    def term(classifier, batch, x_adv):
        return loss_change(classifier, batch, x_adv)

    by_hand = Objective("clean", term, 1.0, needs_random_start=True)
    model = robust(None, by_hand)
    for objective in (by_hand, dataclasses.replace(aat(), weight=2.0)):
        with pytest.raises(ValueError, match="made by a registered constructor.*save_weights"):
            robust(None, objective).get_config()
    model.save_weights(tmp_path / "w.weights.h5")
    function = aat.__wrapped__.__globals__["far"](dissimilarity=lambda a, b: a)
    with pytest.raises(ValueError, match="numbers and texts as settings.*dissimilarity"):
        robust(None, function).get_config()

    class Ball(LpBall):
        pass

    with pytest.raises(ValueError, match="threat of LpBall, TransportPenalty. Received: Ball"):
        robust(attack=Attack(Ball(), 1, 0.1)).get_config()


def test_a_file_does_not_choose_what_is_imported():
    config = robust(None, construct("rar_tf.objective:aat", {"weight": 2.0})).get_config()
    assert RobustModel.from_config(config).objective.weight == 2.0
    config["objective"]["name"] = "not_imported_anywhere:function"
    with pytest.raises(ValueError, match="must be imported first: import not_imported_anywhere"):
        RobustModel.from_config(config)
    config["objective"]["name"] = "far"
    config["objective"]["settings"] = {"attribution": "not_imported_anywhere:function"}
    with pytest.raises(ValueError, match="must be imported first"):
        RobustModel.from_config(config)


def test_augmentation_noise_and_spectral_norm_take_part_in_a_step():
    """Layers that act in training alone, beside a wrapper that holds another as `layer`."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1))
    h = keras.Sequential(
        [layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomTranslation(0.1, 0.1)]
    )(image)
    h = layers.GaussianNoise(0.1)(h)
    spectral = layers.SpectralNormalization(layers.Conv2D(4, 3, activation="relu"))
    h = layers.Dropout(0.2)(spectral(h))
    h = layers.TimeDistributed(layers.LayerNormalization())(h)
    classifier = keras.Model(image, layers.Dense(3)(layers.Flatten()(h)))
    x = RANDOM.random((6, 8, 8, 1)).astype("float32")
    for objective in (ig_norm(0.5, ig_steps=1), aat(ig_steps=1, attack_ig_steps=1)):
        model = robust(classifier, objective)
        before = [np.copy(v.numpy()) for v in classifier.trainable_variables]
        history = model.fit(x, Y[:6], batch_size=6, epochs=2, verbose=0).history
        assert all(np.isfinite(values).all() for values in history.values())
        for variable, value in zip(classifier.trainable_variables, before, strict=True):
            assert (variable.numpy() != value).any()
    # Its last step's kernel, normalized by training mode, has the largest singular value 1.
    kernel = spectral.layer.kernel
    for _ in range(30):
        classifier(x, training=True)
    norm = np.linalg.norm(kernel.numpy().reshape(-1, 4), 2)
    assert norm == pytest.approx(1.0, rel=1e-3)
