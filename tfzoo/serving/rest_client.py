"""Asks a server with TensorFlow Serving's RESTful API: TensorFlow Serving itself, or ``tfzoo serve``."""

from __future__ import annotations

import http.client
import json
import threading
import time
import weakref
from typing import Literal
from urllib.parse import quote, urlsplit

from tfzoo.errors import TfzooError, UsageError
from tfzoo.serving.interface import Array, Client
from tfzoo.serving.metadata import read_metadata
from tfzoo.serving.rest_format import parse_answer, write_request

# A connection that is refused or breaks off. Asking again is safe: a prediction changes nothing.
BROKEN = (OSError, http.client.BadStatusLine, http.client.IncompleteRead)
FIRST_PAUSE = 0.1


class RestClient(Client):
    """A model on a server, over HTTP with connections that are kept open, one for each thread.

    It needs the standard library and NumPy alone. Whole numbers beyond 2**53 are kept.

    Args:
        address: ``host:port`` or ``http://host:port``, or the same with ``https``.
        model: name of the model on the server.
        version: number of a version; None for the newest.
        format: how batches are written, ``row`` or ``column``; the answers are the same.
        timeout: seconds to wait for the server, for each answer.
        retries: how often to ask again where a connection is refused or breaks off. Answers
            that are errors, and waits that take too long, are not repeated.

    Raises:
        UsageError: the address or format is none, or the server has no such model.
        TfzooError: the server cannot be reached.
    """

    def __init__(
        self,
        address: str,
        model: str,
        version: int | None = None,
        *,
        format: Literal["row", "column"] = "row",
        timeout: float = 10.0,
        retries: int = 2,
    ) -> None:
        if format not in ("row", "column"):
            raise UsageError(f"The format must be 'row' or 'column'. Received {format!r}.")
        self.model = model
        self._url = address if "://" in address else f"http://{address}"
        self._row = format == "row"
        self._timeout = timeout
        self._retries = retries
        self._own = threading.local()
        # Weak, so that the connection of a thread that has ended is closed.
        self._all: weakref.WeakSet[http.client.HTTPConnection] = weakref.WeakSet()
        self._path = f"/v1/models/{quote(model, safe='')}"
        if version is not None:
            self._path += f"/versions/{version}"
        description = self._ask_server("GET", "/metadata")
        try:
            document = json.loads(description)
        except ValueError:
            raise TfzooError(f"{self._url} answers something other than JSON.") from None
        self.signatures = read_metadata(document)

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in list(self._all):
            connection.close()

    def _run(self, signature: str, inputs: dict[str, Array]) -> dict[str, Array]:
        if not all(len(array) for array in inputs.values()):
            raise UsageError("JSON cannot hold a batch without rows; ask for at least one.")
        body = write_request(signature, inputs, row=self._row)
        answer = self._ask_server("POST", ":predict", body)
        try:
            return parse_answer(answer, self.signatures[signature], row=self._row)
        except UsageError as error:
            raise TfzooError(f"The answer of {self._url} cannot be read: {error}") from None

    def _ask_server(self, method: str, action: str, body: bytes | None = None) -> bytes:
        path = self._path + action
        for attempt in range(self._retries + 1):
            try:
                connection = self._connection()
                connection.request(method, path, body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                data = response.read()
                break
            except TimeoutError:
                self._drop()
                raise TfzooError(f"{self._url} did not answer within {self._timeout:g} seconds.") from None
            except BROKEN as error:
                self._drop()
                if attempt == self._retries:
                    raise TfzooError(
                        f"{self._url} cannot be reached: {error or type(error).__name__}."
                    ) from None
                time.sleep(FIRST_PAUSE * 2**attempt)
        if response.status == http.HTTPStatus.OK:
            return data
        kind = UsageError if 400 <= response.status < 500 else TfzooError
        raise kind(f"{self._url}{path} answered {response.status}: {_message(data)}")

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._connect()
            self._own.connection = connection
            self._all.add(connection)
        return connection

    def _connect(self) -> http.client.HTTPConnection:
        try:
            url = urlsplit(self._url)
            if url.scheme not in ("http", "https") or not url.hostname or url.path not in ("", "/"):
                raise ValueError
            secure = url.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            return kind(url.hostname, url.port, timeout=self._timeout)
        except ValueError:
            raise UsageError(f"A server's address is host:port. Received {self._url!r}.") from None

    def _drop(self) -> None:
        connection = self._own.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()


def _message(data: bytes) -> str:
    """Return the text of TensorFlow Serving's error answers, or the start of any other."""
    try:
        return str(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return data[:200].decode(errors="replace")
