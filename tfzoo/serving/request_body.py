"""Reads the bodies of requests, within limits of size, of time and of memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from tfzoo.serving.limits import Limits

# Of a body; so much is held for every connection anyway, and small requests pass when large ones may not.
NOT_COUNTED = 64 * 2**10


class BodyReader:
    """Reads bodies, and knows how many bytes are held.

    Args:
        limits: of a body and of all together.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0

    @contextlib.asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Give the body of a request; its bytes count as held until the block ends.

        Raises:
            HTTPException: it is compressed (415), too large (413), late (408) or cut off (400), or
                the bodies of all requests are too large (503).
        """
        if request.headers.get("content-encoding", "identity") != "identity":
            raise HTTPException(415, "The header Content-Encoding must be 'identity' or missing.")
        if int(request.headers.get("content-length", 0)) > self._limits.max_body_bytes:
            raise self._too_large()
        body = bytearray()
        try:
            await self._fill(body, request)
            yield bytes(body)
        finally:
            self._held -= _counted(len(body))

    async def _fill(self, body: bytearray, request: Request) -> None:
        try:
            await asyncio.wait_for(self._receive(body, request), self._limits.timeout)
        except asyncio.TimeoutError:
            raise HTTPException(408, "The body of the request is late.") from None
        except ClientDisconnect:
            raise HTTPException(400, "The connection ended within the body of the request.") from None

    async def _receive(self, body: bytearray, request: Request) -> None:
        async for chunk in request.stream():
            before = _counted(len(body))
            body += chunk
            self._held += _counted(len(body)) - before
            if len(body) > self._limits.max_body_bytes:
                raise self._too_large()
            if self._held > self._limits.max_bodies_bytes:
                raise HTTPException(
                    503, "Too many large requests are waiting; ask again later.", {"Retry-After": "1"}
                )

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"The body of a request may have {self._limits.max_body_bytes} bytes.")


def _counted(size: int) -> int:
    return max(0, size - NOT_COUNTED)
