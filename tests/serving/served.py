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
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.patience import PATIENCE
from tests.serving.listening import listening, wait_until
from tests.zoo import build
from tfzoo.data.splits import Split
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.serving.export import export_saved_model
from tfzoo.serving.limits import Limits
from tfzoo.serving.model_store import ModelStore
from tfzoo.serving.server import create_app
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
    with listening(create_app(store, limits or Limits(timeout=PATIENCE), poll_seconds)) as (port, _):
        yield f"127.0.0.1:{port}", store


class ServerProcess:
    """``tfzoo serve`` in a process of its own; its output lies in ``log``.

    Args:
        folder: of the exported models.
        log: a file.
        options: further arguments.
        files: that it may have open; None for as many as here.
    """

    def __init__(self, folder, log, *options, files=None):
        self.log = log
        arguments = [sys.executable, "scripts/serve.py", str(folder), "--port", "0"]
        arguments += ["--timeout", str(PATIENCE), *options]
        if files is not None:
            arguments = ["sh", "-c", f'ulimit -n {files} && exec "$@"', "sh", *arguments]
        with log.open("w") as output:
            self.process = subprocess.Popen(
                arguments, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=ENVIRONMENT
            )
        wait_until(lambda: self._address() or self.process.poll() is not None)
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
            return self.process.wait(PATIENCE)
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
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
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
