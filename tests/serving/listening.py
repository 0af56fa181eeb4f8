"""The HTTP server of the library around an application, in a thread, and ways to talk to it by hand."""

import contextlib
import socket
import threading
import time

from tests.patience import PATIENCE
from tfzoo.serving.connections import ConnectionLimits
from tfzoo.serving.http_server import HttpServer


@contextlib.contextmanager
def listening(app, limits=None):
    """Serve an application; yields the port and the server."""
    server = HttpServer(app, limits or ConnectionLimits(), seconds_to_stop=PATIENCE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            yield port, server
        finally:
            server.should_exit = True
            thread.join()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def read_to_the_end(connection):
    """Return what a connection still gives until the other side closes it."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            found += part
    return found


def read_answer(connection):
    """Return the head and the body of one answer; the connection may go on."""
    found = b""
    while b"\r\n\r\n" not in found:
        part = connection.recv(65536)
        assert part, found
        found += part
    head, _, body = found.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head.decode(), body


def wait_until(holds, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
