"""The embedded server in a process of its own, under many clients at once."""

import shutil
import threading
import time

import numpy as np
import pytest

from tests.patience import PATIENCE
from tests.serving.served import TEXTS, ServerProcess, ask, export_texts, publish
from tfzoo.serving.client import LocalClient
from tfzoo.serving.rest_client import RestClient

pytestmark = pytest.mark.slow

CLIENTS = 64
REQUESTS_EACH = 50
# The same export under a second name, for versions that come.
MOVING = "moving"


@pytest.fixture(scope="module")
def prepared(toy, tmp_path_factory):
    """Return three versions of a model, whose answers differ."""
    folder = tmp_path_factory.mktemp("prepared")
    return [export_texts(toy, folder / str(seed), seed) for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def server(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved_models")
    for name in (TEXTS, MOVING):
        shutil.copytree(prepared[0], folder / name / "1")
    server = ServerProcess(folder, folder / "log", "--poll-seconds", "0.1")
    server.folder = folder
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.text()


def questions(count):
    """Return calls of a client, as functions of it."""
    random = np.random.default_rng(7)

    def items(most):
        return [f"film-{item:02d}" for item in random.integers(0, 22, random.integers(0, most))]

    made = []
    for number in range(count):
        user, k = int(random.choice([100, 107, 114, 303, 5])), int(random.choice([1, 2, 5, 10, 1000]))
        lists = (items(6), items(30))
        made.append(
            (
                lambda client, user=user, k=k, lists=lists: client.recommend(user, k, lists[0]),
                lambda client, k=k, lists=lists: client.recommend_from_history(lists[1], k, lists[0]),
                lambda client, user=user, k=k, lists=lists: client.recommend_among(
                    user, lists[1], k, lists[0]
                ),
                lambda client, user=user: client.score([user, 100], ["film-01", "film-02"]).tolist(),
            )[number % 4]
        )
    return made


def run_threads(count, work):
    """Run ``work(number)`` in as many threads; raises the first error of any of them."""
    errors = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_every_answer_to_many_clients_is_that_of_this_process(server, prepared):
    local = LocalClient(prepared[0])
    asked = questions(100)
    expected = [question(local) for question in asked]
    assert len({str(answer) for answer in expected}) > 50
    answers = {}

    def work(number):
        random = np.random.default_rng(number)
        order = random.integers(0, len(asked), REQUESTS_EACH)
        with RestClient(
            server.address, TEXTS, format=("row", "column")[number % 2], timeout=PATIENCE
        ) as client:
            answers[number] = [(at, asked[at](client)) for at in order]

    run_threads(CLIENTS, work)
    found = [answer for own in answers.values() for answer in own]
    assert len(found) == CLIENTS * REQUESTS_EACH
    assert [answer for _, answer in found] == [expected[at] for at, _ in found]


def test_new_versions_under_load_fail_no_request(server, prepared):
    expected = [LocalClient(version).recommend(100, 20) for version in prepared]
    assert len({str(answer) for answer in expected}) == 3
    stop, seen = threading.Event(), {number: [] for number in range(16)}

    def work(number):
        with RestClient(server.address, MOVING, retries=0, timeout=PATIENCE) as client:
            while not stop.is_set():
                seen[number].append(expected.index(client.recommend(100, 20)))

    def publish_both():
        try:
            for version in (1, 2):
                wait_for_all(seen, version - 1)
                publish(prepared[version], server.folder / MOVING)
                wait_for_all(seen, version)
        finally:
            stop.set()

    publisher = threading.Thread(target=publish_both)
    publisher.start()
    run_threads(len(seen), work)
    publisher.join()
    for own in seen.values():
        assert set(own) == {0, 1, 2}
        # Who has seen a new version never sees an old one again.
        assert own == sorted(own)
    states = ask(server.address, "GET", f"/v1/models/{MOVING}")[1]["model_version_status"]
    assert [(state["version"], state["state"]) for state in states] == [
        ("3", "AVAILABLE"),
        ("2", "END"),
        ("1", "END"),
    ]


def wait_for_all(seen, version, seconds=PATIENCE):
    """Wait until every client has had three answers of a version."""
    deadline = time.monotonic() + seconds
    while not all(own[-3:] == [version] * 3 for own in seen.values()):
        assert time.monotonic() < deadline, f"version {version} is not served"
        time.sleep(0.05)
