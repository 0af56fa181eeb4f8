"""What one request to the embedded server, and all of them together, may cost."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from tfzoo.errors import UsageError
from tfzoo.serving.interface import Array
from tfzoo.serving.rest_format import PredictRequest


@dataclass(frozen=True)
class Limits:
    """Limits of requests.

    Attributes:
        max_body_bytes: of a request; more is answered with 413.
        max_bodies_bytes: of all requests together, those of up to 64 KiB not counted; more is
            answered with 503.
        timeout: seconds to wait for a request's body (then 408), and for its answer (then 504).
        max_concurrency: predict requests that wait for their answer at once; of more, those that
            would have to wait longest are answered with 503.
        max_rows: of a batch, because a row costs a score for every item.
        max_elements: of all inputs of a request together.
        max_outputs: values of one output, such as rows times the largest ``k``.
        threads: requests that are worked on at once; few, for TensorFlow spreads each over the cores.
    """

    max_body_bytes: int = 8 * 2**20
    max_bodies_bytes: int = 256 * 2**20
    timeout: float = 30.0
    max_concurrency: int = 256
    max_rows: int = 1000
    max_elements: int = 200_000
    max_outputs: int = 100_000
    threads: int = min(4, os.cpu_count() or 1)

    def check_request(self, request: PredictRequest, num_items: int | None) -> None:
        """Raise `UsageError` if a request is larger, or would have too large an answer.

        Args:
            request: to check.
            num_items: of the model; None if that is not known.
        """
        rows = {name: len(array) for name, array in request.inputs.items() if array.ndim}
        if len(set(rows.values())) > 1:
            counts = ", ".join(f"'{name}' {count}" for name, count in rows.items())
            raise UsageError(f"The inputs must have the same number of rows. Received {counts}.")
        most = max(rows, key=rows.__getitem__, default="")
        if rows and rows[most] > self.max_rows:
            raise UsageError(f"Input '{most}' may have {self.max_rows} rows. Received {rows[most]}.")
        sizes = {name: array.size for name, array in request.inputs.items()}
        if sum(sizes.values()) > self.max_elements:
            largest = max(sizes, key=sizes.__getitem__)
            raise UsageError(
                f"All inputs together may have {self.max_elements} elements. "
                f"Received {sum(sizes.values())}, most of them in '{largest}'."
            )
        if request.recommends:
            self._check_lists(rows[most], _list_length(request.inputs, num_items))

    def _check_lists(self, rows: int, length: int) -> None:
        if rows * length > self.max_outputs:
            raise UsageError(
                f"An answer may list {self.max_outputs} items. {rows} rows of {length} are {rows * length}: "
                "ask for fewer rows or a smaller 'k'."
            )

    def check_answer(self, outputs: Mapping[str, Array]) -> None:
        """Raise `UsageError` if an output is too large to be written."""
        for name, array in outputs.items():
            if array.size > self.max_outputs:
                raise UsageError(
                    f"Output '{name}' has {array.size} values; an answer may have {self.max_outputs}. "
                    "Ask for fewer rows."
                )


def _list_length(inputs: Mapping[str, Array], num_items: int | None) -> int:
    """Return the K of the answer: the graph, too, caps ``k`` by the items that there are."""
    bounds = [int(inputs["k"].max(initial=0))]
    if num_items is not None:
        bounds.append(num_items)
    if "allow_ids" in inputs:
        bounds.append(inputs["allow_ids"].shape[1])
    return max(0, min(bounds))
