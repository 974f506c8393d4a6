"""The steps of a run, under any strategy."""

from collections.abc import Iterable, Sequence

import keras
import tensorflow as tf

from rar_tf.training.robust_model import RobustModel


def run_steps(
    model: RobustModel, batches: Iterable, steps: int, callbacks: Sequence[keras.callbacks.Callback]
) -> None:
    """`model.fit` for `steps` batches, one epoch.

    Keras' own `fit` cannot run under MultiWorkerMirroredStrategy (keras issue 20585, seen in
    3.15); this loop serves every strategy alike. What callbacks are told are the means of
    the replicas' metrics, the same at every worker.

    Args:
      model: compiled.
      batches: of `Distribution.training_batches`, at least `steps`.
      steps: how many to take, unless a callback sets `model.stop_training`.
      callbacks: Keras callbacks; their hooks by batch and by training are called.
    """
    strategy, names = model.distribute_strategy, list(model.trackers)

    def of_replica(*batch):
        logs = model.train_step(batch)
        return tf.stack([logs[name] for name in names])

    @tf.function(reduce_retracing=True)
    def step(iterator):
        return strategy.reduce("MEAN", strategy.run(of_replica, args=next(iterator)), axis=None)

    listeners = keras.callbacks.CallbackList(callbacks, add_history=False, model=model)
    model.stop_training = False
    model.reset_metrics()
    listeners.on_train_begin()
    iterator = iter(batches)
    for i in range(steps):
        listeners.on_train_batch_begin(i)
        logs = dict(zip(names, tf.unstack(step(iterator)), strict=True))
        listeners.on_train_batch_end(i, logs)
        if model.stop_training:
            break
    listeners.on_train_end()
