"""Random requests to an export, good and bad ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from tests.serving.questions import UNKNOWN, Row, Served, tensors
from tfzoo.serving.warmup import prediction_log

LARGEST = 2**31 - 1
KS = (0, -1, -LARGEST - 1, 1, 2, 3, 5, 10, 100, LARGEST)
WRONG_TYPES = {
    tf.int32: (tf.int64, tf.float32, tf.string, tf.bool),
    tf.int64: (tf.int32, tf.float64, tf.string, tf.bool),
    tf.string: (tf.int64, tf.float32, tf.bool),
}


@dataclass(frozen=True)
class Request:
    """A random request.

    Attributes:
        kind: what is wrong with it; ``good`` where nothing is.
        signature: its signature.
        record: the serialized ``PredictionLog``.
        named: what the error must name, as a pattern; empty for a good request.
        rows: what a good request asks.
        inputs: a good request's inputs.
    """

    kind: str
    signature: str
    record: bytes
    named: str
    rows: tuple[Row, ...]
    inputs: dict[str, tf.Tensor]


class Fuzzer:
    """Makes random requests to one export.

    Args:
        served: the export.
        seed: of the random numbers.
    """

    def __init__(self, served: Served, seed: int) -> None:
        self.served, self.random = served, np.random.default_rng(seed)
        self.signatures = {name: sorted(found.inputs) for name, found in served.signatures().items()}
        self.bad: dict[str, Callable[[str, dict[str, tf.Tensor]], tuple[bytes, str]]] = {
            "type": self._wrong_type,
            "rank": self._wrong_rank,
            "rows": self._too_many_rows,
            "values": self._without_values,
            "missing": self._missing,
            "extra": self._extra,
            "signature": self._unknown_signature,
            "output": self._unknown_output,
            "log": self._another_log,
            "cut": self._cut_off,
            "cut inside": self._cut_inside,
        }

    def request(self) -> Request:
        """Return a good request, or, four times in ten, a bad one."""
        signature = str(self.random.choice(list(self.signatures)))
        rows = tuple(self._row() for _ in range(self.random.choice([0, 1, 1, 1, 2, 3, 4])))
        inputs = tensors(self.signatures[signature], rows, self.served.train)
        if self.random.random() < 0.6:
            return Request("good", signature, _bytes(signature, inputs), "", rows, inputs)
        kind = str(self.random.choice(list(self.bad)))
        record, named = self.bad[kind](signature, inputs)
        return Request(kind, signature, record, named, (), {})

    def _row(self) -> Row:
        train, items = self.served.train, self._ids
        everything = tuple(range(1, train.num_items + 1))
        long = self.random.random() < 0.01
        return Row(
            user=int(self.random.integers(UNKNOWN, train.num_users + 1)),
            item=int(self.random.integers(UNKNOWN, train.num_items + 1)),
            history=items(10_000) if long else items(self.random.integers(0, 12)),
            k=int(self.random.choice(KS)),
            exclude=everything if self.random.random() < 0.1 else items(self.random.integers(0, 6)),
            allow=everything if self.random.random() < 0.1 else items(self.random.integers(0, 9)),
        )

    def _ids(self, count: int) -> tuple[int, ...]:
        """Return dense ids, blank and unknown ones among them, or one id again and again."""
        ids = self.random.integers(UNKNOWN, self.served.train.num_items + 1, count)
        return tuple((ids if self.random.random() < 0.9 else np.full_like(ids, ids.max(initial=0))).tolist())

    def _one_of(self, inputs: dict[str, tf.Tensor]) -> str:
        return str(self.random.choice(sorted(inputs)))

    def _wrong_type(self, signature: str, inputs: dict[str, tf.Tensor]) -> tuple[bytes, str]:
        name = self._one_of(inputs)
        choices = WRONG_TYPES[inputs[name].dtype]
        wrong = choices[self.random.integers(len(choices))]
        zeros = (
            tf.fill(tf.shape(inputs[name]), "0") if wrong == tf.string else tf.zeros_like(inputs[name], wrong)
        )
        return _bytes(signature, {**inputs, name: zeros}), f'"{name}"'

    def _wrong_rank(self, signature: str, inputs: dict[str, tf.Tensor]) -> tuple[bytes, str]:
        name = self._one_of(inputs)
        shapes = [tf.shape(inputs[name])[:-1], [1, *inputs[name].shape], [*inputs[name].shape, 1]]
        shape = shapes[self.random.integers(len(shapes))]
        filled = (
            tf.fill(shape, "") if inputs[name].dtype == tf.string else tf.zeros(shape, inputs[name].dtype)
        )
        return _bytes(signature, {**inputs, name: filled}), f'"{name}"'

    def _too_many_rows(self, signature: str, inputs: dict[str, tf.Tensor]) -> tuple[bytes, str]:
        name = self._one_of(inputs)
        extra = tf.zeros([2, *inputs[name].shape[1:]], tf.int32)
        more = tf.as_string(extra) if inputs[name].dtype == tf.string else tf.cast(extra, inputs[name].dtype)
        return _bytes(signature, {**inputs, name: tf.concat([inputs[name], more], 0)}), rf"\b{name}\b"

    def _without_values(self, signature: str, inputs: dict[str, tf.Tensor]) -> tuple[bytes, str]:
        numeric = sorted(name for name in inputs if inputs[name].dtype != tf.string)
        if not numeric:
            return self._missing(signature, inputs)
        log = prediction_log(signature, inputs)
        name = str(self.random.choice(numeric))
        tensor = log.predict_log.request.inputs[name]
        tensor.CopyFrom(
            tf.make_tensor_proto(np.zeros([3] * len(inputs[name].shape), inputs[name].dtype.name))
        )
        tensor.tensor_content = tensor.tensor_content[: self.random.integers(1, len(tensor.tensor_content))]
        return log.SerializeToString(), f'"{name}"'

    def _missing(self, signature: str, inputs: dict[str, tf.Tensor]) -> tuple[bytes, str]:
        name = self._one_of(inputs)
        kept = {key: value for key, value in inputs.items() if key != name}
        return _bytes(signature, kept), f'lacks "{name}"'

    def _extra(self, signature: str, inputs: dict[str, tf.Tensor]) -> tuple[bytes, str]:
        return _bytes(signature, {**inputs, "größe": tf.constant([1])}), 'has "größe" too many'

    def _unknown_signature(self, signature: str, inputs: dict[str, tf.Tensor]) -> tuple[bytes, str]:
        return _bytes(f"{signature}-2", inputs), f'"{signature}-2"'

    def _unknown_output(self, signature: str, inputs: dict[str, tf.Tensor]) -> tuple[bytes, str]:
        log = prediction_log(signature, inputs)
        log.predict_log.request.output_filter.append("stars")
        return log.SerializeToString(), '"stars"'

    def _another_log(self, signature: str, inputs: dict[str, tf.Tensor]) -> tuple[bytes, str]:
        log = prediction_log_pb2.PredictionLog()
        log.classify_log.request.model_spec.signature_name = signature
        return log.SerializeToString(), "PredictionLog.predict_log"

    def _cut_off(self, signature: str, inputs: dict[str, tf.Tensor]) -> tuple[bytes, str]:
        record = _bytes(signature, inputs)
        return record[: self.random.integers(0, len(record))], "PredictionLog"

    def _cut_inside(self, signature: str, inputs: dict[str, tf.Tensor]) -> tuple[bytes, str]:
        """Return a request whose bytes end too early, in a log that is whole."""
        request = prediction_log(signature, inputs).predict_log.request.SerializeToString()
        request = request[: self.random.integers(0, len(request))]
        # A request that is cut between two inputs lacks the second.
        return _field(6, _field(1, request)), "PredictRequest" if _damaged(request) else "lacks"


def _damaged(request: bytes) -> bool:
    try:
        predict_pb2.PredictRequest.FromString(request)
    except DecodeError:
        return True
    return False


def _field(number: int, content: bytes) -> bytes:
    """Return a length-delimited field; its bytes need not be a message."""
    head, length = bytes([number << 3 | 2]), len(content)
    while length > 127:
        head += bytes([length & 127 | 128])
        length >>= 7
    return head + bytes([length]) + content


def _bytes(signature: str, inputs: dict[str, tf.Tensor]) -> bytes:
    return prediction_log(signature, inputs).SerializeToString()
