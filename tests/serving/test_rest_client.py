"""The REST client: against the embedded server, a server that misbehaves, and a real TensorFlow Serving.

The last is asked when ``TFZOO_TF_SERVING=host:port`` names its REST interface and
``TFZOO_TF_SERVING_MODEL=path/of/saved_models/NAME`` the folder that it serves under that name:

    docker run -p 8501:8501 -v $PWD/saved_models/NAME:/models/NAME -e MODEL_NAME=NAME tensorflow/serving
    TFZOO_TF_SERVING=localhost:8501 TFZOO_TF_SERVING_MODEL=saved_models/NAME pytest tests/serving
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tests.patience import PATIENCE
from tests.serving.served import ENVIRONMENT, LARGE, NUMBERS, TEXTS, export_numbers, export_texts, serving
from tfzoo.errors import TfzooError, UsageError
from tfzoo.serving.client import LocalClient
from tfzoo.serving.export import latest_version
from tfzoo.serving.interface import BLANK_NUMBER
from tfzoo.serving.rest_client import RestClient

FORMATS = ("row", "column")


@pytest.fixture(scope="module")
def folder(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rest")
    export_texts(toy, folder)
    export_numbers(toy, folder)
    return folder


@pytest.fixture(scope="module")
def address(folder):
    with serving(folder) as (address, _):
        yield address


@pytest.fixture(scope="module")
def local(folder):
    return {name: LocalClient(folder / name / "1") for name in (TEXTS, NUMBERS)}


@pytest.fixture(params=FORMATS)
def clients(request, address, local):
    """Return, for each model, the client of this format and the one in this process."""
    with contextlib.ExitStack() as stack:
        yield {
            name: (stack.enter_context(RestClient(address, name, format=request.param)), local[name])
            for name in local
        }


def test_every_question_is_answered_as_in_this_process(clients):
    remote, local = clients[TEXTS]
    for user in (100, "107", 303, 5):
        for k in (1, 4, 1000):
            assert remote.recommend(user, k, ["film-03", "no"]) == local.recommend(user, k, ["film-03", "no"])
        assert remote.recommend(user) == local.recommend(user)
    for history in ([], ["film-01"], ["film-07", "no such film", "film-01"], ["film-02"] * 50):
        assert remote.recommend_from_history(history) == local.recommend_from_history(history)
        among = (history, ["film-03", "film-04", ""], 2, ["film-03"])
        assert remote.recommend_among_from_history(*among) == local.recommend_among_from_history(*among)
    assert remote.recommend_among(100, []).item_ids == []
    pairs = ([100, 107, 5], ["film-01", "film-02", "nö"])
    np.testing.assert_array_equal(remote.score(*pairs), local.score(*pairs))


def test_whole_numbers_beyond_the_digits_of_float64(clients):
    remote, local = clients[NUMBERS]
    best = remote.recommend(100, 20)
    assert best == local.recommend(100, 20)
    assert set(best.item_ids) < set(LARGE.tolist())
    assert all(type(item) is int for item in best.item_ids)
    assert remote.recommend(100, 2, best.item_ids[:1]).item_ids == best.item_ids[1:3]
    assert remote.recommend_among(100, best.item_ids[3:5]).item_ids == best.item_ids[3:5]
    np.testing.assert_array_equal(remote.score([100] * 20, LARGE), local.score([100] * 20, LARGE))


def test_a_batch_of_ragged_rows(clients):
    remote, local = clients[TEXTS]
    inputs = {
        "history": [["film-01"], [], ["film-02", "film-09", "film-01"]],
        "k": np.array([2, 0, 30]),
        "exclude_ids": [[], ["film-03"], []],
    }
    found = remote.predict("recommend_from_history", inputs)
    expected = local.predict("recommend_from_history", inputs)
    assert {name: array.dtype for name, array in found.items()} == {
        "item_ids": np.object_,
        "scores": np.float32,
        "known_user": np.bool_,
    }
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])


def test_a_batch_of_empty_lists_of_items(clients):
    remote, _ = clients[TEXTS]
    answer = remote.predict("recommend", {"user_id": [1, 2], "k": [0, -1], "exclude_ids": [[], []]})
    assert answer["item_ids"].shape == answer["scores"].shape == (2, 0)


def test_ids_of_any_characters(clients):
    remote, local = clients[TEXTS]
    odd = ['"', "\\", "ä\u2028\U0001f600", "\0", " ", b"\xff", "{}", "film-01\n"]
    assert remote.recommend(100, 20, [*odd, "film-01"]) == local.recommend(100, 20, [*odd, "film-01"])


def test_what_the_client_refuses_by_itself(clients):
    texts, numbers = clients[TEXTS][0], clients[NUMBERS][0]
    with pytest.raises(UsageError, match=r"user ids of this data set are whole numbers"):
        texts.recommend("ann")
    with pytest.raises(UsageError, match=r"item ids of this data set are whole numbers"):
        numbers.recommend(100, exclude_ids=["film-01"])
    with pytest.raises(UsageError, match=rf"'{NUMBERS}' learns a vector for each user"):
        numbers.recommend_from_history([1])
    with pytest.raises(UsageError, match=r"without rows"):
        texts.score([], [])


def test_a_version(address):
    assert RestClient(address, TEXTS, 1).recommend(100, 1).known_user
    with pytest.raises(
        UsageError, match=r"versions/2/metadata answered 404: Cannot ask version 2.*1 is served"
    ):
        RestClient(address, TEXTS, 2)


def test_a_model_that_is_not_there(address):
    with pytest.raises(
        UsageError, match=r"answered 404: There is no model \"ease-toys\". Did you mean 'ease-toy'"
    ):
        RestClient(address, "ease-toys")
    with pytest.raises(UsageError, match=r"answered 404"):
        RestClient(address, "a/b c?")


@pytest.mark.parametrize(
    "wrong", ["", "ftp://host:1", "host:port", "http://", "http://host:1/v1", "host:1:2"]
)
def test_an_address_that_is_none(wrong):
    with pytest.raises(UsageError, match=r"A server's address is host:port"):
        RestClient(wrong, TEXTS)


def test_a_format_that_is_none(address):
    with pytest.raises(UsageError, match=r"'row' or 'column'. Received 'rows'"):
        RestClient(address, TEXTS, format="rows")


def test_it_needs_no_tensorflow(address):
    code = (
        "import sys; from tfzoo.serving.rest_client import RestClient\n"
        f"client = RestClient({address!r}, {TEXTS!r}, timeout={PATIENCE})\n"
        "print(client.recommend(100, 1).known_user, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        env=ENVIRONMENT,
    )
    assert done.stdout.split() == ["True", "False"]


def test_threads_share_a_client(address, local):
    client, answers = RestClient(address, TEXTS), {}

    def work(user):
        answers[user] = [client.recommend(user) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(user,)) for user in range(100, 170, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {user: [local[TEXTS].recommend(user)] * 5 for user in range(100, 170, 7)}


def tensors(**dtypes):
    """Describe tensors without the default values of the protocol buffer; * is for lists."""
    return {
        name: {
            "dtype": dtype.rstrip("*"),
            "tensor_shape": {"dim": [{"size": "-1"}] * (1 + dtype.endswith("*"))},
        }
        for name, dtype in dtypes.items()
    }


METADATA = {
    "metadata": {
        "signature_def": {
            "signature_def": {
                "__saved_model_init_op": {"outputs": {"op": {"dtype": "DT_INVALID"}}},
                "serving_default": {
                    "inputs": tensors(user_id="DT_INT64", item_id="DT_STRING"),
                    "outputs": tensors(rating="DT_FLOAT"),
                },
                "recommend": {
                    "inputs": tensors(user_id="DT_INT64", k="DT_INT32", exclude_ids="DT_INT64*"),
                    "outputs": tensors(item_ids="DT_INT64*", scores="DT_FLOAT*", known_user="DT_BOOL"),
                },
            }
        }
    }
}


class Scripted(BaseHTTPRequestHandler):
    """Answers predictions from a script: (status, body), the bytes of a broken answer, or seconds to wait."""

    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.connections += 1

    def do_GET(self):
        self._answer(200, json.dumps(METADATA).encode())

    def do_POST(self):
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        step = self.server.script.pop(0)
        if isinstance(step, float):
            self.server.waiting.wait(step)
            self.close_connection = True
        elif isinstance(step, bytes):
            self.wfile.write(step)
            self.close_connection = True
        else:
            self._answer(*step)

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def scripted():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    server.connections, server.bodies, server.script = 0, [], []
    server.waiting = threading.Event()
    server.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.waiting.set()
    server.shutdown()
    thread.join()
    server.server_close()


GOOD = (200, b'{"predictions": [1.5, 2e+06]}')
CUT_OFF = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"predictions"'


def test_one_connection_for_many_requests(scripted):
    scripted.script = [GOOD] * 5
    with RestClient(scripted.address, "m") as client:
        for _ in range(5):
            assert client.score([1, 2], ["a", "b"]).tolist() == [1.5, 2e6]
    assert scripted.connections == 1


@pytest.mark.parametrize("broken", [b"", CUT_OFF, b"SMTP ready\r\n"])
def test_a_broken_connection_is_tried_again(scripted, broken, monkeypatch):
    monkeypatch.setattr("tfzoo.serving.rest_client.FIRST_PAUSE", 0.001)
    scripted.script = [broken, broken, GOOD]
    client = RestClient(scripted.address, "m")
    assert client.score([1, 2], ["a", "b"]).tolist() == [1.5, 2e6]
    assert len(set(scripted.bodies)) == 1
    scripted.script = [broken, broken, broken, GOOD]
    with pytest.raises(TfzooError, match=r"127\.0\.0\.1:\d+ cannot be reached"):
        client.score([1, 2], ["a", "b"])
    assert len(scripted.bodies) == 6


def test_errors_of_the_server_are_not_tried_again(scripted):
    client = RestClient(scripted.address, "m")
    for status, kind in ((400, UsageError), (404, UsageError), (429, UsageError), (500, TfzooError)):
        scripted.script = [(status, b'{"error": "no such luck"}')]
        with pytest.raises(kind, match=rf"v1/models/m:predict answered {status}: no such luck"):
            client.score([1], ["a"])
    scripted.script = [(502, b"<html>bad gateway</html>")]
    with pytest.raises(TfzooError, match=r"answered 502: <html>bad gateway") as caught:
        client.score([1], ["a"])
    assert not isinstance(caught.value, UsageError)
    assert len(scripted.bodies) == 5


def test_a_late_answer_is_not_waited_for_twice(scripted, monkeypatch):
    client = RestClient(scripted.address, "m")
    scripted.script = [PATIENCE, GOOD]
    monkeypatch.setattr(client, "_timeout", 0.2)
    client._drop()
    with pytest.raises(TfzooError, match=r"did not answer within 0\.2 seconds"):
        client.score([1], ["a"])
    monkeypatch.setattr(client, "_timeout", PATIENCE)
    assert client.score([1, 2], ["a", "b"]).tolist() == [1.5, 2e6]
    assert len(scripted.bodies) == 2


@pytest.mark.parametrize("answer", [b"[]", b"<html>", b'{"predictions": ["a"]}', b'{"outputs": [1.0]}'])
def test_an_answer_that_cannot_be_read(scripted, answer):
    scripted.script = [(200, answer)]
    with pytest.raises(TfzooError, match=r"The answer of http.* cannot be read") as caught:
        RestClient(scripted.address, "m").score([1], ["a"])
    assert not isinstance(caught.value, UsageError)


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TfzooError, match=rf"http://127\.0\.0\.1:{port} cannot be reached: .*refused"):
        RestClient(f"127.0.0.1:{port}", "m", retries=0)


def test_a_server_of_something_else(scripted, monkeypatch):
    monkeypatch.setattr(Scripted, "do_GET", lambda self: self._answer(200, b"hello"))
    with pytest.raises(TfzooError, match=r"something other than JSON"):
        RestClient(scripted.address, "m")
    monkeypatch.setattr(Scripted, "do_GET", lambda self: self._answer(200, b'{"metadata": []}'))
    with pytest.raises(TfzooError, match=r"signatures cannot be read"):
        RestClient(scripted.address, "m")


def test_payloads_are_those_of_the_documentation(scripted):
    """The whole text of requests, as the documented formats want it, blanks in the first place."""
    answer = {"item_ids": [7, BLANK_NUMBER], "scores": [0.5, -1e9], "known_user": True}
    scripted.script = [(200, json.dumps({"predictions": [answer] * 2}).encode())]
    inputs = {"user_id": [2**63 - 1, 1], "k": [2, 1], "exclude_ids": [[5], []]}
    found = RestClient(scripted.address, "m").predict("recommend", inputs)
    blank = -9223372036854775808
    assert json.loads(scripted.bodies[0]) == {
        "signature_name": "recommend",
        "instances": [
            {"user_id": 9223372036854775807, "k": 2, "exclude_ids": [blank, 5]},
            {"user_id": 1, "k": 1, "exclude_ids": [blank, blank]},
        ],
    }
    assert found["item_ids"].tolist() == [[7, BLANK_NUMBER]] * 2
    columns = {
        "item_ids": [[7, 8], [9, 10]],
        "scores": [[3.0, 2.0], [1.0, -1e9]],
        "known_user": [True, False],
    }
    scripted.script = [(200, json.dumps({"outputs": columns}).encode())]
    RestClient(scripted.address, "m", format="column").predict("recommend", inputs)
    assert json.loads(scripted.bodies[1]) == {
        "signature_name": "recommend",
        "inputs": {
            "user_id": [9223372036854775807, 1],
            "k": [2, 1],
            "exclude_ids": [[blank, 5], [blank, blank]],
        },
    }


def test_rows_of_blanks_are_left_out_of_lists(scripted):
    answer = {"item_ids": [7, BLANK_NUMBER, 3], "scores": [0.5, -1e9, -1e9], "known_user": True}
    scripted.script = [(200, json.dumps({"predictions": [answer]}).encode())]
    found = RestClient(scripted.address, "m").recommend(1, 1)
    assert (found.item_ids, found.scores, found.known_user) == ([7], [0.5], True)


@pytest.mark.skipif(
    "TFZOO_TF_SERVING" not in os.environ,
    reason="needs a TensorFlow Serving; set TFZOO_TF_SERVING (see above)",
)
@pytest.mark.parametrize("format", FORMATS)
def test_a_real_tensorflow_serving(format):
    served = Path(os.environ["TFZOO_TF_SERVING_MODEL"])
    local = LocalClient(latest_version(served))
    ask_both(RestClient(os.environ["TFZOO_TF_SERVING"], served.name, format=format), local)


def ask_both(remote, local):
    """Compare answers about items that the model itself lists first for an unknown user."""
    unknown = "no such user" if local.signatures["recommend"].inputs["user_id"].dtype == "string" else -5
    popular = local.recommend(unknown, 30).item_ids
    assert len(popular) >= 10
    assert_same(remote.recommend(unknown, 30), local.recommend(unknown, 30))
    among = (unknown, popular[3:9], 4, popular[:4])
    assert_same(remote.recommend_among(*among), local.recommend_among(*among))
    pairs = ([unknown] * len(popular), popular)
    np.testing.assert_allclose(remote.score(*pairs), local.score(*pairs), atol=1e-5)
    if "recommend_from_history" in local.signatures:
        for size in range(5):
            history = popular[:size]
            assert_same(remote.recommend_from_history(history), local.recommend_from_history(history))


def assert_same(found, expected):
    assert found.item_ids == expected.item_ids
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    assert found.known_user == expected.known_user
