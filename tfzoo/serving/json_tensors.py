"""JSON values to tensors and back, by the section "JSON mapping" of TensorFlow Serving's RESTful API."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections import Counter
from typing import Any

import numpy as np

from tfzoo.errors import UsageError
from tfzoo.serving.interface import Array
from tfzoo.serving.metadata import STRING, TensorInfo

# Binary values are objects of this one key.
BASE64 = "b64"
# What a value may be after parsing; whole numbers alone for the types that are not named.
PYTHON_TYPES: dict[str, set[type]] = {"bool": {bool}, "float32": {int, float}, "float64": {int, float}}


def parse_json(body: bytes) -> Any:
    """Return the document.

    Raises:
        UsageError: it is empty, not UTF-8, not JSON, nested too deeply, or holds a number beyond
            float64 or the same key twice.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"JSON parse error: the document is not UTF-8 at byte {error.start}.") from None
    if not text.strip():
        raise UsageError("JSON parse error: the document is empty.")
    try:
        return json.loads(text, parse_int=_int, parse_float=_float, object_pairs_hook=_object)
    except RecursionError:
        raise UsageError("JSON parse error: the document is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"JSON parse error: {error.msg} at character {error.pos}.") from None


def parse_tensor(value: Any, info: TensorInfo, where: str) -> Array:
    """Return a nested list as an array.

    Args:
        value: parsed JSON.
        info: what the signature says of the tensor.
        where: its name in messages.

    Raises:
        UsageError: the lists are ragged, the rank or a size is not the signature's, or a value is
            not of its type.
    """
    shape: list[int] = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    if info.shape is not None and not _fits(shape, info.shape):
        raise UsageError(f"{where} must have the shape {_shape(info.shape)}. Received {_shape(shape)}.")
    flat: list[Any] = []
    _flatten(value, shape, flat, where)
    return _values(flat, info.dtype, where).reshape(shape)


def is_base64(value: Any) -> bool:
    """Return whether a JSON value is a binary one: an object of the one key ``b64`` with a string."""
    return isinstance(value, dict) and list(value) == [BASE64] and isinstance(value[BASE64], str)


def _fits(shape: list[int], expected: tuple[int, ...]) -> bool:
    # An empty list says nothing of the sizes inside it, but its rank must still be right.
    return len(shape) == len(expected) and all(b in (-1, a) for a, b in zip(shape, expected, strict=True))


def _flatten(value: Any, shape: list[int], flat: list[Any], where: str) -> None:
    """Append the values of a nested list to ``flat``; all lists of one level must be of one size."""
    if not shape:
        flat.append(value)
    elif not isinstance(value, list) or len(value) != shape[0]:
        size = f"a list of {len(value)}" if isinstance(value, list) else kind(value)
        raise UsageError(f"{where} is ragged: {size} where others are lists of {shape[0]}.")
    elif len(shape) > 1:
        for element in value:
            _flatten(element, shape[1:], flat, where)
    elif any(isinstance(element, list) for element in value):
        raise UsageError(f"{where} is ragged: a list where others are values.")
    else:
        flat.extend(value)


def _values(flat: list[Any], dtype: str, where: str) -> Array:
    if dtype == STRING:
        strings = np.empty(len(flat), object)
        strings[:] = [_string(value, where) for value in flat]
        return strings
    types = PYTHON_TYPES.get(dtype, {int})
    for value in flat:
        # Not isinstance: a bool is an int in Python, and no number in JSON.
        if type(value) not in types:
            raise UsageError(f"{where} must hold values of type {dtype}. Received {short(value)}.")
    if types == {int}:
        limits = np.iinfo(dtype)
        for value in flat:
            if not limits.min <= value <= limits.max:
                raise UsageError(f"{where}: {value} does not fit into {dtype}.")
    with np.errstate(over="ignore"):
        return np.array(flat, dtype)


def _string(value: Any, where: str) -> bytes:
    try:
        if isinstance(value, str):
            return value.encode()
        if is_base64(value):
            return base64.b64decode(value[BASE64], validate=True)
    except UnicodeEncodeError:
        raise UsageError(f"{where} holds a text with half of a surrogate pair.") from None
    except (binascii.Error, ValueError):
        raise UsageError(f"{where} holds a text that is not Base64: {short(value[BASE64])}.") from None
    raise UsageError(f"{where} must hold values of type string. Received {short(value)}.")


def listed(array: Array, *, binary: bool) -> Any:
    """Return an array as nested lists for JSON.

    Args:
        array: strings are `bytes` objects.
        binary: write strings as Base64; without it, only those that are not UTF-8.
    """
    if array.dtype == np.float32:
        # The shortest digits that give the same float32, where float64 would show the rounding.
        array = array.astype(str).astype(np.float64)
    if array.dtype != object:
        return array.tolist()
    texts = np.empty(array.size, object)
    texts[:] = [_json_string(raw, binary) for raw in array.ravel()]
    return texts.reshape(array.shape).tolist()


def _json_string(raw: bytes, binary: bool) -> Any:
    try:
        if not binary:
            return raw.decode()
    except UnicodeDecodeError:
        pass
    return {BASE64: base64.b64encode(raw).decode()}


def _int(digits: str) -> int | float:
    # Reading a number of very many digits takes time that grows with their square.
    return int(digits) if len(digits) <= 20 else _float(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise UsageError(f"JSON parse error: the number {short(digits)} is too large for float64.")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise UsageError(f"JSON parse error: the key {short(counts.most_common(1)[0][0])} is there twice.")
    return found


def kind(value: Any) -> str:
    """Return what a JSON value is, for messages."""
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _shape(sizes: list[int] | tuple[int, ...]) -> str:
    shown = ", ".join("any" if size == -1 else str(size) for size in sizes[:8])
    return f"[{shown}]" if len(sizes) <= 8 else f"[{shown}, ...] of {len(sizes)} levels"


def short(value: Any) -> str:
    """Return a JSON value for messages, cut off where it is long."""
    text = json.dumps(value) if not isinstance(value, dict | list) else kind(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
