"""A log that cannot grow without end, in a time that passes when a test says so."""

import logging
import threading

import pytest

from tfzoo.serving.log_limit import LogLimit

LOG = logging.getLogger("test_log_limit")


class Timer:
    """A timer that goes off when it is told to."""

    def __init__(self, seconds, function, args):
        self.seconds, self.function, self.args = seconds, function, args
        started.append(self)

    def start(self):
        pass

    def cancel(self):
        pass

    def go_off(self):
        self.function(*self.args)


started = []


@pytest.fixture(autouse=True)
def timers(monkeypatch):
    started.clear()
    monkeypatch.setattr(threading, "Timer", Timer)
    return started


def flood(times, text="accept failed"):
    for _ in range(times):
        LOG.error("%s\nsocket: <%s>", text, "details")


def test_records_of_one_place_are_left_out_and_counted(caplog, timers):
    lines = []
    with LogLimit(lines.append, records=5, seconds=30).limited(["test_log_limit"]):
        flood(10_000)
        assert len(caplog.records) == 5
        assert lines == []
        (timer,) = timers
        assert timer.seconds == 30
        timer.go_off()
        assert lines == ["The log leaves 9995 lines out that are like this one: accept failed"]
        # A new span.
        flood(7)
        assert len(caplog.records) == 10
        timers[1].go_off()
        assert lines[1:] == ["The log leaves 2 lines out that are like this one: accept failed"]


def test_other_places_are_not_hidden(caplog):
    with LogLimit(print, records=2).limited(["test_log_limit"]):
        flood(100)
        LOG.error("another thing")
    assert caplog.messages[-1] == "another thing"
    assert len(caplog.records) == 3


def test_few_records_are_all_written_without_a_word(caplog, timers):
    lines = []
    with LogLimit(lines.append, records=5).limited(["test_log_limit"]):
        flood(5)
        timers[0].go_off()
    assert len(caplog.records) == 5
    assert lines == []


def test_what_was_left_out_is_told_at_the_end(caplog):
    lines = []
    with LogLimit(lines.append, records=1).limited(["test_log_limit"]):
        flood(3)
    assert lines == ["The log leaves 2 lines out that are like this one: accept failed"]
    flood(3)
    assert len(caplog.records) == 4


def test_many_threads_lose_no_count(monkeypatch):
    lines = []
    with LogLimit(lines.append, records=5).limited(["test_log_limit"]):
        threads = [threading.Thread(target=flood, args=(500,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert lines == ["The log leaves 3995 lines out that are like this one: accept failed"]


def test_the_clock_is_a_real_one(monkeypatch):
    monkeypatch.undo()
    told = threading.Event()
    with LogLimit(lambda line: told.set(), records=1, seconds=0.01).limited(["test_log_limit"]):
        flood(2)
        assert told.wait(300)
