"""Threads that work on the requests of a server in a fair order."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from tfzoo.errors import TfzooError
from tfzoo.serving.fair_queue import Client, FairQueue, Turn

Result = TypeVar("Result")
LOG = logging.getLogger("tfzoo.serving")


class GoneError(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True)
class _Slice:
    """What came of work until it yielded or ended, and the seconds that it took."""

    has_ended: bool
    result: Any
    error: Exception | None
    seconds: float


class FairWorkers:
    """Threads for the requests of many clients.

    Args:
        threads: requests that are worked on at once.
        room: requests that wait or are worked on.
    """

    def __init__(self, threads: int, room: int) -> None:
        self._queue = FairQueue(threads, room)
        self._threads = ThreadPoolExecutor(threads, "predict")

    async def run(
        self,
        client: Client,
        cost: float,
        is_wanted: Callable[[], Awaitable[bool]],
        work: Generator[None, None, Result],
    ) -> Result:
        """Return the result of ``work``, done in threads when it is its turn.

        Wherever ``work`` yields, others may come first. Where the caller gives up, a thread goes on
        to the next ``yield``, and its place is taken until then.

        Args:
            client: who asks.
            cost: a guess of the seconds until the work yields or ends.
            is_wanted: asked before the work begins, and before it goes on.
            work: what to do.

        Raises:
            QueueFullError: too many requests wait, and this one would be the last of them.
            GoneError: the result is not wanted any more.
        """
        turn = await self._queue.enter(client, cost)
        while True:
            done = await self._work_on(turn, is_wanted, work)
            if done.has_ended:
                self._queue.leave(turn, done.seconds)
                if done.error is not None:
                    raise done.error
                return cast(Result, done.result)
            turn = await self._queue.go_on(turn, done.seconds)

    def stop(self) -> None:
        """End the threads once they have done what they are at."""
        self._threads.shutdown(cancel_futures=True)

    async def _work_on(
        self, turn: Turn, is_wanted: Callable[[], Awaitable[bool]], work: Generator[None, None, Any]
    ) -> _Slice:
        """Do a slice of the work; the turn is left if this is given up."""
        try:
            if not await is_wanted():
                raise GoneError
            job = self._threads.submit(_timed, work)
        except BaseException:
            self._queue.leave(turn, 0.0)
            raise
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_Slice] = loop.create_future()
        job.add_done_callback(functools.partial(_tell, loop, functools.partial(self._end, turn, done)))
        try:
            return await done
        except asyncio.CancelledError:
            if not done.cancelled():
                # It came in the moment in which it was given up.
                self._queue.leave(turn, done.result().seconds)
            raise

    def _end(self, turn: Turn, done: asyncio.Future[_Slice], job: Future[_Slice]) -> None:
        found = _Slice(True, None, GoneError(), 0.0) if job.cancelled() else job.result()
        if not done.cancelled():
            done.set_result(found)
            return
        self._queue.leave(turn, found.seconds)
        if found.error is not None and not isinstance(found.error, TfzooError | GoneError):
            LOG.error("A request failed after its client was told that it was late.", exc_info=found.error)


def _timed(work: Generator[None, None, Any]) -> _Slice:
    # The time of this thread alone: on a busy machine a small request takes long through no fault of its own.
    start = time.thread_time()
    has_ended, result, error = True, None, None
    try:
        next(work)
        has_ended = False
    except StopIteration as end:
        result = end.value
    except Exception as raised:
        error = raised
    return _Slice(has_ended, result, error, time.thread_time() - start)


def _tell(
    loop: asyncio.AbstractEventLoop, end: Callable[[Future[_Slice]], None], job: Future[_Slice]
) -> None:
    with contextlib.suppress(RuntimeError):  # The loop has ended before its last job.
        loop.call_soon_threadsafe(end, job)
