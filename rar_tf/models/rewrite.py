"""A model with some of its operations exchanged, on the same variables."""

from collections.abc import Callable
from typing import Any

import keras


def rewritten(model: keras.Model, replace: Callable[[Any], Any]) -> keras.Model:
    """The model after `replace`, sharing its variables; the model itself if nothing changed.

    `replace` meets the operations of Functional and Sequential models at any depth, and
    the attributes of layers (such as the `activation` of a convolution), in no order to
    rely on. What it returns unchanged is searched in turn; a shared layer is met once.

    Args:
      model: a built Keras model; a subclassed one is searched by its attributes.
      replace: an operation, a function or any other attribute -> what takes its place.

    Raises:
      ValueError: a model that is not built.
    """
    _require_built(model)
    done: dict[int, Any] = {}

    def visit(operation: Any) -> Any:
        if id(operation) not in done:
            done[id(operation)] = operation  # What a cycle of attributes finds.
            new = replace(operation)
            if new is operation and isinstance(operation, keras.Layer):
                new = descend(operation)
            done[id(operation)] = new
        return done[id(operation)]

    def descend(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, (keras.Function, keras.Sequential)):
            graph = functional_view(layer)
            changed = [visit(operation) is not operation for operation in graph.operations]
            return keras.models.clone_model(graph, clone_function=visit) if any(changed) else layer
        new = {name: attribute(value) for name, value in vars(layer).items()}
        changes = {name: new[name] for name, value in vars(layer).items() if new[name] is not value}
        return with_attributes(layer, **changes) if changes else layer

    def attribute(value: Any) -> Any:
        if isinstance(value, keras.Operation):
            return visit(value)
        if isinstance(value, (list, tuple, dict)):
            old = list(value.values() if isinstance(value, dict) else value)
            new = [attribute(item) for item in old]
            if all(a is b for a, b in zip(old, new, strict=True)):
                return value
            return dict(zip(value, new, strict=True)) if isinstance(value, dict) else new
        return replace(value)

    return visit(model)


def functional_view(model: keras.Model) -> keras.Model:
    """An uncompiled Functional model of the same graph as a Functional or Sequential one."""
    _require_built(model)
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return keras.Model(model.input, model.output, name=model.name)


def _require_built(model: keras.Model) -> None:
    if not model.built:
        raise ValueError(
            f"model must be built: call it on an image first. Received: {model.name!r}, unbuilt"
        )


def with_attributes(layer: keras.Layer, **attributes: Any) -> keras.Layer:
    """A twin of a built layer on the same variables, some attributes exchanged."""
    twin = object.__new__(type(layer))
    # A built layer refuses new attributes, so they go in below its `__setattr__`; the twin has
    # its own place in graphs and its own losses.
    vars(twin).update(vars(layer))
    vars(twin).update(_inbound_nodes=[], _outbound_nodes=[], _losses=[], _loss_ids=set())
    vars(twin).update(attributes)
    return twin


def elementwise(operation: keras.Operation, function: Callable[[Any], Any]) -> keras.Layer:
    """A layer that applies `function` in the place, name and precision of `operation`."""
    # An operation of `keras.ops` keeps the dtype that it is given, a layer casts to its own.
    if isinstance(operation, keras.Layer):
        casting = {"dtype": operation.dtype_policy, "autocast": operation.autocast}
    else:
        casting = {"autocast": False}
    return _Elementwise(function, name=operation.name, **casting)


class _Elementwise(keras.layers.Activation):
    """An activation that may be called as `keras.layers.Softmax` is."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        return self.activation(inputs)


def kind(value: Any) -> str | None:
    """The class name, in lower case, of an operation or layer of Keras's own; None for others.

    Keras exports neither the classes of its operations nor one spelling (`ReLU`, `Relu`).
    """
    ours = isinstance(value, keras.Operation) and type(value).__module__.split(".")[0] == "keras"
    return type(value).__name__.lower() if ours else None
