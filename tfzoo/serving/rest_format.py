"""JSON to tensors and back, by the rules of TensorFlow Serving's RESTful API ("Predict API", "JSON mapping").

Every request that is read here is one that TensorFlow Serving reads, to the same tensors. The
reverse does not hold: what it lets pass and a client can only have sent by mistake is refused,
namely inputs that the signature does not have, text after the document, a key twice in an object,
text that is not UTF-8, whole numbers that do not fit into their type, the tokens ``Inf`` and
``-NaN``, nesting of more than some hundred levels, and ranks or sizes other than the signature's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfzoo.errors import UsageError, nearest
from tfzoo.serving.interface import Array
from tfzoo.serving.json_tensors import is_base64, kind, listed, parse_json, parse_tensor, short
from tfzoo.serving.metadata import DEFAULT_SIGNATURE, Signature, TensorInfo

# Outputs are binary by the end of their names (section "Encoding binary values").
BINARY_SUFFIX = "_bytes"


@dataclass(frozen=True)
class PredictRequest:
    """A parsed request.

    Attributes:
        signature: name of the signature.
        inputs: one array for each of its inputs; strings are `bytes` objects.
        row: the request is in row format (``instances``), and so must the answer be.
    """

    signature: str
    inputs: dict[str, Array]
    row: bool


def parse_request(body: bytes, signatures: Mapping[str, Signature]) -> PredictRequest:
    """Read the body of a predict request.

    Args:
        body: JSON in row or column format.
        signatures: what the model answers.

    Raises:
        UsageError: the body is not such a request; the message names the input or key.
    """
    document = parse_json(body)
    if not isinstance(document, dict):
        raise UsageError(f"The request must be a JSON object. Received {kind(document)}.")
    name = document.get("signature_name", DEFAULT_SIGNATURE)
    if not isinstance(name, str):
        raise UsageError(f"'signature_name' must be a string. Received {kind(name)}.")
    name = name or DEFAULT_SIGNATURE
    if name not in signatures:
        raise UsageError(
            f"'signature_name': there is no signature {short(name)}. {nearest(name[:50], signatures)}"
        )
    expected = signatures[name].inputs
    if ("instances" in document) == ("inputs" in document):
        raise UsageError("The request must have either the key 'instances' or the key 'inputs'.")
    row = "instances" in document
    columns = _columns(document["instances"], expected) if row else _named(document["inputs"], expected)
    inputs = {key: parse_tensor(columns[key], info, f"input '{key}'") for key, info in expected.items()}
    return PredictRequest(name, inputs, row)


def write_request(signature: str, inputs: Mapping[str, Array], *, row: bool) -> bytes:
    """Return the body of a predict request; the arrays are as in `PredictRequest`."""
    columns = {name: listed(array, binary=False) for name, array in inputs.items()}
    if not row:
        return _dump({"signature_name": signature, "inputs": columns})
    return _dump({"signature_name": signature, "instances": _rows(columns)})


def write_answer(outputs: Mapping[str, Array], *, row: bool) -> bytes:
    """Return the body of the answer to a predict request.

    Args:
        outputs: arrays by name; strings are `bytes` objects.
        row: the request was in row format.

    Raises:
        UsageError: the row format cannot hold outputs whose first sizes differ.
    """
    columns = {name: listed(array, binary=name.endswith(BINARY_SUFFIX)) for name, array in outputs.items()}
    if not row:
        return _dump({"outputs": columns if len(columns) > 1 else next(iter(columns.values()))})
    first_sizes = {array.shape[:1] for array in outputs.values()}
    if len(first_sizes) > 1 or () in first_sizes:
        raise UsageError("The outputs do not share their first size; ask in column format ('inputs').")
    return _dump({"predictions": _rows(columns)})


def parse_answer(body: bytes, signature: Signature, *, row: bool) -> dict[str, Array]:
    """Return the outputs of an answer of `write_answer` or TensorFlow Serving, as they were given to it.

    Raises:
        UsageError: this is no answer of that signature in that format.
    """
    document, key = parse_json(body), "predictions" if row else "outputs"
    if not isinstance(document, dict) or key not in document:
        raise UsageError(f"The answer has no key '{key}'.")
    values, expected = document[key], signature.outputs
    if len(expected) == 1:
        columns = {next(iter(expected)): values}
    else:
        columns = _columns(values, expected) if row else _named(values, expected)
    return {key: parse_tensor(columns[key], info, f"output '{key}'") for key, info in expected.items()}


def _columns(instances: Any, expected: Mapping[str, TensorInfo]) -> dict[str, list[Any]]:
    if not isinstance(instances, list):
        raise UsageError(f"'instances' must be a list. Received {kind(instances)}.")
    if not instances:
        raise UsageError("'instances' is an empty list.")
    if not _is_named(instances[0]):
        if len(expected) > 1:
            raise UsageError(f"'instances' must hold objects with the keys {', '.join(expected)}.")
        for number, instance in enumerate(instances):
            if _is_named(instance):
                raise UsageError(
                    f"instances[{number}] must be a value or list as the others are, not an object."
                )
        return {next(iter(expected)): instances}
    for number, instance in enumerate(instances):
        if not _is_named(instance):
            raise UsageError(
                f"instances[{number}] must be an object as the others are. Received {kind(instance)}."
            )
        _check_names(instance, expected, f"instances[{number}]")
    return {name: [instance[name] for instance in instances] for name in expected}


def _named(inputs: Any, expected: Mapping[str, TensorInfo]) -> dict[str, Any]:
    if _is_named(inputs):
        _check_names(inputs, expected, "'inputs'")
        return dict(inputs)
    if len(expected) > 1:
        raise UsageError(
            f"'inputs' must be an object with the keys {', '.join(expected)}. Received {kind(inputs)}."
        )
    return {next(iter(expected)): inputs}


def _check_names(values: Mapping[str, Any], expected: Mapping[str, TensorInfo], where: str) -> None:
    for name in expected:
        if name not in values:
            raise UsageError(f"{where}: the input '{name}' is missing.")
    for name in values:
        if name not in expected:
            raise UsageError(f"{where}: there is no input {short(name)}. {nearest(name[:50], expected)}")


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _rows(columns: Mapping[str, list[Any]]) -> list[Any]:
    """Return an object for each row, or its bare value where there is one column."""
    if len(columns) == 1:
        return next(iter(columns.values()))
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _dump(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
