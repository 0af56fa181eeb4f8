"""The variables of a SavedModel by their names, read and written without its graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.protobuf import trackable_object_graph_pb2

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def read_variables(prefix: Path) -> dict[str, NDArray]:
    """Return the variables whose name no other variable has.

    Args:
        prefix: of the checkpoint, ``<version>/variables/variables``.

    Returns:
        Arrays by name; texts are `bytes` objects.
    """
    reader = tf.train.load_checkpoint(str(prefix))
    return {name: reader.get_tensor(key) for name, key in _keys(reader).items()}


def write_variables(source: Path, target: Path, changed: Mapping[str, NDArray]) -> None:
    """Write a checkpoint with all tensors of another one, some of them changed.

    Args:
        source: prefix of the checkpoint that is copied.
        target: prefix of the checkpoint that is written.
        changed: new values of variables, by name.

    Raises:
        KeyError: there is no variable of such a name.
    """
    reader = tf.train.load_checkpoint(str(source))
    keys = _keys(reader)
    tensors = {key: reader.get_tensor(key) for key in reader.get_variable_to_shape_map()}
    dtypes = reader.get_variable_to_dtype_map()
    for name, values in changed.items():
        tensors[keys[name]] = values
    names = sorted(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(target),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(tensors[name], dtypes[name]) for name in names],
    )


def _keys(reader: tf.train.CheckpointReader) -> dict[str, str]:
    """Return where the tensor of each variable lies."""
    graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(reader.get_tensor(OBJECT_GRAPH))
    found: dict[str, set[str]] = {}
    for node in graph.nodes:
        for attribute in node.attributes:
            found.setdefault(attribute.full_name, set()).add(attribute.checkpoint_key)
    return {name: keys.pop() for name, keys in found.items() if len(keys) == 1}
