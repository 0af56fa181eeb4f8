"""The embedded server for a long time under mixed load: no error, no lost answer, flat memory.

A minute by default; ``TFZOO_SOAK_SECONDS=1800`` for half an hour.
"""

import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.serving.served import TEXTS, ServerProcess, ask, export_numbers, export_texts, publish
from tests.serving.test_server_fuzz import check
from tfzoo.serving.client import LocalClient

SECONDS = float(os.environ.get("TFZOO_SOAK_SECONDS", "60"))
CLIENTS, REQUESTS, SECONDS_PER_VERSION = 4, 100, 10
# Of resident memory, from the middle third of the time to the last one.
GROWTH_MB = 30
MOVING = "moving"


def resident_mb(pid):
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_mixed_load_for_a_long_time(toy, tmp_path, capsys):
    folder = tmp_path / "saved_models"
    version = export_texts(toy, folder)
    export_numbers(toy, folder)
    shutil.copytree(version, folder / MOVING / "1")
    local = LocalClient(version)
    options = ["--max-body-bytes", "500000", "--poll-seconds", "0.5"]
    with ServerProcess(folder, tmp_path / "log", *options) as server:
        end = time.monotonic() + SECONDS
        found, errors, memory, published = [], [], [], 1

        def work(number):
            seed = number
            try:
                while time.monotonic() < end and not errors:
                    check(server.address, local, seed, REQUESTS, found)
                    seed += CLIENTS
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            memory.append(resident_mb(server.process.pid))
            if time.monotonic() < end - SECONDS_PER_VERSION and len(memory) % SECONDS_PER_VERSION == 0:
                publish(version, folder / MOVING)
                published += 1
            time.sleep(1)
        if errors:
            raise errors[0]
        states = ask(server.address, "GET", f"/v1/models/{MOVING}")[1]["model_version_status"]
        served = [state["version"] for state in states if state["state"] == "AVAILABLE"]
        assert served == [str(published)]
        assert ask(server.address, "POST", f"/v1/models/{TEXTS}:predict", b"{}")[0] == 400
        assert server.stop() == 0
        assert "Traceback" not in server.text()
    third = len(memory) // 3
    before, after = np.median(memory[third : 2 * third]), np.median(memory[-third:])
    with capsys.disabled():
        print(f"\n{len(found)} requests, {published} versions, {before:.0f} -> {after:.0f} MB")
    assert after < before + GROWTH_MB
