"""What the signatures of a served model take and give, as a server describes them.

The JSON is that of TensorFlow Serving's "Model Metadata API" (RESTful API documentation): the
protocol buffer ``GetModelMetadataResponse``. Nothing here needs TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfzoo.errors import TfzooError

DEFAULT_SIGNATURE = "serving_default"
STRING = "string"
# The types of the documentation's section "JSON mapping", by the names of the protocol buffers.
DTYPES = {
    "DT_BOOL": "bool",
    "DT_STRING": STRING,
    "DT_INT8": "int8",
    "DT_UINT8": "uint8",
    "DT_INT16": "int16",
    "DT_INT32": "int32",
    "DT_UINT32": "uint32",
    "DT_INT64": "int64",
    "DT_UINT64": "uint64",
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
}


@dataclass(frozen=True)
class TensorInfo:
    """One input or output of a signature.

    Attributes:
        dtype: ``string``, or the name of a NumPy type.
        shape: sizes, -1 where any will do; None if even the rank is free.
    """

    dtype: str
    shape: tuple[int, ...] | None

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The type of arrays that hold it; strings are arrays of `bytes` objects, as TensorFlow has them."""
        return np.dtype(object if self.dtype == STRING else self.dtype)


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs by name."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]


def read_metadata(document: Any) -> dict[str, Signature]:
    """Return the signatures that an answer of the metadata API describes.

    Args:
        document: the parsed JSON. Fields with default values may be missing.

    Returns:
        Signatures by name, without those that take no input (such as a SavedModel's initialiser)
        or have a tensor of a type that JSON cannot carry.

    Raises:
        TfzooError: this is no answer of the metadata API.
    """
    try:
        described = document["metadata"]["signature_def"]["signature_def"]
        return {
            name: Signature(_infos(signature["inputs"]), _infos(signature["outputs"]))
            for name, signature in described.items()
            if signature.get("inputs") and _can_be_json(signature)
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        raise TfzooError("The server's description of its signatures cannot be read.") from None


def describe(name: str, version: int, signature_defs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer of the metadata API.

    Args:
        name: of the model.
        version: its number.
        signature_defs: protocol buffers ``SignatureDef`` by name.
    """
    signatures = {
        key: {
            "inputs": _describe_infos(signature.inputs),
            "outputs": _describe_infos(signature.outputs),
            "method_name": signature.method_name,
            "defaults": {},
        }
        for key, signature in sorted(signature_defs.items())
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": str(version)},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def _infos(described: Mapping[str, Any]) -> dict[str, TensorInfo]:
    infos = {}
    for name, info in sorted(described.items()):
        shape = info.get("tensor_shape", {})
        sizes = tuple(int(dim.get("size", 0)) for dim in shape.get("dim", []))
        infos[name] = TensorInfo(DTYPES[info["dtype"]], None if shape.get("unknown_rank") else sizes)
    return infos


def _can_be_json(signature: Mapping[str, Any]) -> bool:
    infos = [*signature["inputs"].values(), *signature["outputs"].values()]
    return all(info.get("dtype") in DTYPES for info in infos)


def _describe_infos(infos: Mapping[str, Any]) -> dict[str, Any]:
    from tensorflow.core.framework import types_pb2

    return {
        name: {
            "dtype": types_pb2.DataType.Name(info.dtype),
            "tensor_shape": {
                "dim": [{"size": str(dim.size), "name": dim.name} for dim in info.tensor_shape.dim],
                "unknown_rank": info.tensor_shape.unknown_rank,
            },
            "name": info.name,
        }
        for name, info in sorted(infos.items())
    }
