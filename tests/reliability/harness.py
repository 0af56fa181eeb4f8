"""Runs of `tfzoo` in processes that are killed, interrupted or refused space, and what they leave.

TensorFlow takes seconds to import, so one process imports it and forks: each run is a fork that has
not used TensorFlow before. `python harness.py` is that process.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).parents[2]
OURS = (".lock", ".part")
# What Python does to the names of files; each is a moment to be killed at.
EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")
SETTINGS = ["training.epochs=4", "training.batch_size=64", "training.jit_compile=false"]
SETTINGS += ["training.checkpoint_seconds=0"]


def write_ratings(path, users=12, items=10, per_user=6):
    """Write a small CSV of ratings with times."""
    random = np.random.default_rng(7)
    rows = ["user_id,item_id,rating,time"]
    for user in range(users):
        for item in random.permutation(items)[:per_user]:
            rows.append(f"u{user},i{item},{random.integers(1, 6)},{7200 * len(rows)}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def command(data, folder, model, *settings, resume=False, more=()):
    """Return the arguments of a training into ``folder``."""
    options = [f"--set={setting}" for setting in (*SETTINGS, *settings)]
    columns = ["--data", str(data), "--time-col", "time", "--rating-col", "rating"]
    output = ["--output", str(folder / "runs"), "--export-dir", str(folder / "exports")]
    return ["train", "--model", model, *columns, *output, *options, *more, *["--resume"] * resume]


class Server:
    """A process that runs commands in forks of its own, one after the other or several at once."""

    def __init__(self):
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment |= {"PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"}
        arguments = [sys.executable, __file__]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(arguments, env=environment, stdin=pipe, stdout=pipe, text=True)

    def start(self, arguments, **options):
        """Start a run; ``options`` are those of `_child`. Returns its process id."""
        return self._ask({"arguments": arguments, **options})

    def wait(self, number):
        """Wait for a run and return its status (negative for a signal), its output and its events."""
        return self._ask({"wait": number})

    def stopped(self, number):
        """Wait until a run has stopped itself."""
        while Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.02)

    def run(self, arguments, **options):
        """Start a run and wait for it."""
        return self.wait(self.start(arguments, **options))

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait(600)
        self.process.stdout.close()

    def _ask(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def outcome(folder):
    """Return all of a run that must not depend on whether it was broken: figures and weights."""
    (record,) = (json.loads(path.read_text()) for path in folder.glob("runs/*/seed-0/record.json"))
    kept = ("metrics", "history", "best_epoch", "fingerprint", "parameters", "recipe")
    (model,) = folder.glob("runs/*/seed-0/model.keras")
    return {**{key: record[key] for key in kept}, "epochs": record["timing"]["epochs"]}, weights(model)


def weights(model):
    """Return name -> checksum of the weights in a ``.keras`` file."""
    found = {}
    with zipfile.ZipFile(model) as archive:
        assert archive.testzip() is None
        file = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    file.visititems(lambda name, node: found.update(_checksum(name, node)))
    return found


def _checksum(name, node):
    return {name: hashlib.sha256(node[()].tobytes()).hexdigest()} if isinstance(node, h5py.Dataset) else {}


def leftovers(folder):
    """Return everything hidden or temporary in a folder."""
    return [str(p) for p in folder.rglob("*") if p.name.startswith(".") or p.name.endswith(OURS)]


def visible_versions(folder):
    """Return the versions that a server would see in a folder of exports."""
    return sorted(path for path in folder.glob("exports/*/*") if path.name.isdigit())


def half_versions(folder):
    """Return the versions that lack a file of a whole export."""
    whole = ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001")
    whole += ("assets.extra/tfzoo.json", "assets.extra/tf_serving_warmup_requests")
    return [p for p in visible_versions(folder) if not all((p / name).is_file() for name in whole)]


def on_disk(folder):
    """Return what a resumed run finds: the names, which files are empty, and the checkpoints' epochs."""
    found = []
    for path in folder.rglob("*"):
        name = re.sub(r"[0-9a-f]{16}[.]part", "", str(path.relative_to(folder)))
        epoch = -1
        if path.suffix == ".npz" and not path.name.startswith("."):
            with np.load(path) as archive:
                epoch = json.loads(str(archive["meta"]))["state"]["epoch"]
        found.append((name, path.is_file() and path.stat().st_size == 0, epoch))
    return tuple(sorted(found))


def _child(log, arguments, below="", kill_at=None, stop_at=None, copies=None, limit=None, user=None):
    """Run a command with its output in ``log``.

    Args:
        log: file for the output; beside it, ``<log>.events`` counts the events below a folder.
        arguments: of the command.
        below: count what is done to files below this folder.
        kill_at: number of the event at which the process kills itself.
        stop_at: number of the event at which it stops until it is continued (SIGCONT).
        copies: copy what is below the folder to ``<copies>/<number>`` at every event: what the process
            would leave if it were killed there.
        limit: largest file that may be written, in bytes.
        user: numeric id of the user to become.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    count, copying = 0, False
    numbers = os.open(f"{log}.events", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def hook(event, details):
        nonlocal count, copying
        if copying or event not in EVENTS or not isinstance(details[0], (str, Path)):
            return
        if str(details[0]).startswith(below):
            count += 1
            os.pwrite(numbers, str(count).encode(), 0)
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if count == stop_at:
                os.kill(os.getpid(), signal.SIGSTOP)
            if copies is not None:
                copying = True
                shutil.copytree(below, f"{copies}/{count}")
                copying = False

    if limit is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if user is not None:
        os.setgid(user)
        os.setuid(user)
    if below:
        sys.addaudithook(hook)
    return sys.modules["tfzoo.cli"].main(arguments)


def _serve():
    import importlib

    for name in ("tfzoo.cli", "tfzoo.cli.train", "tfzoo.cli.export"):
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        _answer(Path(folder))


def _answer(folder):
    started = {}
    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            number = question["wait"]
            _, status = os.waitpid(number, 0)
            log, begun = started.pop(number)
            events = int(Path(f"{log}.events").read_text() or 0)
            text = log.read_text(errors="replace")
            status = os.waitstatus_to_exitcode(status)
            answer = {"status": status, "text": text, "events": events, "seconds": time.time() - begun}
        else:
            log = folder / str(len(os.listdir(folder)))
            answer = os.fork()
            if answer == 0:
                status = 70
                with contextlib.suppress(SystemExit):
                    try:
                        status = _child(log, **question)
                    except BaseException:
                        import traceback

                        traceback.print_exc()
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
            log.touch()
            Path(f"{log}.events").touch()
            started[answer] = log, time.time()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
