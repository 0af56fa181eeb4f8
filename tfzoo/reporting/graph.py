"""The layers of a Keras functional model and what flows between them, as a page shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

# What reads better than the name of the class.
WORDS = {"GetItem": "slice", "NotEqual": "is not 0", "OnesLike": "ones"}
# Options that say what a layer does, in the order they are shown; others are names, types and seeds.
SHOWN = ("units", "output_dim", "filters", "kernel_size", "factors", "rate", "l2", "axis")


@dataclass(frozen=True)
class Node:
    """One call of a layer, or a group of them.

    Attributes:
        name: of the layer; empty where Keras has chosen it.
        kind: class of the layer and its main options.
        shape: what it gives, such as ``[B, 40]``.
        is_input: it is an input of the model or of the group.
        inner: the graph inside, for a model within the model.
    """

    name: str
    kind: str
    shape: str
    is_input: bool = False
    inner: Graph | None = None


@dataclass(frozen=True)
class Graph:
    """Nodes by key, and edges between keys.

    Attributes:
        nodes: in the order of the model's layers, the user's side first.
        edges: from what gives a tensor to what takes it.
        outputs: name of an output -> key of the node that gives it.
        ports: edge into a group -> the inputs of the group that it leads to.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    ports: dict[tuple[str, str], list[str]] = field(default_factory=dict)


def dimension(size: int | None, num_users: int, num_items: int) -> str:
    """Return a size in words: ``B`` for the batch, ``users + 1`` for a row a user and the unknown one."""
    if size is None:
        return "B"
    for name, number in (("items", num_items), ("users", num_users)):
        if 0 <= size - number <= 2:
            return name if size == number else f"{name} + {size - number}"
    return str(size)


def shape_text(shape: Any, num_users: int, num_items: int) -> str:
    """Return a shape such as ``[B, items + 1]``; the sizes must not be those of a layer by chance."""
    return f"[{', '.join(dimension(size, num_users, num_items) for size in shape)}]"


def read_graph(model: keras.Model, num_users: int, num_items: int) -> Graph:
    """Read the graph of a functional model from its configuration.

    Args:
        model: of the registry.
        num_users: that it was built for.
        num_items: that it was built for.

    Returns:
        Its nodes without those that do nothing: linear activations and joins of a single tensor that
        have no name of their own, and inputs that go into groups with an input of that name.
    """
    shapes = {tensor.name: tuple(tensor.shape) for tensor in model.inputs}
    graph = _read(model, model.get_config(), shapes, (num_users, num_items))
    for key, node in list(graph.nodes.items()):
        takers = [graph.nodes[second] for first, second in graph.edges if first == key]
        inner = [taker.inner for taker in takers]
        if node.is_input and takers and all(i is not None and node.name in i.nodes for i in inner):
            del graph.nodes[key]
            graph.edges[:] = [edge for edge in graph.edges if edge[0] != key]
    return graph


def _read(
    model: keras.Model, config: dict[str, Any], shapes: Mapping[str, Any], sizes: tuple[int, int]
) -> Graph:
    graph, found, skipped = Graph(), dict(shapes), {}
    calls = {layer["name"]: len(layer["inbound_nodes"]) for layer in config["layers"]}
    layers = sorted(config["layers"], key=lambda layer: "item" in layer["name"])
    edges: list[tuple[str, str]] = []
    for layer in layers:
        for number, call in enumerate(layer["inbound_nodes"]):
            inner_inputs = layer["config"].get("input_layers") or {}
            ports = list(inner_inputs if isinstance(inner_inputs, dict) else [])
            for place, (name, index, shape) in enumerate(_tensors(call)):
                edge = _key(name, index, calls), _key(layer["name"], number, calls)
                found[edge[0]] = shape
                if edge not in edges:
                    edges.append(edge)
                graph.ports.setdefault(edge, []).extend(ports[place : place + 1])
    outputs = config["output_layers"]
    named = outputs if isinstance(outputs, dict) else {"": outputs}
    given = model.output if isinstance(model.output, dict) else {"": model.output}
    for output, (name, index, _) in named.items():
        graph.outputs[output] = _key(name, index, calls)
        found[graph.outputs[output]] = tuple(given[output].shape)
    for layer in layers:
        for number in range(max(1, calls[layer["name"]])):
            key = _key(layer["name"], number, calls)
            if key not in found:
                continue  # Its output is not used.
            before = [first for first, second in edges if second == key]
            if len(before) == 1 and _does_nothing(layer) and key not in graph.outputs.values():
                skipped[key] = before[0]
                continue
            graph.nodes[key] = _node(model, layer, shape_text(found[key], *sizes), sizes)
    for first, second in edges:
        while first in skipped:
            first = skipped[first]
        if second in graph.nodes and first in graph.nodes and (first, second) not in graph.edges:
            graph.edges.append((first, second))
    return graph


def _node(model: keras.Model, layer: dict[str, Any], shape: str, sizes: tuple[int, int]) -> Node:
    kind, config = layer["class_name"], layer["config"]
    if kind == "InputLayer":
        return Node(layer["name"], config["dtype"], shape, is_input=True)
    if "layers" in config:
        part = model.get_layer(layer["name"])
        inner = _read(part, config, {tensor.name: tuple(tensor.shape) for tensor in part.inputs}, sizes)
        return Node(layer["name"], "", shape, inner=inner)
    linear = kind == "Activation" and config["activation"] == "linear"
    parts = [] if linear else [WORDS.get(kind, kind)]
    for option in SHOWN:
        value = config.get(option)
        if value in (None, 0) or not isinstance(value, (int, float)) or (option == "axis" and kind != "Sum"):
            continue
        if option in ("units", "output_dim"):
            parts.append(dimension(int(value), *sizes))
        else:
            parts.append(f"{option.replace('_', ' ')} {value:g}")
    if config.get("activation") not in (None, "linear") and isinstance(config["activation"], str):
        parts.append(config["activation"])
    return Node("" if _is_automatic(layer) else layer["name"], " ".join(parts), shape)


def _does_nothing(layer: dict[str, Any]) -> bool:
    linear = layer["class_name"] == "Activation" and layer["config"].get("activation") == "linear"
    return _is_automatic(layer) and (linear or layer["class_name"] == "Concatenate")


def _is_automatic(layer: dict[str, Any]) -> bool:
    """Return whether Keras has named a layer after its class, with a number that depends on the process."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", layer["class_name"]).lower()
    return re.fullmatch(rf"{snake}(_\d+)?", layer["name"]) is not None


def _tensors(value: Any) -> Iterator[tuple[str, int, tuple[int | None, ...]]]:
    """Yield layer, number of the call and shape of every symbolic tensor among arguments."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            name, index, _ = value["config"]["keras_history"]
            yield name, index, tuple(value["config"]["shape"])
            return
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from _tensors(inner)


def _key(name: str, index: int, calls: Mapping[str, int]) -> str:
    # Keras counts the making of a nested model as a call, where it lists outputs.
    number = min(index, max(calls[name], 1) - 1)
    return name if number == 0 else f"{name}#{number}"
