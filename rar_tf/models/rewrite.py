"""Replacing operations of a model, on the same variables."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
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
    require_built(model)
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


def is_graph(model: Any) -> bool:
    """Whether a built model is a graph of operations that are all that its call computes."""
    if not isinstance(model, (keras.Function, keras.Sequential)):
        return False
    custom = (part for part in type(model).__mro__ if part.__module__.split(".")[0] != "keras")
    return bool(model.built) and not any("call" in vars(part) for part in custom)


def without_nested(model: keras.Model) -> keras.Model:
    """The model with nested graphs inlined, see `inlined`; the model itself if it has none."""
    nested = is_graph(model) and any(is_graph(layer) for layer in model.layers)
    return inlined(model) if nested and len(model.inputs) == 1 else model


def inlined(
    model: keras.Model,
    image: keras.KerasTensor | None = None,
    prepare: Callable[[keras.KerasTensor], keras.KerasTensor] | None = None,
) -> keras.Model:
    """A Functional model of the same operations on the same variables, without nested graphs.

    Operations keep their names, except that one with the name of an earlier one gets the name of
    its model before its own; the output of a nested model is an Identity with the model's name.
    Operations that keep their name are those of `model`, not copies.

    Args:
      model: a built Functional or Sequential model with one input; nested ones are inlined, custom
        ones kept.
      image: input of the result; None for one like the model's.
      prepare: operations on the input before those of the model; None for none.
    """
    graph = functional_view(model)
    image = _like(graph.inputs[0]) if image is None else image
    names = _unique_names(graph)
    copies: dict[int, keras.Operation] = {}

    def renamed(operation: keras.Operation) -> keras.Operation:
        if names[id(operation)] == operation.name:
            return operation
        if id(operation) not in copies:
            copies[id(operation)] = with_attributes(operation, name=names[id(operation)])
        return copies[id(operation)]

    def call(operation: keras.Operation, recorded: Mapping[str, Any]) -> Callable:
        """The operation, or a nested graph, called with the recorded training argument."""

        def apply(*arguments: Any, **options: Any) -> Any:
            known = getattr(operation, "_call_context_args", ())
            options |= {name: value for name, value in recorded.items() if name in known}
            if is_graph(operation):
                return run(operation, *arguments, **options)
            return renamed(operation)(*arguments, **options)

        return apply

    def run(nested: keras.Model, inputs: Any, mask: Any = None, **recorded: Any) -> Any:
        outputs = functional_view(nested)._run_through_graph(
            inputs, lambda operation: call(operation, recorded)
        )
        if not isinstance(outputs, keras.KerasTensor):
            return outputs
        if id(nested) not in copies:
            copies[id(nested)] = keras.layers.Identity(name=names[id(nested)], autocast=False)
        return copies[id(nested)](outputs)

    value = image if prepare is None else prepare(image)
    outputs = graph._run_through_graph(value, lambda operation: call(operation, {}))
    return keras.Model(image, outputs, name=model.name)


def _unique_names(graph: keras.Model) -> dict[int, str]:
    """Names of all operations of a graph and its nested graphs, by their id."""
    names: dict[int, str] = {}
    taken = {_input_name(graph.inputs[0])}

    def visit(model: keras.Model) -> None:
        operations = functional_view(model).operations
        nested = [operation for operation in operations if is_graph(operation)]
        for operation in operations:
            if id(operation) in names or isinstance(operation, keras.layers.InputLayer):
                continue
            name = operation.name
            while name in taken:
                name = f"{model.name}_{name}"
            taken.add(name)
            names[id(operation)] = name
        for operation in nested:
            visit(operation)

    visit(graph)
    return names


def _like(tensor: keras.KerasTensor) -> keras.KerasTensor:
    return keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=_input_name(tensor))


def _input_name(tensor: keras.KerasTensor) -> str:
    return str(tensor._keras_history.operation.name)


def functional_view(model: keras.Model) -> keras.Model:
    """An uncompiled Functional model of the graph of a Functional or Sequential model."""
    require_built(model)
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return keras.Model(model.input, model.output, name=model.name)


def require_built(model: keras.Model) -> None:
    """Raise ValueError unless the model is built."""
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
