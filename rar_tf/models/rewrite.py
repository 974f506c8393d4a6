"""Replacing operations of a model, on the same variables."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras


def replace_operations(model: keras.Model, replace: Callable[[Any], Any]) -> keras.Model:
    """The model with replaced operations, on the same variables; the model itself if unchanged.

    `replace` is called for the operations of Functional and Sequential models at any depth, and
    for the attributes of layers (such as the `activation` of a convolution), in no fixed order.
    Operations that it returns unchanged are searched in turn; a shared layer is visited once.

    Args:
      model: a built Keras model; a subclassed one is searched by its attributes.
      replace: (operation, function or other attribute) -> its replacement, or itself.

    Raises:
      ValueError: a model that is not built.
    """
    _require_built(model)
    replacements: dict[int, Any] = {}

    def visit(operation: Any) -> Any:
        if id(operation) not in replacements:
            replacements[id(operation)] = operation  # Ends cycles of attributes.
            result = replace(operation)
            if result is operation and isinstance(operation, keras.Layer):
                result = descend(operation)
            replacements[id(operation)] = result
        return replacements[id(operation)]

    def descend(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, (keras.Function, keras.Sequential)):
            graph = functional_view(layer)
            changed = [visit(operation) is not operation for operation in graph.operations]
            return keras.models.clone_model(graph, clone_function=visit) if any(changed) else layer
        changes = {}
        for name, value in vars(layer).items():
            result = attribute(value)
            if result is not value:
                changes[name] = result
        return with_attributes(layer, **changes) if changes else layer

    def attribute(value: Any) -> Any:
        if isinstance(value, keras.Operation):
            return visit(value)
        if isinstance(value, (list, tuple, dict)):
            items = list(value.values() if isinstance(value, dict) else value)
            results = [attribute(item) for item in items]
            if all(a is b for a, b in zip(items, results, strict=True)):
                return value
            return dict(zip(value, results, strict=True)) if isinstance(value, dict) else results
        return replace(value)

    return visit(model)


def functional_view(model: keras.Model) -> keras.Model:
    """An uncompiled Functional model of the graph of a Functional or Sequential model."""
    _require_built(model)
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return keras.Model(model.input, model.output, name=model.name)


def _require_built(model: keras.Model) -> None:
    if not model.built:
        raise ValueError(
            f"model must be built: call it on an image first. Received: {model.name!r}, unbuilt"
        )


def with_attributes(layer: keras.Layer, /, **attributes: Any) -> keras.Layer:
    """A copy of a built layer on the same variables, with some attributes replaced."""
    copy = object.__new__(type(layer))
    # A built layer refuses new attributes in `__setattr__`, so they are set in `vars`. Nodes and
    # losses are not shared.
    vars(copy).update(vars(layer))
    vars(copy).update(_inbound_nodes=[], _outbound_nodes=[], _losses=[], _loss_ids=set())
    call = vars(layer).get("call")
    if isinstance(call, _Call):  # The copy's call reads the copy's attributes.
        vars(copy)["call"] = dataclasses.replace(call, operation=copy)
    vars(copy).update(attributes)
    return copy


def with_call(operation: keras.Operation, around: Callable) -> keras.Operation:
    """A copy of a built layer or of an operation, on the same variables, with another call.

    Args:
      operation: the layer or operation.
      around: (former call, *arguments, **options) -> outputs.
    """
    copy = with_attributes(operation)
    former = vars(copy).get("call")
    arounds = former.arounds if isinstance(former, _Call) else ()
    vars(copy)["call"] = _Call(copy, (*arounds, around))
    return copy


@dataclasses.dataclass(frozen=True)
class _Call:
    """Call of an operation by its class, with functions around it, the last one outermost."""

    operation: keras.Operation
    arounds: tuple[Callable, ...]

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        call: Callable = functools.partial(type(self.operation).call, self.operation)
        for around in self.arounds:
            call = functools.partial(around, call)
        return call(*arguments, **options)


def elementwise(operation: keras.Operation, function: Callable[[Any], Any]) -> keras.Layer:
    """A layer that applies `function`, with the name and precision of `operation`."""
    # An operation of `keras.ops` keeps the dtype of its input, a layer casts to its dtype.
    if isinstance(operation, keras.Layer):
        casting = {
            "dtype": operation.dtype_policy,
            "autocast": operation.autocast,
            "activity_regularizer": operation.activity_regularizer,
        }
    else:
        casting = {"autocast": False}
    return _Elementwise(function, name=operation.name, **casting)


class _Elementwise(keras.layers.Activation):
    """Activation that accepts a mask, as `keras.layers.Softmax` does."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        return self.activation(inputs)


def kind(value: Any) -> str | None:
    """Class name, in lower case, of an operation or layer that Keras defines; None for others.

    Keras does not export the classes of its operations, and spells names in two ways (`ReLU`,
    `Relu`).
    """
    is_keras = (
        isinstance(value, keras.Operation) and type(value).__module__.split(".")[0] == "keras"
    )
    return type(value).__name__.lower() if is_keras else None
