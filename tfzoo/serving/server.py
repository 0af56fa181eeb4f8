"""A server for exported models, for those who cannot run TensorFlow Serving: its RESTful API in one process.

Paths, bodies and status codes are those of TensorFlow Serving for ``predict``, model status and
model metadata; `docs/serving.md` lists where it differs.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Generator
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tfzoo.errors import UsageError, nearest
from tfzoo.serving.connections import address_group
from tfzoo.serving.fair_queue import Client, QueueFullError
from tfzoo.serving.fair_workers import FairWorkers, GoneError
from tfzoo.serving.json_tensors import short
from tfzoo.serving.limits import Limits
from tfzoo.serving.model_store import ModelStore
from tfzoo.serving.request_body import BodyReader
from tfzoo.serving.rest_format import answer_pieces, parse_request
from tfzoo.serving.rest_paths import is_of_the_api, parse_path
from tfzoo.serving.served_model import ServedModel, Version

# What a request is taken for before it is read; what it took counts against the next one.
SECONDS_PER_REQUEST = 2e-3
SECONDS_PER_BYTE = 1e-6
# Bytes of an answer after whose writing others may come first.
LARGE_PIECE = 2**16


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
        api.workers.stop()

    app = Starlette(
        routes=[Route("/healthz", api.health)],
        exception_handlers={HTTPException: _refuse, Exception: _fail},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    # Not a route: those match unescaped paths, and a model's name may hold an escaped slash.
    app.router.default = api
    return app


class _Api:
    def __init__(self, store: ModelStore, limits: Limits) -> None:
        self.workers = FairWorkers(limits.threads, limits.max_concurrency)
        self._bodies = BodyReader(limits)
        self._store = store
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._respond(request)
        await response(scope, receive, send)

    async def health(self, request: Request) -> Response:
        """Answer 200 when every model has a version that answers."""
        missing = [model.name for model in self._store.models.values() if model.current is None]
        if missing:
            raise HTTPException(503, f"No version is served of {', '.join(missing)}.")
        return _json({"status": "ok"})

    async def _respond(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("ascii")
        if not is_of_the_api(path):
            raise HTTPException(404, "Not Found")
        try:
            target = parse_path(request.method, path)
        except UsageError as error:
            raise HTTPException(400, str(error)) from None
        if target.label is not None:
            raise HTTPException(400, "This server knows no version labels; ask for /versions/NUMBER.")
        if target.action in ("classify", "regress"):
            raise HTTPException(400, f"This server answers ':predict', not ':{target.action}'.")
        model = self._find(target.model)
        if target.action == "status":
            return _json(_status(model, target.version))
        version = _served(model, target.version)
        if target.action == "metadata":
            return _json(version.metadata)
        return await self._predict(request, version)

    async def _predict(self, request: Request, version: Version) -> Response:
        async with self._bodies.read(request) as body:
            work = self.workers.run(
                _client(request),
                SECONDS_PER_REQUEST + SECONDS_PER_BYTE * len(body),
                functools.partial(_is_connected, request),
                self._answer(version, body),
            )
            try:
                answer = await asyncio.wait_for(work, self._limits.timeout)
            except asyncio.TimeoutError:
                raise HTTPException(504, "The answer is late.") from None
            except QueueFullError:
                waiting = "Too many requests are waiting; ask again later."
                raise HTTPException(503, waiting, {"Retry-After": "1"}) from None
            except GoneError:
                raise HTTPException(400, "The connection ended before the answer.") from None
            except UsageError as error:
                raise HTTPException(400, str(error)) from None
        return Response(answer, media_type="application/json")

    def _answer(self, version: Version, body: bytes) -> Generator[None, None, bytes]:
        request = parse_request(body, version.signatures)
        self._limits.check_request(request, version.num_items)
        outputs = version.predict(request.signature, request.inputs)
        self._limits.check_answer(outputs)
        written = bytearray()
        for piece in answer_pieces(outputs, row=request.row):
            written += piece
            if len(piece) > LARGE_PIECE:
                yield
        return bytes(written)

    def _find(self, name: str) -> ServedModel:
        models = self._store.models
        if name not in models:
            raise HTTPException(404, f"There is no model {short(name)}. {nearest(name[:50], models)}")
        return models[name]


def _client(request: Request) -> Client:
    host, port = request.client or ("", 0)
    return Client(address_group(host), (host, port))


async def _is_connected(request: Request) -> bool:
    return not await request.is_disconnected()


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
        version = "version" if number is None else f"version {number}"
        raise HTTPException(404, f"There is no {version} of model '{model.name}'.")
    return {"model_version_status": states}


def _json(document: dict[str, Any], status: int = 200, headers: Any = None) -> Response:
    # Not Starlette's own: it writes characters as they are, and half a surrogate pair has no bytes.
    return Response(json.dumps(document).encode(), status, headers, media_type="application/json")


async def _refuse(request: Request, error: Any) -> Response:
    return _json({"error": error.detail}, error.status_code, error.headers)


async def _fail(request: Request, error: Exception) -> Response:
    # The server's log has the traceback.
    return _json({"error": "The server failed to answer; its log has the reason."}, 500)
