"""Bodies that are too large, too many, late, compressed or cut off."""

import asyncio
import json
import threading

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.patience import PATIENCE
from tests.serving.listening import connect, listening, read_answer, wait_until
from tfzoo.serving.limits import Limits
from tfzoo.serving.request_body import NOT_COUNTED, BodyReader


def application(limits, until=None):
    """Return an application that says how long the body was, and its reader of bodies."""
    reader = BodyReader(limits)

    async def answer(request):
        async with reader.read(request) as body:
            if until is not None:
                await asyncio.to_thread(until.wait)
            return JSONResponse({"length": len(body)})

    async def refuse(request, error):
        return JSONResponse({"error": error.detail}, error.status_code)

    routes = [Route("/", answer, methods=["POST"])]
    return Starlette(routes=routes, exception_handlers={HTTPException: refuse}), reader


def head(length, more=""):
    return f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{more}\r\n".encode()


def answer(connection):
    head, body = read_answer(connection)
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize("part", [b"", b'{"instances"'])
def test_a_late_body_is_given_up(part):
    app, reader = application(Limits(timeout=0.3))
    with listening(app) as (port, _), connect(port) as one:
        one.sendall(head(100) + part)
        assert answer(one) == (408, {"error": "The body of the request is late."})
        wait_until(lambda: reader._held == 0)


def test_a_body_that_is_too_large_by_its_length_or_while_it_is_read():
    app, _ = application(Limits(max_body_bytes=1000, timeout=PATIENCE))
    expected = (413, {"error": "The body of a request may have 1000 bytes."})
    with listening(app) as (port, _):
        with connect(port) as one:
            one.sendall(head(1001))
            assert answer(one) == expected
        with connect(port) as one:
            one.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            one.sendall(b"3E9\r\n" + b"x" * 1001 + b"\r\n")
            assert answer(one) == expected
        with connect(port) as one:
            one.sendall(head(1000) + b"x" * 1000)
            assert answer(one) == (200, {"length": 1000})


def test_a_compressed_body():
    app, _ = application(Limits())
    with listening(app) as (port, _), connect(port) as one:
        one.sendall(head(1, "Content-Encoding: gzip\r\n") + b"x")
        assert answer(one)[0] == 415


def test_large_bodies_share_what_may_be_held_and_small_ones_pass():
    go, large = threading.Event(), NOT_COUNTED + 600
    app, reader = application(Limits(max_bodies_bytes=1000, timeout=PATIENCE), until=go)
    with listening(app) as (port, _), connect(port) as first, connect(port) as second, connect(port) as small:
        try:
            first.sendall(head(large) + b"x" * large)
            wait_until(lambda: reader._held == 600)
            second.sendall(head(large) + b"x" * large)
            status, refused = answer(second)
            assert (status, refused["error"]) == (
                503,
                "Too many large requests are waiting; ask again later.",
            )
            small.sendall(head(9) + b"x" * 9)
        finally:
            go.set()
        assert answer(first) == (200, {"length": large})
        assert answer(small) == (200, {"length": 9})
        assert reader._held == 0


def test_a_body_that_is_cut_off_is_not_held():
    app, reader = application(Limits(timeout=PATIENCE))
    with listening(app) as (port, server):
        with connect(port) as one:
            one.sendall(head(10**6) + b"x" * 500_000)
            wait_until(lambda: reader._held > 400_000)
        wait_until(lambda: reader._held == 0)
        wait_until(lambda: not server.server_state.tasks)
