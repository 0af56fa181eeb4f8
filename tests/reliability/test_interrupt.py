"""Ctrl-C and SIGTERM: an end within seconds, a line that says how to go on, and nothing half-written."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.patience import PATIENCE
from tests.reliability.harness import ROOT, command, half_versions, leftovers, outcome
from tfzoo.cli.signals import Interrupted, stopping_on_signals

NO_EXPORT = ("--no-export",)
AVERAGED = ("pmf", "training.average=0.9")
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
# Minutes in one call outside Python, during which Python handles no signal.
BUSY = """
import hashlib
from tfzoo.cli.signals import stopping_on_signals
with stopping_on_signals(" Go on."):
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
"""
# The first interrupt is lost in a place that lets no exception through, and comes once more.
DEAF = """
import sys, time
from tfzoo.cli.signals import Interrupted, exit_status, farewell, stopping_on_signals
tfzoo.cli.signals.GRACE_SECONDS = 60
class Deaf:
    def __del__(self):
        print("ready", flush=True)
        time.sleep(3600)
try:
    with stopping_on_signals(" Go on."):
        Deaf()
        time.sleep(3600)
except Interrupted as end:
    print(farewell(end.number, " Go on."), file=sys.stderr)
    sys.exit(exit_status(end.number))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_in_training_leaves_a_checkpoint_to_go_on_from(server, ratings, unbroken, tmp_path, number):
    expected, answer = unbroken(*AVERAGED, more=NO_EXPORT)
    arguments = command(ratings, tmp_path, *AVERAGED, more=NO_EXPORT)
    run = server.start(arguments, below=str(tmp_path), stop_at=answer["events"] // 2)
    server.stopped(run)
    os.kill(run, number)
    os.kill(run, signal.SIGCONT)
    broken = server.wait(run)
    assert broken["status"] == STATUS[number]
    assert broken["text"].splitlines()[-1].endswith("ed. Continue with the same command and --resume.")
    assert "Traceback" not in broken["text"]
    assert leftovers(tmp_path) == []
    (folder,) = tmp_path.glob("runs/*/seed-0")
    assert [path.name for path in folder.iterdir()] == ["checkpoint.npz"]
    assert server.run([*arguments, "--resume"])["status"] == 0
    assert outcome(tmp_path) == expected


@pytest.mark.slow
def test_signals_at_random_moments_and_twice(server, ratings, unbroken, tmp_path):
    expected, answer = unbroken(*AVERAGED)
    moments = random.Random("interrupt")
    ended = []
    for count in range(10):
        run = server.start(command(ratings, tmp_path, *AVERAGED, resume=True))
        time.sleep(moments.uniform(0, 1) * answer["seconds"])
        number = moments.choice([*STATUS])
        os.kill(run, number)
        if count % 2:
            time.sleep(moments.uniform(0, 0.02))
            os.kill(run, number)
        broken = server.wait(run)
        # 0: it had just ended. A second signal ends it without a word.
        assert broken["status"] in (0, STATUS[number], *[-number] * (count % 2)), broken["text"]
        assert "Traceback" not in broken["text"]
        assert half_versions(tmp_path) == []
        ended.append(broken["status"])
    assert set(ended) & {130, 143}
    last = server.run(command(ratings, tmp_path, *AVERAGED, resume=True))
    assert last["status"] == 0, last["text"]
    assert outcome(tmp_path) == expected
    assert leftovers(tmp_path) == half_versions(tmp_path) == []


@pytest.mark.parametrize("code", [BUSY, DEAF])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_long_calculation_does_not_hold_the_end_back(code, number):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # Fewer seconds, so that the test does not wait for them.
    code = f"import tfzoo.cli.signals\ntfzoo.cli.signals.GRACE_SECONDS = 0.3\n{code}"
    with subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(number)
        try:
            _, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == STATUS[number]
    assert errors.strip().endswith("ed. Go on.")
    assert "Traceback" not in errors


def test_a_second_signal_ends_at_once():
    code = """
import time
from tfzoo.cli.signals import stopping_on_signals
with stopping_on_signals(""):
    try:
        print("ready", flush=True)
        time.sleep(3600)
    finally:
        print("ending", flush=True)
        time.sleep(3600)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in ("ready", "ending"):
            assert process.stdout.readline() == f"{line}\n"
            process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == -signal.SIGINT


def test_the_handlers_of_the_caller_are_there_again():
    before = [signal.getsignal(number) for number in STATUS]
    with stopping_on_signals(""):
        assert all(signal.getsignal(n) != handler for n, handler in zip(STATUS, before, strict=True))
    assert [signal.getsignal(number) for number in STATUS] == before


def test_who_ignores_a_signal_keeps_on_ignoring_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping_on_signals(""):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_knows_its_signal():
    before = {number: signal.getsignal(number) for number in STATUS}
    try:
        with pytest.raises(Interrupted) as caught, stopping_on_signals(""):
            signal.raise_signal(signal.SIGTERM)
        assert caught.value.number == signal.SIGTERM
        # Whatever comes next ends the process at once.
        assert [signal.getsignal(number) for number in STATUS] == [signal.SIG_DFL] * 2
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
