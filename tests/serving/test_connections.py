"""Clients that are slow, silent or many, against the HTTP server with an application of a few lines."""

import asyncio
import contextlib
import json
import threading
import time

import pytest

from tests.serving.listening import connect, listening, read_answer, read_to_the_end, wait_until
from tfzoo.serving.connections import Connection, ConnectionLimits, Gate, address_group

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LONG = 3600.0
# Too short for what is tested to happen by itself, and too long for it to happen by chance.
SHORT = 0.3


def application(body=b"ok", until=None):
    """Answer every request, once an event has been set, without reading its body."""

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        if until is not None:
            await asyncio.to_thread(until.wait)
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})

    return app


def trickle(connection, text):
    """Send a text byte by byte until the other side has had enough."""

    def send():
        with contextlib.suppress(OSError):
            for byte in text:
                connection.sendall(bytes([byte]))
                time.sleep(SHORT / 6)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def test_a_connection_that_says_nothing_is_closed():
    with listening(application(), ConnectionLimits(head_seconds=SHORT)) as (port, _), connect(port) as one:
        assert read_to_the_end(one) == b""


def test_a_head_that_comes_byte_by_byte_is_given_up():
    with listening(application(), ConnectionLimits(head_seconds=SHORT)) as (port, _), connect(port) as one:
        thread = trickle(one, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1000)
        head, body = read_answer(one)
        assert head.startswith("HTTP/1.1 408 ")
        assert json.loads(body) == {"error": "The head of the request is late."}
        assert read_to_the_end(one) == b""
        thread.join()


def asked_once(port, server):
    """Return a connection with an answer behind it, from when on heads must be there soon."""
    one = connect(port)
    one.sendall(GET)
    assert read_answer(one)[1] == b"ok"
    server.gate.limits = ConnectionLimits(head_seconds=SHORT)
    return one


def test_the_head_of_the_next_request_is_given_up_likewise():
    with listening(application()) as (port, server), asked_once(port, server) as one:
        thread = trickle(one, GET[:-4] + b"\r\na: b" * 1000)
        assert read_to_the_end(one).startswith(b"HTTP/1.1 408 ")
        thread.join()


def test_a_body_that_nobody_reads_is_given_up():
    with listening(application()) as (port, server), asked_once(port, server) as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        assert read_answer(one)[1] == b"ok"
        thread = trickle(one, b"x" * 100_000)
        assert read_to_the_end(one) == b""
        thread.join()


def test_pauses_between_requests_may_be_longer_than_heads():
    with listening(application()) as (port, server), asked_once(port, server) as one:
        for _ in range(3):
            time.sleep(2 * SHORT)
            one.sendall(GET)
            assert read_answer(one)[1] == b"ok"


def test_requests_that_are_sent_without_waiting_for_answers():
    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with listening(application()) as (port, _), connect(port) as one:
        one.sendall(GET * 3 + last)
        assert read_to_the_end(one).count(b"\r\n\r\nok") == 4


def test_an_answer_that_nobody_takes_is_given_up():
    # More than the buffers of both sides hold.
    app, limits = application(b"x" * 50_000_000), ConnectionLimits(read_seconds=SHORT)
    with listening(app, limits) as (port, server), connect(port) as one:
        one.sendall(GET)
        wait_until(lambda: server.server_state.total_requests == 1)
        wait_until(lambda: not server.server_state.connections)
        assert len(read_to_the_end(one)) < 50_000_000


def test_an_answer_that_is_taken_slowly_is_given_whole():
    with listening(application(b"x" * 5_000_000)) as (port, _), connect(port) as one:
        one.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        time.sleep(SHORT)
        assert len(read_to_the_end(one)) > 5_000_000


def test_silent_connections_make_way_for_new_ones():
    limits = ConnectionLimits(total=8, per_address=8, head_seconds=LONG)
    with listening(application(), limits) as (port, server), contextlib.ExitStack() as opened:
        silent = [opened.enter_context(connect(port)) for _ in range(50)]
        with connect(port) as one:
            one.sendall(GET)
            assert read_answer(one)[1] == b"ok"
        assert len(server.server_state.connections) <= 8
        # The oldest were closed.
        assert read_to_the_end(silent[0]) == b""
        assert read_to_the_end(silent[41]) == b""


def test_bodies_that_do_not_come_make_way_too():
    async def reader(scope, receive, send):
        if scope["type"] == "http":
            while (await receive()).get("more_body"):
                continue
        await application()(scope, receive, send)

    limits = ConnectionLimits(total=4, per_address=4, head_seconds=LONG)
    with listening(reader, limits) as (port, _), contextlib.ExitStack() as opened:
        for _ in range(20):
            slow = opened.enter_context(connect(port))
            slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        with connect(port) as one:
            one.sendall(GET)
            assert read_answer(one)[1] == b"ok"


def test_connections_that_are_being_answered_are_kept_and_one_more_is_refused():
    answered = threading.Event()
    limits = ConnectionLimits(total=2, per_address=2, head_seconds=LONG)
    with listening(application(until=answered), limits) as (port, server), contextlib.ExitStack() as opened:
        try:
            busy = [opened.enter_context(connect(port)) for _ in range(2)]
            for one in busy:
                one.sendall(GET)
            wait_until(lambda: len(server.server_state.tasks) == 2)
            with connect(port) as one:
                head, body = read_answer(one)
            assert head.startswith("HTTP/1.1 503 ")
            assert json.loads(body) == {"error": "All connections are taken; ask again later."}
        finally:
            answered.set()
        for one in busy:
            assert read_answer(one)[1] == b"ok"


@pytest.mark.parametrize(
    "text", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_http(text):
    with listening(application()) as (port, _), connect(port) as one:
        one.sendall(text)
        head, body = read_answer(one)
        assert head.startswith("HTTP/1.1 400 ")
        assert json.loads(body) == {"error": "Invalid HTTP request received."}


def test_a_head_that_is_too_long():
    with listening(application()) as (port, _), connect(port) as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: " + b"x" * 20_000)
        assert read_answer(one)[0].startswith("HTTP/1.1 400 ")


def test_nonsense_after_an_answer_leaves_no_trace(caplog):
    with listening(application()) as (port, server), connect(port) as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert read_answer(one)[1] == b"ok"
        one.sendall(b"no chunk\r\n")
        assert read_to_the_end(one) == b""
        wait_until(lambda: not server.server_state.connections)
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]


class Waiting:
    """A connection as the gate sees it."""

    def __init__(self, address, since, *, lets_wait=True, unread=False):
        self.address, self.since = address, since
        self.lets_wait, self.has_unread = (lambda: lets_wait), (lambda: unread)
        self.transport = self
        self.aborted = False

    def abort(self):
        self.aborted = True


def test_an_address_with_many_connections_gives_up_its_own():
    gate = Gate(ConnectionLimits(total=6, per_address=3))
    many = [Waiting("many", since) for since in (5, 3, 4)]
    few = Waiting("few", 0)
    assert all(map(gate.admit, [*many, few]))
    assert gate.admit(Waiting("many", 9))
    assert [other.aborted for other in many] == [False, True, False]
    assert not few.aborted


def test_the_address_with_the_most_connections_gives_one_up_for_another_address():
    gate = Gate(ConnectionLimits(total=4, per_address=3))
    few, unread = Waiting("few", 0), Waiting("many", 1, unread=True)
    busy, idle = Waiting("many", 2, lets_wait=False), Waiting("many", 8)
    assert all(map(gate.admit, [few, unread, busy, idle]))
    assert gate.admit(Waiting("new", 9))
    assert [other.aborted for other in (few, unread, busy, idle)] == [False, False, False, True]
    # Who does not take an answer comes after those who ask nothing.
    assert gate.admit(Waiting("new", 10))
    assert unread.aborted


def test_places_are_given_back():
    gate = Gate(ConnectionLimits(total=1, per_address=1))
    first = Waiting("a", 0, lets_wait=False)
    assert gate.admit(first)
    assert not gate.admit(Waiting("a", 1))
    assert not gate.admit(Waiting("b", 1))
    gate.forget(first)
    gate.forget(first)
    assert gate.admit(Waiting("b", 2))


@pytest.mark.parametrize(
    ("host", "group"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
        ("/run/a.sock", "/run/a.sock"),
    ],
)
def test_what_counts_as_one_client(host, group):
    assert address_group(host) == group


def test_the_server_uses_this_protocol():
    with listening(application()) as (port, server), connect(port):
        wait_until(lambda: server.server_state.connections)
        assert {type(connection) for connection in server.server_state.connections} == {Connection}
