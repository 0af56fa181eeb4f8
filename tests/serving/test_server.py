"""The embedded server: TensorFlow Serving's paths, bodies and status codes, limits, and new versions."""

import contextlib
import json
import re
import shutil
import socket
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.served import (
    NUMBERS,
    TEXTS,
    ask,
    export_numbers,
    export_texts,
    predict,
    publish,
    serving,
    wait_until,
)
from tfzoo.errors import UsageError
from tfzoo.serving.client import LocalClient
from tfzoo.serving.model_store import ModelStore, Version
from tfzoo.serving.rest_client import RestClient
from tfzoo.serving.server import Limits

MODEL = f"/v1/models/{TEXTS}"
QUESTION = {"signature_name": "recommend", "instances": [{"user_id": 100, "k": 2, "exclude_ids": []}]}


@pytest.fixture(scope="module")
def exports(toy, tmp_path_factory):
    """Return a folder with one version of each model, and a second version of one beside it."""
    folder = tmp_path_factory.mktemp("exports")
    export_numbers(toy, folder / "first")
    return export_texts(toy, folder / "first", 1), export_texts(toy, folder / "second", 2)


@pytest.fixture(scope="module")
def address(exports):
    limits = Limits(max_body_bytes=20_000, timeout=0.6, max_rows=5, max_elements=1000, threads=2)
    with serving(exports[0].parents[1], limits=limits) as (address, _):
        yield address


@pytest.fixture
def folder(exports, tmp_path):
    """Return a folder with version 1 of one model, for tests that change it."""
    shutil.copytree(exports[0], tmp_path / TEXTS / "1")
    return tmp_path


def best(address):
    return RestClient(address, TEXTS).recommend(100, 20)


def states(address):
    found = ask(address, "GET", MODEL)[1]["model_version_status"]
    return {state["version"]: (state["state"], state["status"]["error_message"]) for state in found}


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
        ("GET", "/v1/models", 404, 'Malformed request: GET "/v1/models"'),
        ("GET", "/v1/models/", 404, "Malformed request: GET"),
        ("GET", "/v1/models/a/b", 404, "Malformed request"),
        ("GET", f"{MODEL}/versions/x", 404, "Malformed request"),
        ("GET", f"{MODEL}/versions/{'9' * 30}", 404, "Malformed request"),
        ("GET", "/v1/models/%00%FF%0A", 404, "no model"),
        ("GET", "/v1/models/..%2F..%2Fetc", 404, "Malformed request"),
        ("GET", f"/v1/models/{'x' * 3000}", 404, "no model"),
        ("GET", "/v1/models/ease-tox", 404, "no model \"ease-tox\". Did you mean 'ease-toy'"),
        ("GET", f"{MODEL}/versions/2", 404, "no version 2 of model 'ease-toy'"),
        ("GET", f"{MODEL}/versions/2/metadata", 404, "Cannot ask version 2 .* version 1 is served"),
        ("POST", f"{MODEL}/versions/2:predict", 404, "Cannot ask version 2"),
        ("GET", f"{MODEL}/labels/stable", 400, "no version labels"),
        ("POST", f"{MODEL}/labels/stable:predict", 400, "no version labels"),
        ("POST", f"{MODEL}:classify", 400, "answers ':predict', not \":classify\""),
        ("POST", f"{MODEL}:regress", 400, "answers ':predict'"),
        ("GET", f"{MODEL}:predict", 405, "takes POST"),
        ("POST", MODEL, 405, "takes GET"),
        ("POST", f"{MODEL}/metadata", 405, "takes GET"),
        ("PUT", f"{MODEL}:predict", 405, "Method Not Allowed"),
        ("DELETE", MODEL, 405, "Method Not Allowed"),
        ("POST", "/healthz", 405, "Method Not Allowed"),
    ],
)
def test_paths_and_methods_that_are_refused(address, method, path, status, message):
    found, answer = ask(address, method, path, b"{}")
    assert found == status
    assert list(answer) == ["error"]
    assert re.search(message, answer["error"])
    assert len(answer["error"]) < 300


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "document is empty"),
        (b"hello", "JSON parse error"),
        (b"[" * 10_000, "nested too deeply"),
        ({}, "'instances' or the key 'inputs'"),
        ({**QUESTION, "signature_name": "recomend"}, "'signature_name'.*Did you mean 'recommend"),
        ({"signature_name": "__saved_model_init_op", "inputs": {}}, "'signature_name'"),
        ({**QUESTION, "instances": [{"user_id": 100, "k": 2}]}, "input 'exclude_ids' is missing"),
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


def raw(address, text, patience=10.0):
    """Send bytes as they are and return the answer up to the end of the connection."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=patience) as connection:
        connection.sendall(text)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                answer += part
                if b"}" in part:
                    break
    return answer


def test_a_slow_body_is_given_up(address):
    head = f"POST {MODEL}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode()
    start = time.monotonic()
    answer = raw(address, head + b'{"instances"')
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'{"error": "The body of the request is late."}' in answer
    assert 0.5 < time.monotonic() - start < 5


def test_a_body_that_ends_early_harms_nobody(address):
    host, port = address.split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(
                f"POST {MODEL}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{".encode()
            )
    assert predict(address, QUESTION)[0] == 200


@pytest.mark.parametrize("text", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01"])
def test_what_is_no_http(address, text):
    answer = raw(address, text + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Traceback" not in answer
    assert predict(address, QUESTION)[0] == 200


@contextlib.contextmanager
def held(monkeypatch):
    """Let every prediction wait until the block ends; yields how many are at work."""
    go, at_work, honest = threading.Event(), [], Version.predict

    def wait(self, signature, inputs):
        at_work.append(signature)
        go.wait(30)
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


def test_waiting_requests_that_are_too_many(folder, monkeypatch):
    with serving(folder, limits=Limits(max_concurrency=4, threads=2)) as (address, _):
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


def test_a_late_answer(folder, monkeypatch):
    with (
        serving(folder, limits=Limits(timeout=0.3, threads=1)) as (address, _),
        held(monkeypatch),
    ):
        assert predict(address, QUESTION) == (504, {"error": "The answer is late."})


def test_failures_are_told_to_the_log_alone(folder, monkeypatch, caplog):
    with serving(folder) as (address, _):

        def fail(*args):
            raise RuntimeError("secret")

        monkeypatch.setattr(Version, "predict", fail)
        status, answer = predict(address, QUESTION)
        assert (status, answer) == (500, {"error": "The server failed to answer; its log has the reason."})
        wait_until(lambda: "RuntimeError: secret" in caplog.text)
        monkeypatch.undo()
        assert predict(address, QUESTION)[0] == 200


def test_outputs_come_in_the_order_of_their_names(exports, monkeypatch):
    version = Version(TEXTS, 1, exports[0])
    outputs = {name: tf.constant([1]) for name in ("scores", "known_user", "item_ids")}
    loaded = SimpleNamespace(signatures={"recommend": lambda **inputs: outputs})
    monkeypatch.setattr(version, "_loaded", loaded)
    inputs = {"user_id": [100], "k": [2], "exclude_ids": [[""]]}
    assert list(version.predict("recommend", inputs)) == ["item_ids", "known_user", "scores"]


def test_a_graph_that_refuses_its_inputs(folder, monkeypatch):
    with serving(folder) as (address, _):
        monkeypatch.setattr("tfzoo.serving.server._Api._check_size", lambda self, request: None)
        columns = {"user_id": [1, 2], "k": [1], "exclude_ids": [[], []]}
        status, answer = predict(address, {"signature_name": "recommend", "inputs": columns})
        assert status == 400
        assert answer["error"] == "The model refuses the inputs of 'recommend': exclude_ids, k, user_id."


def test_a_new_version_takes_over(folder, exports):
    old, new = (LocalClient(export).recommend(100, 20) for export in exports)
    assert old != new
    lines = []
    with serving(folder, poll_seconds=0.05, report=lines.append) as (address, _):
        assert best(address) == old
        assert publish(exports[1], folder / TEXTS).name == "2"
        wait_until(lambda: states(address).get("2") == ("AVAILABLE", ""))
        assert best(address) == new
        assert states(address) == {"2": ("AVAILABLE", ""), "1": ("END", "")}
        assert ask(address, "GET", f"{MODEL}/metadata")[1]["model_spec"]["version"] == "2"
        assert ask(address, "POST", f"{MODEL}/versions/1:predict", b"{}")[0] == 404
        shutil.rmtree(folder / TEXTS / "2")
        wait_until(lambda: states(address).get("1") == ("AVAILABLE", ""))
        assert best(address) == old
        shutil.rmtree(folder / TEXTS)
        time.sleep(0.3)
        assert best(address) == old
    assert lines[0].startswith(f"Model '{TEXTS}': version 1 is served (")
    assert "warm-up requests" in lines[1]


def test_the_largest_number_is_served_whatever_else_lies_there(folder, exports):
    shutil.copytree(exports[1], folder / TEXTS / "10")
    for name in (".export-abc", "11.tmp", "latest", "²", "-12", "1e2", "9" * 19):
        shutil.copytree(exports[0], folder / TEXTS / name)
    (folder / TEXTS / "99").write_text("a file")
    (folder / "models.config").write_text("")
    (folder / ".hidden" / "1").mkdir(parents=True)
    (folder / "empty").mkdir()
    with serving(folder) as (address, store):
        assert set(store.models) == {TEXTS}
        assert states(address) == {"10": ("AVAILABLE", "")}
        assert best(address) == LocalClient(exports[1]).recommend(100, 20)


def test_a_broken_version_is_reported_and_the_one_before_answers(folder, exports):
    broken = folder / TEXTS / "2"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"\xff\xff no protocol buffer")
    lines = []
    with serving(folder, poll_seconds=0.05, report=lines.append) as (address, _):
        assert best(address) == LocalClient(exports[0]).recommend(100, 20)
        found = states(address)
        assert found["1"] == ("AVAILABLE", "")
        assert found["2"][0] == "END"
        assert found["2"][1]
        time.sleep(0.3)
        assert sum("version 2 is broken and not served" in line for line in lines) == 1
        # A copy that was not finished when it was first read.
        shutil.copytree(exports[1], broken, dirs_exist_ok=True)
        wait_until(lambda: states(address).get("2") == ("AVAILABLE", ""))
        assert best(address) == LocalClient(exports[1]).recommend(100, 20)


def test_a_version_whose_warm_up_fails_is_broken(folder, exports):
    shutil.copytree(exports[1], folder / TEXTS / "2")
    (folder / TEXTS / "2/assets.extra/tf_serving_warmup_requests").write_bytes(b"no records" * 10)
    with serving(folder) as (address, _):
        assert {version: state for version, (state, _) in states(address).items()} == {
            "1": "AVAILABLE",
            "2": "END",
        }


def test_an_export_without_warm_up_is_served(folder):
    (folder / TEXTS / "1/assets.extra/tf_serving_warmup_requests").unlink()
    with serving(folder) as (address, _):
        assert predict(address, QUESTION)[0] == 200


def test_exports_for_other_runtimes_are_passed_over(folder):
    (folder / f"{TEXTS}-onnx" / "1").mkdir(parents=True)
    (folder / f"{TEXTS}-onnx" / "1" / "tfzoo.json").write_text("{}", encoding="utf-8")
    with serving(folder) as (address, _):
        assert ask(address, "GET", "/healthz")[0] == 200
        assert ask(address, "GET", f"/v1/models/{TEXTS}-onnx")[0] == 404


def test_health_tells_of_models_without_a_version(folder):
    (folder / "other" / "1").mkdir(parents=True)
    with serving(folder) as (address, _):
        assert ask(address, "GET", "/healthz") == (503, {"error": "No version is served of other."})
        status, answer = ask(address, "POST", "/v1/models/other:predict", b"{}")
        assert (status, answer["error"]) == (404, "Cannot ask any version of model 'other': none is served.")


def test_models_that_come_later_and_models_that_were_named(folder, exports):
    with (
        serving(folder, poll_seconds=0.05) as (open_address, _),
        serving(folder, poll_seconds=0.05, names=[TEXTS]) as (named_address, _),
    ):
        shutil.copytree(exports[0].parents[1] / NUMBERS, folder / NUMBERS)
        wait_until(lambda: predict(open_address, {**QUESTION}, NUMBERS)[0] == 200)
        assert ask(named_address, "GET", f"/v1/models/{NUMBERS}")[0] == 404


def test_a_folder_without_models(folder, tmp_path):
    def refresh(where, names=()):
        ModelStore(where, names, print).refresh()

    for empty in (tmp_path / "no", tmp_path / TEXTS / "1"):
        with pytest.raises(UsageError, match=r"There is no exported model in .*: expected MODEL/VERSION"):
            refresh(empty)
    with pytest.raises(UsageError, match=r"This is the folder of one model: name the one above"):
        refresh(tmp_path / TEXTS)
    with pytest.raises(UsageError, match=r"no model 'ease' in .*Did you mean 'ease-toy'"):
        refresh(folder, ["ease"])
