"""Asks a trained model in this process through the functions that an export has, without an export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import tensorflow as tf

from tfzoo.serving.interface import Array, Client
from tfzoo.serving.metadata import Signature, TensorInfo
from tfzoo.serving.recommender import Recommender
from tfzoo.serving.signatures import served_functions


class InProcessClient(Client):
    """The functions of a `Recommender`.

    Args:
        recommender: what is asked.
        model: name of the model, for messages.
    """

    def __init__(self, recommender: Recommender, model: str) -> None:
        self.model = model
        self._functions = cast("Mapping[str, Any]", served_functions(recommender))
        self.signatures = {
            name: Signature({spec.name: _info(spec) for spec in function.input_signature}, {})
            for name, function in self._functions.items()
        }

    def _run(self, signature: str, inputs: dict[str, Array]) -> dict[str, Array]:
        infos = self.signatures[signature].inputs
        tensors = {name: tf.constant(array, infos[name].dtype) for name, array in inputs.items()}
        # By position: the names of a signature are those of its specifications, which the functions share.
        answer = self._functions[signature](*(tensors[name] for name in infos))
        return {name: tensor.numpy() for name, tensor in answer.items()}


def _info(spec: tf.TensorSpec) -> TensorInfo:
    return TensorInfo(spec.dtype.name, tuple(-1 if size is None else size for size in spec.shape))
