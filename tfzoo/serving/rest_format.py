"""JSON to tensors and back, by the rules of TensorFlow Serving's RESTful API ("Predict API", "JSON mapping").

Every request that is read here is one that TensorFlow Serving reads, to the same tensors, but for
one thing: a request to recommend may leave out ``k`` and ``exclude_ids``. The reverse does not
hold: what TensorFlow Serving lets pass and a client can only have sent by mistake is refused,
namely inputs that the signature does not have, text after the document, a key twice in an object,
text that is not UTF-8, whole numbers that do not fit into their type, the tokens ``Inf`` and
``-NaN``, nesting of more than some hundred levels, and ranks or sizes other than the signature's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfzoo.errors import UsageError, nearest
from tfzoo.serving.interface import BLANK_NUMBER, Array
from tfzoo.serving.json_tensors import is_base64, kind, listed, parse_json, parse_tensor, short
from tfzoo.serving.metadata import DEFAULT_SIGNATURE, STRING, Signature, TensorInfo

# What a request to recommend may leave out, and the number of items that are then listed.
OPTIONAL = frozenset({"k", "exclude_ids"})
DEFAULT_K = 10
# Outputs are binary by the end of their names (section "Encoding binary values").
BINARY_SUFFIX = "_bytes"
# Values of all outputs that are written in one piece, some milliseconds of work.
PIECE = 10_000


@dataclass(frozen=True)
class PredictRequest:
    """A parsed request.

    Attributes:
        signature: name of the signature.
        inputs: one array for each of its inputs; strings are `bytes` objects.
        row: the request is in row format (``instances``), and so must the answer be.
        recommends: the signature lists the best ``k`` items for each row.
    """

    signature: str
    inputs: dict[str, Array]
    row: bool
    recommends: bool


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
    optional = OPTIONAL if _recommends(expected) else frozenset()
    if row:
        columns = _columns(document["instances"], expected, optional)
    else:
        columns = _named(document["inputs"], expected, optional)
    inputs = {
        key: parse_tensor(columns[key], info, f"input '{key}'")
        for key, info in expected.items()
        if key in columns
    }
    if optional:
        _fill(inputs, expected)
    return PredictRequest(name, inputs, row, bool(optional))


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
    return b"".join(answer_pieces(outputs, row=row))


def answer_pieces(outputs: Mapping[str, Array], *, row: bool) -> Iterator[bytes]:
    """Yield the body of the answer to a predict request in pieces, none of which takes long.

    Args:
        outputs: as for `write_answer`.
        row: as for `write_answer`.

    Raises:
        UsageError: as for `write_answer`, before the first piece.
    """
    if row:
        first_sizes = {array.shape[:1] for array in outputs.values()}
        if len(first_sizes) > 1 or () in first_sizes:
            raise UsageError("The outputs do not share their first size; ask in column format ('inputs').")
        yield from _framed(b'{"predictions":', _list_pieces(outputs), b"}")
    elif len(outputs) == 1:
        yield from _framed(b'{"outputs":', _list_pieces(outputs), b"}")
    else:
        for number, (name, array) in enumerate(outputs.items()):
            opening = (b"," if number else b'{"outputs":{') + _dump(name) + b":"
            yield from _framed(opening, _list_pieces({name: array}), b"")
        yield b"}}"


def _list_pieces(outputs: Mapping[str, Array]) -> Iterator[bytes]:
    """Yield a list with an element for each row of outputs that share their first size."""
    shapes = [array.shape for array in outputs.values()]
    if shapes == [()]:
        yield _dump(next(iter(_listed(outputs).values())))
        return
    rows = shapes[0][0]
    step = max(1, PIECE * rows // max(1, sum(array.size for array in outputs.values())))
    for start in range(0, max(1, rows), step):
        part = {name: array[start : start + step] for name, array in outputs.items()}
        text = _dump(_rows(_listed(part)))[1:-1]
        yield b"%b%b%b" % (b"," if start else b"[", text, b"]" if start + step >= rows else b"")


def _framed(before: bytes, pieces: Iterator[bytes], after: bytes) -> Iterator[bytes]:
    for piece in pieces:
        yield before + piece
        before = b""
    yield after


def _listed(outputs: Mapping[str, Array]) -> dict[str, Any]:
    return {name: listed(array, binary=name.endswith(BINARY_SUFFIX)) for name, array in outputs.items()}


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


def _recommends(inputs: Mapping[str, TensorInfo]) -> bool:
    k, exclude = inputs.get("k"), inputs.get("exclude_ids")
    if k is None or exclude is None or len(inputs) == len(OPTIONAL):
        return False
    in_rows = all(info.shape for info in inputs.values())
    return in_rows and k == TensorInfo("int32", (-1,)) and exclude.shape == (-1, -1)


def _fill(inputs: dict[str, Array], expected: Mapping[str, TensorInfo]) -> None:
    """Add what a request to recommend has left out in all of its rows."""
    rows = len(next(iter(inputs.values())))
    inputs.setdefault("k", np.full(rows, DEFAULT_K, np.int32))
    inputs.setdefault("exclude_ids", np.empty((rows, 0), expected["exclude_ids"].numpy_dtype))


def _columns(
    instances: Any, expected: Mapping[str, TensorInfo], optional: Set[str] = frozenset()
) -> dict[str, list[Any]]:
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
        _check_names(instance, expected, optional, f"instances[{number}]")
    given = [name for name in expected if any(name in instance for instance in instances)]
    return {name: _column(name, expected[name], instances) for name in given}


def _column(name: str, info: TensorInfo, instances: list[dict[str, Any]]) -> list[Any]:
    """Return the values of all rows; those that may be left out, and are in some rows, are made to fit."""
    if all(name in instance for instance in instances):
        return [instance[name] for instance in instances]
    left_out: Any = DEFAULT_K
    if name == "exclude_ids":
        # Of one length with the others, by ids that no item has.
        other = next(instance[name] for instance in instances if name in instance)
        left_out = ["" if info.dtype == STRING else BLANK_NUMBER] * (
            len(other) if isinstance(other, list) else 0
        )
    return [instance.get(name, left_out) for instance in instances]


def _named(
    inputs: Any, expected: Mapping[str, TensorInfo], optional: Set[str] = frozenset()
) -> dict[str, Any]:
    if _is_named(inputs):
        _check_names(inputs, expected, optional, "'inputs'")
        return dict(inputs)
    if len(expected) > 1:
        raise UsageError(
            f"'inputs' must be an object with the keys {', '.join(expected)}. Received {kind(inputs)}."
        )
    return {next(iter(expected)): inputs}


def _check_names(
    values: Mapping[str, Any], expected: Mapping[str, TensorInfo], optional: Set[str], where: str
) -> None:
    for name in expected:
        if name not in values and name not in optional:
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
