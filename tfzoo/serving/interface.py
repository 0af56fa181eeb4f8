"""One way to ask an exported model, wherever it runs."""

from __future__ import annotations

import abc
import contextlib
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfzoo.errors import UsageError, nearest
from tfzoo.serving.metadata import DEFAULT_SIGNATURE, STRING, Signature, TensorInfo

Id = int | str
Array = npt.NDArray[Any]

# What the exported graph writes where a row has no further item (`tfzoo.serving.signatures`).
BLANK_SCORE = -1e9
# An export's own blank id lies below all its ids and fits into int64, so that none of them can be the
# lowest number there is. Graphs ignore unknown ids in lists: this one is unknown to every export.
BLANK_NUMBER = int(np.iinfo(np.int64).min)
ID_INPUTS = ("user_id", "item_id", "exclude_ids", "allow_ids", "history")
# Whole numbers below are exact as fractions.
EXACT = 2**53
# The empty text is the blank id of every export whose ids are texts.
BLANK_TEXT = b""


@dataclass(frozen=True)
class Recommendations:
    """A ranked list for one user.

    Attributes:
        item_ids: raw ids, best first; fewer than asked for where no more items are eligible.
        scores: the model's scores, or numbers of interactions for an unknown user.
        known_user: whether the user is in the training data; for a history, whether any of its
            items is.
    """

    item_ids: list[Id]
    scores: list[float]
    known_user: bool


class Client(abc.ABC):
    """Asks the signatures of an exported model.

    Lists of ids (``exclude_ids``, ``allow_ids``, ``history``) are sent with a blank id before
    and, where rows differ in length, after their own ids. TensorFlow Serving with
    ``pad_variable_length_inputs`` joins the requests of several clients and fills rows up with
    the first element of each request's tensor, and refuses an empty tensor among others: with a
    blank id in the first place both are harmless, because graphs ignore it.

    Attributes:
        model: name of the model.
        signatures: what it answers.
    """

    model: str
    signatures: Mapping[str, Signature]

    @abc.abstractmethod
    def _run(self, signature: str, inputs: dict[str, Array]) -> dict[str, Array]:
        """Ask a signature; strings are arrays of `bytes` objects both ways."""

    def close(self) -> None:  # noqa: B027 - a client without connections has nothing to close
        """Close connections; the client cannot be used afterwards."""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def score(self, user_ids: Iterable[Id], item_ids: Iterable[Id]) -> Array:
        """Return the model's rating or score of each pair, float32 ``[B]``.

        Raises:
            UsageError: there are not as many users as items, or an id is a text where the data
                set has whole numbers.
        """
        (scores,) = self.predict(DEFAULT_SIGNATURE, {"user_id": user_ids, "item_id": item_ids}).values()
        return scores

    def recommend(self, user_id: Id, k: int = 10, exclude_ids: Sequence[Id] = ()) -> Recommendations:
        """Return the best ``k`` items for a user, all that are eligible where there are fewer.

        Raises:
            UsageError: an id is a text where the data set has whole numbers, or ``k`` is below 1.
        """
        return self._ask("recommend", k, exclude_ids, user_id=[user_id])

    def recommend_among(
        self, user_id: Id, allow_ids: Sequence[Id], k: int = 10, exclude_ids: Sequence[Id] = ()
    ) -> Recommendations:
        """Return the best ``k`` of the items ``allow_ids`` for a user; none if that is empty.

        Raises:
            UsageError: as for `recommend`, or an older export has no such signature.
        """
        return self._ask("recommend_among", k, exclude_ids, user_id=[user_id], allow_ids=[allow_ids])

    def recommend_from_history(
        self, history: Sequence[Id], k: int = 10, exclude_ids: Sequence[Id] = ()
    ) -> Recommendations:
        """Return the best ``k`` items for someone who has interacted with ``history``, oldest first.

        Raises:
            UsageError: the model cannot score a history, an id is a text where the data set has whole
                numbers, or ``k`` is below 1.
        """
        return self._ask("recommend_from_history", k, exclude_ids, history=[history])

    def recommend_among_from_history(
        self, history: Sequence[Id], allow_ids: Sequence[Id], k: int = 10, exclude_ids: Sequence[Id] = ()
    ) -> Recommendations:
        """Return the best ``k`` of ``allow_ids`` after ``history``, oldest first.

        Raises:
            UsageError: as for `recommend_from_history` and `recommend_among`.
        """
        lists = {"history": [history], "allow_ids": [allow_ids]}
        return self._ask("recommend_among_from_history", k, exclude_ids, **lists)

    def predict(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """Ask a signature about a whole batch.

        Args:
            signature: its name.
            inputs: by name, a sequence or array with one element per row. The rows of lists of
                ids may differ in length.

        Returns:
            The outputs by name, ``[B]`` or ``[B, K]``; ids that are texts are arrays of `str`
            objects. A row that is shorter than K ends with scores of -1e9. K may be larger than
            asked for, because servers answer several clients with one batch.

        Raises:
            UsageError: there is no such signature, an input is missing or does not exist, or its
                values or its number of rows do not fit.
        """
        expected = self._signature(signature).inputs
        if set(inputs) != set(expected):
            received = ", ".join(inputs) or "none"
            raise UsageError(f"Signature '{signature}' takes {', '.join(expected)}. Received {received}.")
        arrays = {name: as_array(name, inputs[name], info) for name, info in expected.items()}
        rows = {name: len(array) for name, array in arrays.items()}
        if len(set(rows.values())) > 1:
            counts = ", ".join(f"{name} {count}" for name, count in rows.items())
            raise UsageError(f"All inputs must have the same number of rows. Received {counts}.")
        return {name: _texts(array) for name, array in self._run(signature, arrays).items()}

    def _ask(self, signature: str, k: int, exclude_ids: Sequence[Id], **who: Any) -> Recommendations:
        # Batches leave a row with such a `k` blank, which a server must do with what others have sent.
        if isinstance(k, int | np.integer) and k < 1:
            raise UsageError(f"k must be at least 1. Received {k}.")
        answer = self.predict(signature, {**who, "k": [k], "exclude_ids": [exclude_ids]})
        items, scores = answer["item_ids"][0], answer["scores"][0]
        shown = scores > BLANK_SCORE
        return Recommendations(items[shown].tolist(), scores[shown].tolist(), bool(answer["known_user"][0]))

    def _signature(self, name: str) -> Signature:
        if name in self.signatures:
            return self.signatures[name]
        if name.endswith("_from_history"):
            raise UsageError(
                f"Model '{self.model}' learns a vector for each user and cannot score a history; "
                "ask with the id of a user."
            )
        raise UsageError(f"Model '{self.model}' has no signature '{name}'. {nearest(name, self.signatures)}")


def as_array(name: str, values: Any, info: TensorInfo) -> Array:
    """Return the values of an input as an array of its type, lists of ids padded with blanks.

    Args:
        name: of the input, for messages.
        values: ``[B]``, or ``[B, m]`` whose rows may differ in length.
        info: what the signature says of it.

    Raises:
        UsageError: a value is not of that type, or the input is nested deeper or less deep.
    """
    if info.shape is None or len(info.shape) == 1:
        return _flat(name, values, info)
    if isinstance(values, str | bytes) or any(isinstance(row, str | bytes) for row in values):
        raise UsageError(f"'{name}' must hold a list of ids for each row. Received a text.")
    blank = BLANK_TEXT if info.dtype == STRING else BLANK_NUMBER
    rows = [_flat(name, row, info) for row in values]
    padded = np.full((len(rows), 1 + max(map(len, rows), default=0)), blank, info.numpy_dtype)
    for row, ids in zip(padded, rows, strict=True):
        row[1 : 1 + len(ids)] = ids
    return padded


def _flat(name: str, values: Any, info: TensorInfo) -> Array:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise UsageError(f"'{name}' must be a sequence. Received {values!r}.")
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if info.dtype == STRING:
        flat = np.empty(len(listed), object)
        flat[:] = [_text(name, raw) for raw in listed]
        return flat
    if np.issubdtype(info.dtype, np.integer):
        return np.array([_whole(name, raw, info.dtype) for raw in listed], info.dtype)
    return np.array(listed, info.dtype)


def plain_id(name: str, raw: Any) -> Id:
    """Return an id as a plain text or whole number, by the rules that data is read by.

    Args:
        name: of the input, for messages.
        raw: a text, a whole number, or one that stands in a column of fractions, as 7.0 does where pandas
            had to leave a cell empty.

    Raises:
        UsageError: it is something else, such as None, NaN, a truth value or a list.
    """
    if isinstance(raw, str):
        return str(raw)
    if isinstance(raw, float | np.floating) and raw.is_integer() and abs(float(raw)) < EXACT:
        return int(raw)
    if not isinstance(raw, bool | np.bool_):
        with contextlib.suppress(TypeError):
            return operator.index(raw)
    raise UsageError(f"'{name}': an id is a text or a whole number. Received {raw!r}.")


def _text(name: str, raw: Any) -> bytes:
    if isinstance(raw, bytes):
        return raw
    try:
        return str(plain_id(name, raw) if name in ID_INPUTS else raw).encode()
    except UnicodeEncodeError:
        raise UsageError(f"'{name}' holds a text that is not Unicode: {raw!r}.") from None


def _whole(name: str, raw: Any, dtype: str) -> int:
    try:
        plain = plain_id(name, raw) if name in ID_INPUTS and not isinstance(raw, bytes) else raw
        value = int(plain) if isinstance(plain, str | bytes) else operator.index(plain)
        limits = np.iinfo(dtype)
        if limits.min <= value <= limits.max:
            return value
    except (TypeError, ValueError):
        pass
    if name == "k":
        raise UsageError(f"k must be a whole number of type {dtype}. Received {raw!r}.")
    if name not in ID_INPUTS:
        raise UsageError(f"'{name}' takes whole numbers of type {dtype}. Received {raw!r}.")
    what = "user" if name == "user_id" else "item"
    raise UsageError(f"The {what} ids of this data set are whole numbers. Received {[raw]}.")


def _texts(array: Array) -> Array:
    if array.dtype != object:
        return array
    texts = np.empty(array.size, object)
    texts[:] = [raw.decode() for raw in array.ravel()]
    return texts.reshape(array.shape)
