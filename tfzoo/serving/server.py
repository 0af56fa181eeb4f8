"""A server for exported models, for those who cannot run TensorFlow Serving: its RESTful API in one process.

Paths, bodies and status codes are those of TensorFlow Serving's "RESTful API" documentation, for
``predict``, model status and model metadata. It has no batching, no labels, no gRPC and no TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tfzoo.errors import UsageError, nearest
from tfzoo.serving.json_tensors import short
from tfzoo.serving.model_store import ModelStore, ServedModel, Version
from tfzoo.serving.rest_format import PredictRequest, parse_request, write_answer

Result = TypeVar("Result")
PATH = re.compile(
    r"/v1/models/(?P<model>[^/:]+)(?:/versions/(?P<version>[0-9]{1,18})|/labels/(?P<label>[^/:]+))?"
    r"(?P<action>/metadata|:[a-z]+)?"
)


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may cost.

    Attributes:
        max_body_bytes: of a request; more is answered with 413.
        timeout: seconds to wait for a request's body (then 408), and for its answer (then 504).
        max_concurrency: predict requests in the server at once, waiting ones included; one more
            is answered with 503.
        max_rows: of a batch, because a row costs a score for every item.
        max_elements: of all inputs of a request together.
        threads: requests that are worked on at once; few, for TensorFlow spreads each over the cores.
    """

    max_body_bytes: int = 8 * 2**20
    timeout: float = 30.0
    max_concurrency: int = 256
    max_rows: int = 1000
    max_elements: int = 200_000
    threads: int = min(4, os.cpu_count() or 1)


def create_app(store: ModelStore, limits: Limits, poll_seconds: float) -> Starlette:
    """Return the application.

    Args:
        store: with the models loaded; it is watched for as long as the application runs.
        limits: what requests may cost.
        poll_seconds: how often to look for new versions; 0 for never.
    """
    api = _Api(store, limits)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        store.start(poll_seconds)
        yield
        await asyncio.to_thread(store.stop)
        api.threads.shutdown(cancel_futures=True)

    app = Starlette(
        routes=[
            Route("/healthz", api.health),
            Route("/v1/{path:path}", api.model, methods=["GET", "POST"]),
        ],
        exception_handlers={HTTPException: _refuse, Exception: _fail},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


class _Api:
    def __init__(self, store: ModelStore, limits: Limits) -> None:
        self.threads = ThreadPoolExecutor(limits.threads, "predict")
        self._store = store
        self._limits = limits
        self._busy = 0

    async def health(self, request: Request) -> Response:
        """Answer 200 when every model has a version that answers."""
        missing = [model.name for model in self._store.models.values() if model.current is None]
        if missing:
            raise HTTPException(503, f"No version is served of {', '.join(missing)}.")
        return _json({"status": "ok"})

    async def model(self, request: Request) -> Response:
        """Answer the predict, status and metadata APIs."""
        path = request.scope["path"]
        match = PATH.fullmatch(path)
        if match is None:
            raise HTTPException(404, f"Malformed request: {request.method} {short(path)}.")
        action = match["action"] or ""
        method = "POST" if action.startswith(":") else "GET"
        if request.method != method:
            raise HTTPException(405, f"{short(path)} takes {method}.", {"Allow": method})
        if action not in ("", "/metadata", ":predict"):
            raise HTTPException(400, f"This server answers ':predict', not {short(action)}.")
        if match["label"]:
            raise HTTPException(400, "This server knows no version labels; ask for /versions/NUMBER.")
        model = self._find(match["model"])
        number = int(match["version"]) if match["version"] else None
        if not action:
            return _json(_status(model, number))
        version = _served(model, number)
        return await self._predict(request, version) if action == ":predict" else _json(version.metadata)

    async def _predict(self, request: Request, version: Version) -> Response:
        if self._busy >= self._limits.max_concurrency:
            raise HTTPException(503, "Too many requests are waiting; ask again later.", {"Retry-After": "1"})
        self._busy += 1
        try:
            body = await self._in_time(self._read(request), 408, "The body of the request is late.")
            # In a thread, with the parsing: other requests are read and answered meanwhile.
            work = asyncio.get_running_loop().run_in_executor(self.threads, self._answer, version, body)
            answer = await self._in_time(work, 504, "The answer is late.")
        except UsageError as error:
            raise HTTPException(400, str(error)) from None
        finally:
            self._busy -= 1
        return Response(answer, media_type="application/json")

    async def _read(self, request: Request) -> bytes:
        if request.headers.get("content-encoding", "identity") != "identity":
            raise HTTPException(415, "The header Content-Encoding must be 'identity' or missing.")
        limit = self._limits.max_body_bytes
        too_large = HTTPException(413, f"The body of a request may have {limit} bytes.")
        if int(request.headers.get("content-length", 0)) > limit:
            raise too_large
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large
        except ClientDisconnect:
            raise HTTPException(400, "The connection ended within the body of the request.") from None
        return bytes(body)

    def _answer(self, version: Version, body: bytes) -> bytes:
        request = parse_request(body, version.signatures)
        self._check_size(request)
        return write_answer(version.predict(request.signature, request.inputs), row=request.row)

    def _check_size(self, request: PredictRequest) -> None:
        rows = {name: len(array) for name, array in request.inputs.items() if array.ndim}
        if len(set(rows.values())) > 1:
            counts = ", ".join(f"'{name}' {count}" for name, count in rows.items())
            raise UsageError(f"The inputs must have the same number of rows. Received {counts}.")
        most = max(rows, key=rows.__getitem__, default="")
        if rows and rows[most] > self._limits.max_rows:
            limit = self._limits.max_rows
            raise UsageError(f"Input '{most}' may have {limit} rows. Received {rows[most]}.")
        sizes = {name: array.size for name, array in request.inputs.items()}
        if sum(sizes.values()) > self._limits.max_elements:
            largest = max(sizes, key=sizes.__getitem__)
            raise UsageError(
                f"All inputs together may have {self._limits.max_elements} elements. "
                f"Received {sum(sizes.values())}, most of them in '{largest}'."
            )

    def _find(self, name: str) -> ServedModel:
        models = self._store.models
        if name not in models:
            raise HTTPException(404, f"There is no model {short(name)}. {nearest(name[:50], models)}")
        return models[name]

    async def _in_time(self, work: Awaitable[Result], status: int, message: str) -> Result:
        try:
            return await asyncio.wait_for(work, self._limits.timeout)
        except asyncio.TimeoutError:
            raise HTTPException(status, message) from None


def _served(model: ServedModel, number: int | None) -> Version:
    version = model.current
    if version is None or number not in (None, version.number):
        served = "none is" if version is None else f"version {version.number} is"
        asked = "any version" if number is None else f"version {number}"
        raise HTTPException(404, f"Cannot ask {asked} of model '{model.name}': {served} served.")
    return version


def _status(model: ServedModel, number: int | None) -> dict[str, Any]:
    states = [
        {
            "version": str(version),
            "state": state.name,
            "status": {"error_code": "UNKNOWN" if state.error else "OK", "error_message": state.error},
        }
        for version, state in sorted(model.states.items(), reverse=True)
        if number in (None, version)
    ]
    if not states:
        raise HTTPException(404, f"There is no version {number} of model '{model.name}'.")
    return {"model_version_status": states}


def _json(document: dict[str, Any], status: int = 200, headers: Any = None) -> Response:
    # Not Starlette's own: it writes characters as they are, and half a surrogate pair has no bytes.
    return Response(json.dumps(document).encode(), status, headers, media_type="application/json")


async def _refuse(request: Request, error: Any) -> Response:
    return _json({"error": error.detail}, error.status_code, error.headers)


async def _fail(request: Request, error: Exception) -> Response:
    # The server's log has the traceback.
    return _json({"error": "The server failed to answer; its log has the reason."}, 500)
