"""``tfzoo serve``: serve exported models with TensorFlow Serving's RESTful API."""

from __future__ import annotations

import argparse
import contextlib
import gc
import ipaddress
import signal
import socket
from collections.abc import Iterator
from typing import Any

from tfzoo.cli.common import say
from tfzoo.errors import TfzooError, UsageError
from tfzoo.serving.model_store import ModelStore


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    _check(options)
    try:
        import uvicorn

        from tfzoo.serving.server import Limits, create_app
    except ImportError:
        raise UsageError("tfzoo serve needs an extra: pip install 'tfzoo[serve]'.") from None
    # What is imported by now stays: without this, reading a large request makes Python's garbage collector
    # go through all of TensorFlow's objects, while no other request can be read.
    gc.freeze()
    with _bind(options.host, options.port) as listener:
        store = ModelStore(options.folder, options.model, say)
        store.refresh()
        if not any(model.current for model in store.models.values()):
            raise TfzooError(f"No model in {options.folder} can be served.")
        limits = Limits(options.max_body_bytes, options.timeout, options.max_concurrency)
        config = uvicorn.Config(
            create_app(store, limits, options.poll_seconds),
            log_config=None,  # Its own would close the handlers of other libraries.
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=max(1, round(options.timeout)),
        )
        # Before the line that says so: from now on, connections wait instead of being refused.
        listener.listen(config.backlog)
        host, port = listener.getsockname()[:2]
        if not _is_loopback(host):
            say(f"Warning: {host} is public. Whoever reaches it can ask; there is no password and no TLS.")
        say(f"Serving {', '.join(store.models)} on http://{f'[{host}]' if ':' in host else host}:{port}")
        with _quiet_signals():
            uvicorn.Server(config).run(sockets=[listener])
    say("Stopped.")


def _check(options: argparse.Namespace) -> None:
    if not 0 <= options.port <= 65535:
        raise UsageError(f"--port must be between 0 and 65535. Received {options.port}.")
    for name in ("max_body_bytes", "timeout", "max_concurrency"):
        value = getattr(options, name)
        # Not "value <= 0", which holds for no NaN.
        if not value > 0:
            raise UsageError(f"--{name.replace('_', '-')} must be above 0. Received {value}.")
    if not options.poll_seconds >= 0:
        raise UsageError(f"--poll-seconds must be at least 0. Received {options.poll_seconds}.")


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UsageError(f"--host {host} is no address of this machine: {error.strerror}.") from None
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
