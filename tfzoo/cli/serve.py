"""``tfzoo serve``: serve exported models with TensorFlow Serving's RESTful API."""

from __future__ import annotations

import argparse
import contextlib
import gc
import ipaddress
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfzoo.cli.output import say
from tfzoo.cli.paths import export_of
from tfzoo.errors import TfzooError, UsageError
from tfzoo.serving.export import versions
from tfzoo.serving.log_limit import LogLimit
from tfzoo.serving.model_store import ModelStore, find_models

ABOVE_ZERO = (
    "max_body_bytes",
    "max_outputs",
    "max_concurrency",
    "max_connections",
    "max_connections_per_address",
    "timeout",
    "header_timeout",
)
SECONDS = ("timeout", "header_timeout", "poll_seconds")
# Clocks and selectors take no endless or astronomical wait.
LONGEST_SECONDS = 86_400
LOGGERS = ("asyncio", "uvicorn.error", "uvicorn.asgi", "tfzoo.serving")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    _check(options)
    try:
        from tfzoo.serving.http_server import BACKLOG, HttpServer, connection_limits
        from tfzoo.serving.limits import Limits
        from tfzoo.serving.server import create_app
    except ImportError:
        raise UsageError("tfzoo serve needs an extra: pip install 'tfzoo[serve]'.") from None
    # What is imported by now stays: without this, reading a large request makes Python's garbage collector
    # go through all of TensorFlow's objects, while no other request can be read.
    gc.freeze()
    with _bind(options.host, options.port) as listener:
        folder, models = _served(options)
        store = ModelStore(folder, models, say)
        store.refresh()
        if not any(model.current for model in store.models.values()):
            raise TfzooError(f"No model in {options.folder} can be served.")
        limits = Limits(
            max_body_bytes=options.max_body_bytes,
            max_bodies_bytes=32 * options.max_body_bytes,
            timeout=options.timeout,
            max_concurrency=options.max_concurrency,
            max_outputs=options.max_outputs,
        )
        # After the models, whose files it counts.
        connections = connection_limits(
            options.max_connections,
            options.max_connections_per_address,
            options.header_timeout,
            options.timeout,
        )
        server = HttpServer(create_app(store, limits, options.poll_seconds), connections, options.timeout)
        # Before the line that says so: from now on, connections wait instead of being refused.
        listener.listen(BACKLOG)
        host, port = listener.getsockname()[:2]
        if not _is_loopback(host):
            say(f"Warning: {host} is public. Whoever reaches it can ask; there is no password and no TLS.")
        say(f"Serving {', '.join(store.models)} on http://{f'[{host}]' if ':' in host else host}:{port}")
        log = LogLimit(say)
        with _quiet_signals(), log.limited(LOGGERS):
            server.run(sockets=[listener])
    say("Stopped.")


def _served(options: argparse.Namespace) -> tuple[Path, list[str]]:
    """Return the folder of the models, and which to serve; the path may be one model, or its run."""
    folder = options.folder
    if options.model or find_models(folder, lambda *_: None) or not folder.is_dir():
        return folder, options.model
    try:
        version = export_of(folder)
    except TfzooError:
        return folder, options.model
    model = version.parent
    if versions(model) and max(versions(model)) != int(version.name):
        say(f"The newest version in {model} is served, not {version.name}.")
    return model.parent, [model.name]


def _check(options: argparse.Namespace) -> None:
    if not 0 <= options.port <= 65535:
        raise UsageError(f"--port must be between 0 and 65535. Received {options.port}.")
    for name in ABOVE_ZERO:
        value = getattr(options, name)
        # Not "value <= 0", which holds for no NaN.
        if value is not None and not value > 0:
            raise UsageError(f"--{name.replace('_', '-')} must be above 0. Received {value}.")
    if not options.poll_seconds >= 0:
        raise UsageError(f"--poll-seconds must be at least 0. Received {options.poll_seconds}.")
    for name in SECONDS:
        if getattr(options, name) > LONGEST_SECONDS:
            raise UsageError(
                f"--{name.replace('_', '-')} must be at most {LONGEST_SECONDS} seconds, which is a day. "
                f"Received {getattr(options, name)}."
            )


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UsageError(f"--host {host} is no address of this machine: {error.strerror}.") from None
    except UnicodeError as error:
        raise UsageError(f"--host {host} is no name of a machine: {error}.") from None
    listener = socket.socket(family, kind, protocol)
    # Otherwise a port stays taken for a minute after a server that had connections.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise UsageError(f"Cannot listen on {host}, --port {port}: {error.strerror}.") from None
    return listener


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


@contextlib.contextmanager
def _quiet_signals() -> Iterator[None]:
    """Let the command end with status 0: once it has stopped, uvicorn raises the signal again."""
    stops = (signal.SIGINT, signal.SIGTERM)
    before: dict[Any, Any] = {stop: signal.signal(stop, lambda *_: None) for stop in stops}
    try:
        yield
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
