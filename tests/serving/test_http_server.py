"""How many connections the open files of a process allow, and what uvicorn is told."""

import resource

import pytest

from tests.serving.listening import listening
from tfzoo.errors import UsageError
from tfzoo.serving import http_server
from tfzoo.serving.http_server import connection_limits


@pytest.fixture
def files(monkeypatch):
    """Return a function that sets the limit of open files; 20 are open."""
    monkeypatch.setattr(http_server.os, "listdir", lambda folder: [str(number) for number in range(20)])
    return lambda allowed: monkeypatch.setattr(resource, "getrlimit", lambda kind: (allowed, allowed))


def limits(total=None, per_address=None):
    found = connection_limits(total, per_address, 10.0, 30.0)
    return found.total, found.per_address


@pytest.mark.parametrize(
    ("allowed", "total", "per_address"),
    [(256, 172, 86), (1024, 940, 470), (20_000, 1000, 500), (resource.RLIM_INFINITY, 1000, 500), (92, 8, 4)],
)
def test_as_many_connections_as_files_may_be_open(files, allowed, total, per_address):
    files(allowed)
    assert limits() == (total, per_address)


def test_limits_that_are_asked_for(files):
    files(256)
    assert limits(172) == (172, 86)
    assert limits(1) == (1, 1)
    assert limits(10, 30) == (10, 30)
    assert limits(None, 3) == (172, 3)
    with pytest.raises(UsageError, match=r"--max-connections may be 172 with this limit .* Received 173"):
        limits(173)


def test_times_that_are_asked_for(files):
    files(256)
    found = connection_limits(None, None, head_seconds=7.0, read_seconds=8.0)
    assert (found.head_seconds, found.read_seconds) == (7.0, 8.0)


def test_too_few_files_to_serve_anybody(files):
    files(91)
    with pytest.raises(UsageError, match=r"leaves 7 connections; raise it \(ulimit -n\)"):
        limits()
    files(16)
    with pytest.raises(UsageError, match="leaves 0 connections"):
        limits()


def test_settings_that_an_installation_might_change(monkeypatch):
    async def app(scope, receive, send):
        await receive()
        await send({"type": f"{scope['type']}.startup.complete"})
        await receive()
        await send({"type": f"{scope['type']}.shutdown.complete"})

    # uvicorn reads it where it is not told.
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    with listening(app) as (_, server):
        assert server.config.loaded_app is app
        assert server.config.ws_protocol_class is None
        assert server.servers[0].get_loop().__class__.__module__.startswith("asyncio.")
