"""The HTTP server around the application: uvicorn, with the limits of connections and of its log."""

from __future__ import annotations

import functools
import os
import socket
import sys
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from tfzoo.errors import UsageError
from tfzoo.serving.connections import Connection, ConnectionLimits, Gate

# New connections that are taken at a time. asyncio takes so many before it looks at any of them, also where
# each fails for want of files and writes a line into the log.
TAKEN_AT_ONCE = 16
# New connections that the kernel holds until they are taken.
BACKLOG = 2048
# Open files for what comes beside connections: new versions, and connections that are being closed.
FILES_BESIDE = 48
MOST_CONNECTIONS = 1000
FEWEST_CONNECTIONS = 8


class HttpServer(uvicorn.Server):
    """A server with limits.

    Args:
        app: the application.
        limits: of its connections.
        seconds_to_stop: for requests that are being answered when it is told to stop.

    Attributes:
        gate: of its connections.
    """

    def __init__(self, app: ASGIApp, limits: ConnectionLimits, seconds_to_stop: float) -> None:
        self.gate = Gate(limits)
        protocol: Any = functools.partial(Connection, self.gate)
        config = uvicorn.Config(
            app,
            # Fixed, so that an installation with other parts of uvicorn behaves as the tested one.
            loop="asyncio",
            http=protocol,
            ws="none",
            # What a client writes into a header must not decide whose request it is.
            proxy_headers=False,
            backlog=TAKEN_AT_ONCE,
            timeout_keep_alive=max(1, round(limits.idle_seconds)),
            timeout_graceful_shutdown=max(1, round(seconds_to_stop)),
            h11_max_incomplete_event_size=16 * 2**10,
            log_config=None,  # Its own would close the handlers of other libraries.
            log_level="warning",
            access_log=False,
        )
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(BACKLOG)


def connection_limits(
    total: int | None, per_address: int | None, head_seconds: float, read_seconds: float
) -> ConnectionLimits:
    """Return limits that the open files of this process allow.

    Args:
        total: connections at once; None for as many as can be.
        per_address: of one address; None for half of them.
        head_seconds: until the head of a request is complete.
        read_seconds: until the client has taken an answer.

    Raises:
        UsageError: there cannot be so many, or there would be too few to serve anybody.
    """
    most = _most_connections()
    if total is None:
        total = min(MOST_CONNECTIONS, most)
        if total < FEWEST_CONNECTIONS:
            raise UsageError(
                f"The limit of open files leaves {max(0, total)} connections; raise it (ulimit -n)."
            )
    elif total > most:
        raise UsageError(
            f"--max-connections may be {max(0, most)} with this limit of open files (ulimit -n). "
            f"Received {total}."
        )
    return ConnectionLimits(
        total=total,
        per_address=per_address or max(1, total // 2),
        head_seconds=head_seconds,
        read_seconds=read_seconds,
    )


def _most_connections() -> int:
    """Return how many connections may be open beside all other files."""
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return sys.maxsize
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return sys.maxsize
    return allowed - len(os.listdir("/dev/fd")) - FILES_BESIDE - TAKEN_AT_ONCE
