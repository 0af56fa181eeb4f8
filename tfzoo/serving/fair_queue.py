"""Which request is worked on next, so that nobody waits for the many or large requests of somebody else.

Self-clocked fair queueing: a request's tag is the time at which it would be done if all connections
shared the workers evenly from now on, and the smallest tag goes first. A small request of a quiet
client so passes the large ones of a busy client, and no request waits for ever.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

# Connections are forgotten no more often than that: it takes time for each that is known.
FEW_CONNECTIONS = 1000


class QueueFullError(Exception):
    """The request would have to wait longest of all, and there is no room for so many."""


@dataclass(frozen=True)
class Client:
    """Who asks.

    Attributes:
        address: connections of one address share what one connection of another address gets.
        connection: the requests of one connection come one after the other.
    """

    address: str
    connection: Hashable


@dataclass(eq=False)
class Turn:
    """A request that waits or is worked on.

    Attributes:
        client: who asks.
        cost: the seconds of work that it was taken for.
        tag: its place in the order.
        granted: done when the work may begin.
        has_begun: it goes on with work that has begun.
    """

    client: Client
    cost: float
    tag: float
    granted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    has_begun: bool = False


class FairQueue:
    """The order of requests; all calls come from one event loop.

    Args:
        places: requests that are worked on at once.
        room: requests that wait or are worked on.
    """

    def __init__(self, places: int, room: int) -> None:
        self._places = places
        self._room = max(room, places)
        self._waiting: list[Turn] = []
        self._working = 0
        self._clock = 0.0
        self._last_tags: dict[Hashable, float] = {}
        self._forget_above = FEW_CONNECTIONS
        self._present: Counter[str] = Counter()

    async def enter(self, client: Client, cost: float) -> Turn:
        """Wait for a place; every turn that is returned must be given to `leave` or `go_on`.

        Args:
            client: who asks.
            cost: a guess of the seconds of work.

        Raises:
            QueueFullError: there is no room, and the others come before.
        """
        self._present[client.address] += 1
        turn = self._tagged(client, cost)
        if self._working < self._places:
            self._start(turn)
        else:
            self._waiting.append(turn)
            self._keep_to_the_room()
        return await self._wait_for(turn)

    async def go_on(self, turn: Turn, seconds: float) -> Turn:
        """Return another turn for the same work, after others whose turn comes before.

        Args:
            turn: from `enter` or `go_on`; it is over.
            seconds: of work that it took, and that the next one is taken for.
        """
        self._charge(turn, seconds)
        following = self._tagged(turn.client, seconds)
        following.has_begun = True
        self._waiting.append(following)
        self._pass_on_a_place()
        return await self._wait_for(following)

    def leave(self, turn: Turn, seconds: float) -> None:
        """Give the place to the next one.

        Args:
            turn: from `enter` or `go_on`; it is over.
            seconds: of work that it took; what is beyond the guess counts against the connection's
                next request.
        """
        self._charge(turn, seconds)
        self._depart(turn)
        self._pass_on_a_place()

    async def _wait_for(self, turn: Turn) -> Turn:
        try:
            await turn.granted
        except BaseException:
            if turn in self._waiting:
                self._waiting.remove(turn)
                self._depart(turn)
            elif turn.granted.done() and not turn.granted.cancelled() and not turn.granted.exception():
                # The place was granted in the moment in which the waiting was given up.
                self.leave(turn, 0.0)
            raise
        return turn

    def _asking(self) -> list[Turn]:
        # Who has given up stays in the list until its own task runs.
        return [turn for turn in self._waiting if not turn.granted.done()]

    def _tagged(self, client: Client, cost: float) -> Turn:
        start = max(self._clock, self._last_tags.get(client.connection, 0.0))
        tag = start + cost * self._present[client.address]
        self._last_tags[client.connection] = tag
        return Turn(client, cost, tag)

    def _charge(self, turn: Turn, seconds: float) -> None:
        extra = max(0.0, seconds - turn.cost) * self._present[turn.client.address]
        last = self._last_tags.get(turn.client.connection, self._clock)
        self._last_tags[turn.client.connection] = last + extra

    def _start(self, turn: Turn) -> None:
        self._working += 1
        self._clock = max(self._clock, turn.tag)
        turn.granted.set_result(None)
        if len(self._last_tags) > self._forget_above:
            # A tag in the past says no more of a connection than none at all.
            self._last_tags = {key: tag for key, tag in self._last_tags.items() if tag > self._clock}
            self._forget_above = max(FEW_CONNECTIONS, 2 * len(self._last_tags))

    def _pass_on_a_place(self) -> None:
        self._working -= 1
        if asking := self._asking():
            following = min(asking, key=lambda turn: turn.tag)
            self._waiting.remove(following)
            self._start(following)

    def _keep_to_the_room(self) -> None:
        """Turn the last one in the order away where there are too many; what has begun is ended."""
        asking = self._asking()
        if len(asking) + self._working > self._room:
            last = max((turn for turn in asking if not turn.has_begun), key=lambda turn: turn.tag)
            self._waiting.remove(last)
            self._depart(last)
            last.granted.set_exception(QueueFullError())

    def _depart(self, turn: Turn) -> None:
        self._present[turn.client.address] -= 1
        if not self._present[turn.client.address]:
            del self._present[turn.client.address]
