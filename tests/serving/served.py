"""Two small exports and the ways to serve them in tests: in a thread here, or in a process of its own."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import uvicorn

from tests.zoo import build
from tfzoo.data.splits import Split
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.serving.export import export_saved_model
from tfzoo.serving.model_store import ModelStore
from tfzoo.serving.server import Limits, create_app
from tfzoo.tasks import get_task

ROOT = Path(__file__).parents[2]
# Of processes that run the checkout, whether or not it is installed.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": ""}
# Item ids that float64 cannot tell apart, and negative ones.
LARGE = 2**53 + np.arange(20) - np.where(np.arange(20) < 3, 2**54, 0)
# Item ids are texts, and histories are scored; item ids are whole numbers, and they are not.
TEXTS, NUMBERS = "ease-toy", "biased-mf-large"


def export_texts(toy, folder, seed=1):
    return _export("ease", "reconstruction", toy, folder / TEXTS, seed)


def export_numbers(toy, folder, seed=1):
    train = replace(toy, items=Vocabulary(LARGE), item_features={})
    return _export("biased-mf", "rating", train, folder / NUMBERS, seed)


def _export(name, task, train, folder, seed):
    model = build(name, seed, 0.4, train.num_users, train.num_items)
    task = get_task(task)()
    scorer = task.scorer(model, task.features(model, Split(train, train, train, ""), train))
    return export_saved_model(model, scorer, train, folder, metadata={"model": name})


def publish(prepared, folder):
    """Copy a version into a served folder as exports come: beside, and then renamed."""
    beside = folder / f".export-{prepared.name}"
    shutil.copytree(prepared, beside)
    number = 1 + max(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit())
    return beside.rename(folder / str(number))


@contextlib.contextmanager
def serving(folder, *, limits=None, poll_seconds=0.0, report=None, names=()):
    """Serve a folder from a thread; yields the address and the store."""
    store = ModelStore(folder, names, report or (lambda line: None))
    store.refresh()
    app = create_app(store, limits or Limits(), poll_seconds)
    config = uvicorn.Config(app, port=0, log_config=None, log_level="error", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"127.0.0.1:{port}", store
    finally:
        server.should_exit = True
        thread.join()


class ServerProcess:
    """``tfzoo serve`` in a process of its own; its output lies in ``log``.

    Args:
        folder: of the exported models.
        log: a file.
        options: further arguments.
    """

    def __init__(self, folder, log, *options):
        self.log = log
        arguments = [sys.executable, "scripts/serve.py", str(folder), "--port", "0", *options]
        with log.open("w") as output:
            self.process = subprocess.Popen(
                arguments, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=ENVIRONMENT
            )
        wait_until(lambda: self._address() or self.process.poll() is not None, 120)
        self.address = self._address()
        if not self.address:
            self.process.kill()
            raise AssertionError(self.text())

    def text(self):
        return self.log.read_text()

    def stop(self, how=signal.SIGTERM):
        """Ask it to end and return its exit status."""
        self.process.send_signal(how)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()

    def _address(self):
        found = re.search(r"on http://(\S+:\d+)", self.text())
        return found and found[1]


def ask(address, method, path, body=None, headers=None):
    """Return the status and the parsed JSON of one request over a new connection."""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        assert response.getheader("content-type") == "application/json"
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def predict(address, body, model=TEXTS):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ask(address, "POST", f"/v1/models/{model}:predict", text)


def wait_until(holds, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
