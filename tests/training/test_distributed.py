"""Training on several devices and hosts against training on one, and with a host that dies."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from tests.patience import PATIENCE
from tests.reliability.harness import write_ratings
from tests.training.mirrored_child import CASES
from tests.zoo import quick
from tfzoo.errors import TfzooError, UsageError
from tfzoo.models import create_model
from tfzoo.tasks import NextItemTask, RatingTask
from tfzoo.training.distributed import Distribution, Replicas
from tfzoo.training.strategies import open_distribution

ROOT = Path(__file__).parents[2]
EPOCHS = 60
ENVIRONMENT = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
CLUSTER = {"worker": ["host1:2222", "host2:2222"]}
QUICK = ("biased-mf",)


@pytest.fixture(scope="module")
def mirrored(request):
    """What `mirrored_child` says of two devices."""
    cases = CASES if request.config.getoption("--runslow") else QUICK
    child = [sys.executable, "-m", "tests.training.mirrored_child", "2", *cases]
    done = subprocess.run(child, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", quick(CASES, QUICK))
def test_two_devices_take_the_steps_of_one(mirrored, case):
    found = mirrored[case]
    assert found["devices"] == {"replicas": 2, "workers": 1}
    assert len(found["one"]) == 2
    assert found["several"] == pytest.approx(found["one"], rel=1e-5)
    assert found["moved"] > 1e-2
    assert found["apart"] < 1e-3 * found["moved"]


def one_replica():
    return Replicas(tf.distribute.MirroredStrategy(["/cpu:0"]))


def test_tasks_whose_batch_cannot_be_divided_are_refused():
    model = create_model("gru4rec", 5, 6, units=(4,))
    with pytest.raises(UsageError, match=r"cannot train 'gru4rec'.*task 'next-item'.*Leave --strategy out"):
        one_replica().check(NextItemTask(), model)
    assert Distribution().check(NextItemTask(), model) is None


def test_float16_is_refused():
    model = create_model("pmf", 5, 6)
    one_replica().check(RatingTask(), model)
    keras.config.set_dtype_policy("mixed_float16")
    with pytest.raises(UsageError, match="mixed_float16; use mixed_bfloat16"):
        one_replica().check(RatingTask(), model)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "It is not set"),
        ("{", "cannot be used"),
        ({"cluster": CLUSTER}, "KeyError: 'task'"),
        ({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}, "no worker 2, as there are 2"),
        ({"cluster": CLUSTER, "task": {"type": "chief", "index": 0}}, "KeyError: 'chief'"),
        ({"cluster": {**CLUSTER, "ps": ["a:1"]}, "task": {"type": "worker", "index": 0}}, r"'worker', 'ps'"),
        ({"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}, "jobs must be 'worker'"),
    ],
    ids=str,
)
def test_a_cluster_that_is_none_is_refused(monkeypatch, config, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config if isinstance(config, str) else json.dumps(config))
    with pytest.raises(UsageError, match=message) as refused:
        open_distribution("multiworker")
    assert "TF_CONFIG, such as" in str(refused.value)


def test_only_the_errors_of_a_cluster_are_said_to_be_its():
    alone, pair = one_replica(), one_replica()
    pair.workers = 2
    lost = tf.errors.UnavailableError(None, None, "Connection reset by peer")
    with (
        pytest.raises(TfzooError, match=r"Worker 0 of 2 has lost another worker.*Start again"),
        pair.watched("Start again."),
    ):
        raise lost
    with pytest.raises(tf.errors.UnavailableError), alone.watched("Start again."):
        raise lost
    with pytest.raises(tf.errors.InvalidArgumentError), pair.watched("Start again."):
        raise tf.errors.InvalidArgumentError(None, None, "a fault of ours")


class Hosts:
    """Two processes of one training, each with folders of its own, as on two hosts."""

    def __init__(self, folder):
        self.folder, self.data = folder, folder / "toy.csv"
        write_ratings(self.data, users=40, items=30, per_user=20)

    def arguments(self, number, *more):
        settings = (f"epochs={EPOCHS}", "batch_size=100", "patience=null", "checkpoint_seconds=0")
        settings += ("learning_rate=0.01", "optimizer=lazy-adam")
        chosen = [f"--set=training.{setting}" for setting in settings]
        folders = ["--output", str(self.runs(number)), "--export-dir", str(self.exports(number))]
        data = ["--data", str(self.data), "--time-col", "time"]
        command = [sys.executable, "-c", "from tfzoo.cli.main import main; raise SystemExit(main())"]
        return [*command, "train", "--model", "biased-mf", *data, *folders, *chosen, *more]

    def runs(self, number):
        return self.folder / f"runs-{number}"

    def exports(self, number):
        return self.folder / f"exports-{number}"

    def start(self, *more, last=()):
        """Start both; ``last`` are arguments of the second one alone."""
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
            hosts = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started = []
        for number in range(2):
            task = {"type": "worker", "index": number}
            config = {"TF_CONFIG": json.dumps({"cluster": {"worker": hosts}, "task": task})}
            command = self.arguments(number, "--strategy", "multiworker", *more, *(last if number else ()))
            started.append(subprocess.Popen(command, env={**ENVIRONMENT, **config}, **pipes))
        return started

    def record(self, number):
        (path,) = self.runs(number).glob("*/seed-0/record.json")
        return json.loads(path.read_text())


def ended(processes, seconds=PATIENCE):
    """Wait for processes; return their statuses and what they said."""
    try:
        texts = [process.communicate(timeout=seconds)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], texts


def same_figures(record, expected):
    for part in ("train", "validation", "test"):
        assert record["metrics"][part] == pytest.approx(expected["metrics"][part], rel=1e-3)
    assert [row["loss"] for row in record["history"]] == pytest.approx(
        [row["loss"] for row in expected["history"]], rel=1e-3
    )
    assert len(record["history"]) == EPOCHS
    assert record["history"][-1]["loss"] < 0.9 * record["history"][0]["loss"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The record of the same training in one process."""
    hosts = Hosts(tmp_path_factory.mktemp("alone"))
    command = hosts.arguments(0, "--no-export")
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-3000:]
    return hosts.record(0)


@pytest.mark.slow
def test_two_hosts_train_as_one_and_the_chief_alone_writes(tmp_path, alone):
    hosts = Hosts(tmp_path)
    statuses, texts = ended(hosts.start())
    assert statuses == [0, 0], texts
    record = hosts.record(0)
    same_figures(record, alone)
    assert record["fingerprint"] == alone["fingerprint"]
    assert record["hardware"]["replicas"] == record["hardware"]["workers"] == 2
    (run,) = hosts.runs(0).glob("*/seed-0")
    assert sorted(path.name for path in run.iterdir()) == ["model.keras", "record.json", "vocabulary"]
    assert [path.name for path in hosts.exports(0).glob("*/*") if path.name.isdigit()] == ["1"]
    assert not hosts.runs(1).exists()
    assert not hosts.exports(1).exists()
    assert "SavedModel" in texts[0]
    assert "SavedModel" not in texts[1]


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_who_loses_a_host_says_so_and_both_go_on(tmp_path, alone, victim):
    hosts = Hosts(tmp_path)
    started = hosts.start("--no-export")
    deadline = time.monotonic() + PATIENCE
    while not [*hosts.runs(0).glob("*/seed-0/checkpoint.npz")] and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(started[victim].pid, signal.SIGKILL)
    statuses, texts = ended(started)
    assert statuses[victim] == -signal.SIGKILL
    assert statuses[1 - victim] == 1, texts
    (message,) = [line for line in texts[1 - victim].splitlines() if line.startswith("tfzoo: error:")]
    assert f"Worker {1 - victim} of 2 has lost another worker" in message
    assert "--resume" in message
    assert [*hosts.runs(0).glob("*/seed-0/checkpoint.npz")]
    assert not [*hosts.runs(0).glob("*/seed-0/record.json")]

    # The second host has no file of the run: what it needs comes from the chief.
    statuses, texts = ended(hosts.start("--no-export", "--resume"))
    assert statuses == [0, 0], texts
    same_figures(hosts.record(0), alone)
    assert not hosts.runs(1).exists()

    # Once more: there is nothing left to train.
    statuses, texts = ended(hosts.start("--no-export", "--resume"))
    assert statuses == [0, 0], texts
    assert "epoch" not in texts[1].partition("test rmse")[0]


@pytest.mark.slow
def test_hosts_with_other_settings_do_not_train_together(tmp_path):
    hosts = Hosts(tmp_path)
    statuses, texts = ended(hosts.start("--no-export", last=["--set=training.learning_rate=0.5"]))
    assert statuses == [2, 2], texts
    for text in texts:
        assert "1 of 2 workers have other settings, data, seed and precision than the chief" in text
    assert not [*hosts.runs(0).glob("*/seed-0/record.json")]
