"""Connections of the embedded server: how many there may be, and how long one may let it wait.

uvicorn limits how long a connection may be silent after an answer (``timeout_keep_alive``), and h11
how long the head of a request may be (``h11_max_incomplete_event_size``). Neither limits the time
until a head is complete, the connections that ask nothing, or the answers that nobody reads.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

LOG = logging.getLogger("tfzoo.serving")
# For a client to take the few bytes of a refusal.
SECONDS_TO_PART = 5.0


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits of connections.

    Attributes:
        total: connections at once. One more takes the place of the one that has asked nothing for
            longest; while all are being answered, it is refused with 503.
        per_address: the same for the connections of one address.
        head_seconds: until the head of a request is complete.
        idle_seconds: from an answer to the first byte of the next request.
        read_seconds: until the client has taken an answer.
    """

    total: int = 1000
    per_address: int = 500
    head_seconds: float = 10.0
    idle_seconds: float = 75.0
    read_seconds: float = 30.0


class Gate:
    """Knows all connections, and makes room for new ones.

    Args:
        limits: how many there may be.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._open: dict[Connection, str] = {}
        self._counts: Counter[str] = Counter()

    def admit(self, newcomer: Connection) -> bool:
        """Let a connection in, in the place of an idle one if need be; returns whether it may stay."""
        address = newcomer.address
        if self._counts[address] >= self.limits.per_address:
            rivals = [connection for connection, other in self._open.items() if other == address]
        elif len(self._open) >= self.limits.total:
            rivals = list(self._open)
        else:
            rivals = None
        if rivals is not None and not self._close_one(rivals):
            LOG.warning("A connection was refused: as many as may be are being answered.")
            return False
        self._open[newcomer] = address
        self._counts[address] += 1
        return True

    def forget(self, connection: Connection) -> None:
        """Give the place of a connection back."""
        address = self._open.pop(connection, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]

    def _close_one(self, rivals: list[Connection]) -> bool:
        """Close the connection that has let the server wait for longest, of the address with the most."""
        waiting = [connection for connection in rivals if connection.lets_wait()]
        if not waiting:
            return False
        LOG.warning("A connection that asked nothing was closed: a new one needed its place.")
        chosen = min(
            waiting, key=lambda other: (-self._counts[other.address], other.has_unread(), other.since)
        )
        self.forget(chosen)
        chosen.transport.abort()
        return True


class Connection(H11Protocol):
    """One connection with limits.

    Args:
        gate: lets it in.
        **options: of uvicorn's protocol.

    Attributes:
        address: of the client, see `address_group`.
        since: when it began to let the server wait.
    """

    def __init__(self, gate: Gate, **options: Any) -> None:
        super().__init__(**options)
        self.address = ""
        self.since = 0.0
        self._gate = gate
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let the connection in or refuse it."""
        super().connection_made(transport)
        self.address = address_group(self.client[0] if self.client else "")
        self.since = self.loop.time()
        if self._gate.admit(self):
            self._set_timer(self._gate.limits.head_seconds)
        else:
            self._refuse(503, "All connections are taken; ask again later.")

    def data_received(self, data: bytes) -> None:
        """Read a part of a request, and watch the time until its head is there."""
        super().data_received(data)
        if self._is_asked():
            self._set_timer(None)
        elif self._timer is None:
            self._set_timer(self._gate.limits.head_seconds)

    def on_response_complete(self) -> None:
        """Wait for the next request, but not for ever until the answer is taken."""
        super().on_response_complete()
        self.since = self.loop.time()
        unread = self.has_unread() and not self._is_asked()
        self._set_timer(self._gate.limits.read_seconds if unread else None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._set_timer(None)
        self._gate.forget(self)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(400, msg)

    def lets_wait(self) -> bool:
        """Return whether the server waits for the client, and not the client for the server."""
        return not self._is_asked() or self.cycle.more_body

    def has_unread(self) -> bool:
        """Return whether the client has not taken all that was sent."""
        return self.transport.get_write_buffer_size() > 0

    def _is_asked(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        if self.has_unread():
            self.transport.abort()
        elif self.conn.trailing_data[0] and not self.transport.is_closing():
            self._refuse(408, "The head of the request is late.")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Answer with an error where an answer can still be begun, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps({"error": message}).encode()
            headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
            head = h11.Response(
                status_code=status,
                headers=[*headers, ("connection", "close")],
                reason=STATUS_PHRASES[status],
            )
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._set_timer(SECONDS_TO_PART)


def address_group(host: str) -> str:
    """Return what counts as one client: an IPv4 address, or the first 64 bits of an IPv6 address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False).network_address)
