"""Training loop: the steps of a run under any distribution strategy."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from rar_tf.training.robust_model import RobustModel


def run_steps(
    model: RobustModel, batches: Iterable, steps: int, callbacks: Sequence[keras.callbacks.Callback]
) -> None:
    """Runs `steps` training steps, as one epoch of `model.fit`.

    The `fit` of Keras 3.15 fails under MultiWorkerMirroredStrategy (keras issue 20585); this
    loop works under every strategy. The logs of the callbacks are the means of the replicas'
    metrics, equal at every worker.

    Args:
      model: compiled model.
      batches: batches of `Distribution.training_batches`, at least `steps`.
      steps: number of steps, fewer if a callback sets `model.stop_training`.
      callbacks: Keras callbacks; their batch and training hooks are called.
    """
    strategy, names = model.distribute_strategy, list(model.trackers)

    def replica_step(*batch: Any) -> tf.Tensor:
        logs = model.train_step(batch)
        return tf.stack([logs[name] for name in names])

    @tf.function(reduce_retracing=True)
    def step(iterator: Iterator) -> tf.Tensor:
        return strategy.reduce("MEAN", strategy.run(replica_step, args=next(iterator)), axis=None)

    callback_list = keras.callbacks.CallbackList(callbacks, add_history=False, model=model)
    model.stop_training = False
    model.reset_metrics()
    callback_list.on_train_begin()
    iterator = iter(batches)
    for i in range(steps):
        callback_list.on_train_batch_begin(i)
        logs = dict(zip(names, tf.unstack(step(iterator)), strict=True))
        callback_list.on_train_batch_end(i, logs)
        if model.stop_training:
            break
    callback_list.on_train_end()
