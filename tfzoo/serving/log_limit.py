"""Keeps a log from growing without end when the same thing goes wrong again and again."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator

Place = tuple[str, str, int]


class LogLimit(logging.Filter):
    """Lets so many records of one place in the code pass in a span of time, and says how many it left out.

    Args:
        report: called with a line at the end of a span in which records were left out.
        records: of one place and one span.
        seconds: of a span, which begins with its first record.
    """

    def __init__(self, report: Callable[[str], None], records: int = 5, seconds: float = 30.0) -> None:
        super().__init__()
        self._report = report
        self._records = records
        self._seconds = seconds
        self._lock = threading.Lock()
        self._counts: dict[Place, int] = {}
        self._timers: dict[Place, threading.Timer] = {}

    @contextlib.contextmanager
    def limited(self, loggers: Iterable[str]) -> Iterator[None]:
        """Limit the records of some loggers for the length of a block."""
        limited = [logging.getLogger(name) for name in loggers]
        for logger in limited:
            logger.addFilter(self)
        try:
            yield
        finally:
            for logger in limited:
                logger.removeFilter(self)
            for timer in list(self._timers.values()):
                timer.cancel()
                timer.function(*timer.args)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record may pass."""
        place = (record.name, record.pathname, record.lineno)
        with self._lock:
            count = self._counts[place] = self._counts.get(place, 0) + 1
            if place not in self._timers:
                self._timers[place] = self._start_timer(place, record.getMessage().split("\n")[0])
        return count <= self._records

    def _start_timer(self, place: Place, text: str) -> threading.Timer:
        timer = threading.Timer(self._seconds, self._end_span, (place, text))
        timer.daemon = True
        timer.start()
        return timer

    def _end_span(self, place: Place, text: str) -> None:
        with self._lock:
            left_out = self._counts.pop(place, 0) - self._records
            self._timers.pop(place, None)
        if left_out > 0:
            self._report(f"The log leaves {left_out} lines out that are like this one: {text}")
