"""The embedded server: TensorFlow Serving's paths, bodies and status codes, and limits."""

import contextlib
import json
import re
import threading

import numpy as np
import pytest

from tests.patience import PATIENCE
from tests.serving.listening import connect, read_answer, wait_until
from tests.serving.served import TEXTS, ask, predict, serving
from tfzoo.serving.client import LocalClient
from tfzoo.serving.limits import Limits
from tfzoo.serving.served_model import Version

MODEL = f"/v1/models/{TEXTS}"
QUESTION = {"signature_name": "recommend", "instances": [{"user_id": 100, "k": 2, "exclude_ids": []}]}


@pytest.fixture(scope="module")
def address(exports):
    limits = Limits(
        max_body_bytes=20_000, timeout=PATIENCE, max_rows=5, max_elements=1000, max_outputs=80, threads=2
    )
    with serving(exports[0].parents[1], limits=limits) as (address, _):
        yield address


def test_status(address):
    expected = {
        "model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }
    assert ask(address, "GET", MODEL) == (200, expected)
    assert ask(address, "GET", f"{MODEL}/versions/1") == (200, expected)
    assert ask(address, "GET", f"{MODEL}/versions/01") == (200, expected)
    assert ask(address, "GET", "/healthz") == (200, {"status": "ok"})


def test_metadata(address):
    status, answer = ask(address, "GET", f"{MODEL}/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": TEXTS, "signature_name": "", "version": "1"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    k = signatures["recommend"]["inputs"]["k"]
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    assert k == {"dtype": "DT_INT32", "tensor_shape": shape, "name": "recommend_k:0"}
    assert signatures["recommend"]["method_name"] == "tensorflow/serving/predict"
    assert signatures["recommend_from_history"]["outputs"]["scores"]["dtype"] == "DT_FLOAT"
    assert ask(address, "GET", f"{MODEL}/versions/1/metadata") == (200, answer)


def test_predictions_by_row_and_by_column(address, exports):
    expected = LocalClient(exports[0]).recommend(100, 2)
    scores = [float(str(np.float32(score))) for score in expected.scores]
    row = {"item_ids": expected.item_ids, "scores": scores, "known_user": True}
    assert predict(address, QUESTION) == (200, {"predictions": [row]})
    columns = {"user_id": [100], "k": [2], "exclude_ids": [[]]}
    assert predict(address, {"signature_name": "recommend", "inputs": columns}) == (
        200,
        {"outputs": {name: [value] for name, value in row.items()}},
    )
    status, answer = predict(address, {"instances": [{"user_id": 100, "item_id": "film-01"}]})
    assert status == 200
    assert list(answer) == ["predictions"]
    assert type(answer["predictions"][0]) is float
    assert predict(address, {"inputs": {"user_id": [100], "item_id": ["film-01"]}}) == (
        200,
        {"outputs": answer["predictions"]},
    )


def test_predictions_of_a_version_and_any_content_type(address):
    body = json.dumps(QUESTION)
    expected = predict(address, QUESTION)
    for path in (f"{MODEL}:predict", f"{MODEL}/versions/1:predict", f"{MODEL}:predict?pretty"):
        for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
            assert ask(address, "POST", path, body, {"Content-Type": kind}) == expected


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/", 404, "Not Found"),
        ("GET", "/healthz/", 404, "Not Found"),
        ("GET", "/v1", 404, "Not Found"),
        ("POST", "/v2/models/a:predict", 404, "Not Found"),
        # What TensorFlow Serving answers to the same.
        ("GET", "/v1/models", 400, "Missing model name"),
        ("POST", "/v1/models", 400, 'Malformed request: POST "/v1/models"'),
        ("GET", "/v1/models/a/b", 400, "Malformed request"),
        ("GET", f"{MODEL}/versions/x", 400, "Malformed request"),
        ("GET", f"{MODEL}/versions/{'9' * 30}", 400, "no number of 64 bits"),
        ("GET", f"{MODEL}:predict", 400, "Malformed request: GET"),
        ("POST", MODEL, 400, "Malformed request: POST"),
        ("POST", f"{MODEL}/metadata", 400, "Malformed request"),
        ("PUT", f"{MODEL}:predict", 400, "Malformed request: PUT"),
        ("DELETE", MODEL, 400, "Malformed request: DELETE"),
        ("OPTIONS", MODEL, 400, "Malformed request"),
        ("PROPFIND", MODEL, 400, "Malformed request"),
        ("GET", "/v1/models/%00%FF%0A", 404, "no model"),
        ("GET", "/v1/models/..%2F..%2Fetc", 404, "no model"),
        ("GET", f"/v1/models/{'x' * 3000}", 404, "no model"),
        ("GET", "/v1/models/ease-tox", 404, "no model \"ease-tox\". Did you mean 'ease-toy'"),
        ("GET", "/v1/models/EASE-TOY", 404, "no model \"EASE-TOY\". Did you mean 'ease-toy'"),
        ("GET", f"{MODEL}/versions/2", 404, "no version 2 of model 'ease-toy'"),
        ("GET", f"{MODEL}/versions/2/metadata", 404, "Cannot ask version 2 .* version 1 is served"),
        ("POST", f"{MODEL}/versions/2:predict", 404, "Cannot ask version 2"),
        # What this server cannot do.
        ("GET", f"{MODEL}/labels/stable", 400, "no version labels"),
        ("POST", f"{MODEL}/labels/stable:predict", 400, "no version labels"),
        ("POST", f"{MODEL}:classify", 400, "answers ':predict', not ':classify'"),
        ("POST", f"{MODEL}:regress", 400, "answers ':predict'"),
        ("POST", "/healthz", 405, "Method Not Allowed"),
    ],
)
def test_paths_and_methods_that_are_refused(address, method, path, status, message):
    found, answer = ask(address, method, path, b"{}")
    assert found == status
    assert list(answer) == ["error"]
    assert re.search(message, answer["error"])
    assert len(answer["error"]) < 400


@pytest.mark.parametrize("path", [f"/V1/MODELS/{TEXTS}", f"/v1/models/{TEXTS.replace('-', '%2D')}"])
def test_other_spellings_of_a_path(address, path):
    assert ask(address, "GET", path) == ask(address, "GET", MODEL)
    assert predict(address, QUESTION) == ask(address, "POST", f"{path}:predict", json.dumps(QUESTION))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "document is empty"),
        (b"hello", "JSON parse error"),
        (b"[" * 10_000, "nested too deeply"),
        ({}, "'instances' or the key 'inputs'"),
        ({**QUESTION, "signature_name": "recomend"}, "'signature_name'.*Did you mean 'recommend"),
        ({"signature_name": "__saved_model_init_op", "inputs": {}}, "'signature_name'"),
        ({**QUESTION, "instances": [{"k": 2, "exclude_ids": []}]}, "input 'user_id' is missing"),
        ({**QUESTION, "instances": [{"user_id": "a", "k": 2, "exclude_ids": []}]}, "input 'user_id'.*int64"),
        ({**QUESTION, "instances": [{"user_id": 1, "k": 2.0, "exclude_ids": []}]}, "input 'k'.*int32"),
        ({**QUESTION, "instances": [{"user_id": 1, "k": 2, "exclude_ids": "a"}]}, "input 'exclude_ids'"),
        (
            {"signature_name": "recommend", "inputs": {"user_id": [1, 2], "k": [1], "exclude_ids": [[], []]}},
            "same number of rows. Received 'exclude_ids' 2, 'k' 1, 'user_id' 2",
        ),
        ({**QUESTION, "instances": QUESTION["instances"] * 6}, "Input '.*' may have 5 rows. Received 6"),
        (
            {**QUESTION, "instances": [{"user_id": 1, "k": 2, "exclude_ids": ["a"] * 999}]},
            "1000 elements. Received 1001, most of them in 'exclude_ids'",
        ),
        (
            {**QUESTION, "instances": [{"user_id": 1, "k": 10**9, "exclude_ids": []}] * 5},
            "may list 80 items. 5 rows of 20 are 100: ask for fewer rows or a smaller 'k'",
        ),
    ],
)
def test_bodies_that_are_refused(address, body, message):
    status, answer = predict(address, body)
    assert status == 400
    assert list(answer) == ["error"]
    assert re.search(message, answer["error"])


def test_k_is_capped_by_the_number_of_items(address):
    def lengths(k):
        status, answer = predict(address, {**QUESTION, "instances": [{**QUESTION["instances"][0], "k": k}]})
        assert status == 200
        return len(answer["predictions"][0]["item_ids"])

    assert [lengths(k) for k in (-(2**31), -1, 0, 1, 20, 21, 2**31 - 1)] == [0, 0, 0, 1, 20, 20, 20]


def test_a_body_that_is_too_large(address):
    large = b"[" + b"1," * 15_000 + b"1]"
    assert predict(address, large) == (413, {"error": "The body of a request may have 20000 bytes."})
    # Sent in chunks, without a Content-Length: the size shows itself while reading.
    parts = iter([b"[" * 9_000] * 4)
    assert ask(address, "POST", f"{MODEL}:predict", parts) == (
        413,
        {"error": "The body of a request may have 20000 bytes."},
    )
    assert predict(address, QUESTION)[0] == 200


def test_a_chunked_body_is_read(address):
    text = json.dumps(QUESTION).encode()
    parts = iter([text[:10], text[10:]])
    assert ask(address, "POST", f"{MODEL}:predict", parts) == predict(address, QUESTION)


def test_a_compressed_body_is_refused(address):
    status, answer = ask(address, "POST", f"{MODEL}:predict", b"x", {"Content-Encoding": "gzip"})
    assert (status, answer["error"]) == (
        415,
        "The header Content-Encoding must be 'identity' or missing.",
    )


def test_k_and_exclude_ids_may_be_left_out(address):
    def answer(row, signature="recommend"):
        status, answer = predict(address, {"signature_name": signature, "instances": [row]})
        assert status == 200
        return answer["predictions"]

    full = {"user_id": 100, "k": 10, "exclude_ids": []}
    assert len(answer(full)[0]["item_ids"]) == 10
    for left_out in ("k", "exclude_ids"):
        assert answer({name: full[name] for name in full if name != left_out}) == answer(full)
    assert answer({"user_id": 100}) == answer(full)
    history = {"history": ["film-01", "film-02"]}
    among = {"allow_ids": ["film-03", "film-04"]}
    for signature, row in (
        ("recommend_among", {"user_id": 100, **among}),
        ("recommend_from_history", history),
        ("recommend_among_from_history", {**history, **among}),
    ):
        assert answer(row, signature) == answer({**row, "k": 10, "exclude_ids": []}, signature)


def test_rows_may_differ_in_what_they_leave_out(address):
    rows = [{"user_id": 100, "exclude_ids": ["film-01", "film-02"]}, {"user_id": 107, "k": 3}]
    document = {"signature_name": "recommend", "instances": rows}
    status, answer = predict(address, document)
    assert status == 200
    first, second = answer["predictions"]
    alone = [
        predict(address, {**document, "instances": [row]})[1]["predictions"][0]["item_ids"] for row in rows
    ]
    assert [first["item_ids"], second["item_ids"]] == [alone[0], alone[1] + [""] * 7]
    assert not {"film-01", "film-02"} & {*first["item_ids"]}


def head(length, more=""):
    return f"POST {MODEL}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{more}\r\n".encode()


def port_of(address):
    return int(address.split(":")[1])


def test_a_body_that_ends_early_harms_nobody(address):
    for _ in range(20):
        with connect(port_of(address)) as connection:
            connection.sendall(head(9) + b"{")
    assert predict(address, QUESTION)[0] == 200


def test_a_connection_that_is_to_be_closed_is_answered_first(address):
    text = json.dumps(QUESTION).encode()
    with connect(port_of(address)) as connection:
        connection.sendall(head(len(text), "Connection: close\r\n") + text)
        answered, body = read_answer(connection)
        assert answered.startswith("HTTP/1.1 200 ")
        assert json.loads(body) == predict(address, QUESTION)[1]
        assert connection.recv(1) == b""


def test_a_client_that_asks_first_whether_to_go_on(address):
    text = json.dumps(QUESTION).encode()
    with connect(port_of(address)) as connection:
        connection.sendall(head(len(text), "Expect: 100-continue\r\n"))
        assert connection.recv(21) == b"HTTP/1.1 100 Continue"
        while connection.recv(1) != b"\n" or connection.recv(2) != b"\r\n":
            continue
        connection.sendall(text)
        assert read_answer(connection)[0].startswith("HTTP/1.1 200 ")
    with connect(port_of(address)) as connection:
        connection.sendall(head(10**12, "Expect: 100-continue\r\n"))
        assert read_answer(connection)[0].startswith("HTTP/1.1 413 ")


@contextlib.contextmanager
def held(monkeypatch):
    """Let every prediction wait until the block ends; yields how many are at work."""
    go, at_work, honest = threading.Event(), [], Version.predict

    def wait(self, signature, inputs):
        at_work.append(signature)
        go.wait(PATIENCE)
        return honest(self, signature, inputs)

    monkeypatch.setattr(Version, "predict", wait)
    try:
        yield at_work
    finally:
        go.set()


def in_threads(count, work):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def test_waiting_requests_that_are_too_many(served_folder, monkeypatch):
    with serving(served_folder, limits=Limits(timeout=PATIENCE, max_concurrency=4, threads=2)) as (
        address,
        _,
    ):
        answers = []
        with held(monkeypatch) as at_work:
            threads = in_threads(10, lambda: answers.append(predict(address, QUESTION)))
            wait_until(lambda: len(answers) == 6)
            assert answers == [(503, {"error": "Too many requests are waiting; ask again later."})] * 6
            assert len(at_work) <= 2
            # The event loop is free all the while.
            assert ask(address, "GET", MODEL)[0] == 200
        for thread in threads:
            thread.join()
        assert [status for status, _ in answers[6:]] == [200] * 4
        assert predict(address, QUESTION)[0] == 200


def test_a_late_answer(served_folder, monkeypatch):
    with (
        serving(served_folder, limits=Limits(timeout=0.3, threads=1)) as (address, _),
        held(monkeypatch),
    ):
        assert predict(address, QUESTION) == (504, {"error": "The answer is late."})


def test_requests_whose_clients_have_gone_are_not_worked_on(served_folder, monkeypatch):
    text = json.dumps(QUESTION).encode()
    with serving(served_folder, limits=Limits(timeout=PATIENCE, threads=1)) as (address, _):
        with held(monkeypatch) as at_work:
            first = in_threads(1, lambda: predict(address, QUESTION))
            wait_until(lambda: at_work)
            for _ in range(5):
                with connect(port_of(address)) as connection:
                    connection.sendall(head(len(text)) + text)
            # What comes after them is answered, and they are not.
            last = in_threads(1, lambda: predict(address, {"instances": [{"user_id": 1, "item_id": "a"}]}))
            assert ask(address, "GET", MODEL)[0] == 200
        for thread in (*first, *last):
            thread.join()
        assert at_work == ["recommend", "serving_default"]


def test_failures_are_told_to_the_log_alone(served_folder, monkeypatch, caplog):
    with serving(served_folder) as (address, _):

        def fail(*args):
            raise RuntimeError("secret")

        monkeypatch.setattr(Version, "predict", fail)
        status, answer = predict(address, QUESTION)
        assert (status, answer) == (500, {"error": "The server failed to answer; its log has the reason."})
        wait_until(lambda: "RuntimeError: secret" in caplog.text)
        monkeypatch.undo()
        assert predict(address, QUESTION)[0] == 200


def test_a_graph_that_refuses_its_inputs(served_folder, monkeypatch):
    with serving(served_folder) as (address, _):
        monkeypatch.setattr(Limits, "check_request", lambda *arguments: None)
        columns = {"user_id": [1, 2], "k": [1], "exclude_ids": [[], []]}
        status, answer = predict(address, {"signature_name": "recommend", "inputs": columns})
        assert status == 400
        assert answer["error"] == "The model refuses the inputs of 'recommend': exclude_ids, k, user_id."
