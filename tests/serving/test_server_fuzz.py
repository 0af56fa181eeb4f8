"""Random requests, good and bad, to the embedded server in a process of its own."""

import http.client
import json
import re
import threading

import numpy as np
import pytest

from tests.patience import PATIENCE
from tests.serving.served import NUMBERS, TEXTS, ServerProcess, ask, export_numbers, export_texts
from tfzoo.serving.client import LocalClient
from tfzoo.serving.rest_format import parse_answer, parse_request

USERS = [100, 107, 303, 5, -1, 2**62]
FILMS = [f"film-{item:02d}" for item in range(20)]
KS = [-(2**31), -1, 0, 1, 5, 20, 21, 10_000, 2**31 - 1]
INPUTS = {
    "serving_default": ("user_id", "item_id"),
    "recommend": ("user_id", "k", "exclude_ids"),
    "recommend_among": ("user_id", "k", "exclude_ids", "allow_ids"),
    "recommend_from_history": ("history", "k", "exclude_ids"),
    "recommend_among_from_history": ("history", "k", "exclude_ids", "allow_ids"),
}
# Values that no input has by its type; None marks those that some input may have.
WRONG = [None, True, 1.5, 1e3, {}, {"a": 1}, {"b64": 5}, 2**63, -(2**70)]


class Requests:
    """A stream of random requests, with the statuses that may answer them and what an error must say."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.kinds = [name for name in dir(self) if name.startswith("make_")]

    def next(self):
        kind = self.kinds[self.random.integers(len(self.kinds))]
        return (kind, *getattr(self, kind)())

    def pick(self, values):
        return values[self.random.integers(len(values))]

    def ids(self, most):
        pool = self.pick([FILMS, FILMS[:2], ["", "no such film", *FILMS], ["ä", "\0", '"']])
        return [self.pick(pool) for _ in range(self.random.integers(0, most + 1))]

    def history(self):
        return self.ids(20) if self.random.random() < 0.98 else [self.pick(FILMS) for _ in range(10_000)]

    def question(self):
        """Return a good request as a document, in row or column format, one row or several."""
        signature = self.pick(list(INPUTS))
        lists = {
            "history": self.history(),
            "exclude_ids": self.pick([[], FILMS, self.ids(20), self.ids(3)]),
            "allow_ids": self.pick([[], FILMS, self.ids(10)]),
        }
        row = {
            "user_id": int(self.pick(USERS)),
            "item_id": self.pick(["", "no such film", *FILMS]),
            "k": int(self.pick(KS)),
            **lists,
        }
        row = {name: row[name] for name in INPUTS[signature]}
        rows = [row] * int(self.pick([1, 1, 1, 3]))
        if self.random.random() < 0.5:
            return {"signature_name": signature, "instances": rows}
        return {"signature_name": signature, "inputs": {name: [row[name] for row in rows] for name in row}}

    def changed(self, change):
        """Return a good request after ``change(values)`` of one of its inputs, and the name of that."""
        document = self.question()
        name = self.pick(INPUTS[document["signature_name"]])
        if "inputs" in document:
            document["inputs"] = {**document["inputs"], name: change(document["inputs"][name])}
        else:
            # The first row of equal ones: the others are left as they are.
            (first, *others) = document["instances"]
            document["instances"] = [{**first, name: change([first[name]])[0]}, *others]
        return document, name

    def make_good(self):
        return self.post(self.question(), 200)

    def make_good_again(self):
        return self.post(self.question(), 200)

    def make_other_content_type(self):
        return (
            *self.post(self.question(), 200)[:3],
            200,
            "",
            {"Content-Type": self.pick(["text/html", "x", ""])},
        )

    def make_wrong_type(self):
        wrong = self.pick(WRONG)
        document, name = self.changed(lambda values: [wrong, *values[1:]])
        return self.post(document, 400, f"input '{name}'")

    def make_wrong_rank(self):
        wrap = self.pick([lambda values: [[value] for value in values], lambda values: [[[values]]]])
        document, name = self.changed(wrap)
        return self.post(document, 400, f"input '{name}'")

    def make_wrong_type_in_a_list(self):
        document = self.question()
        document["signature_name"] = "recommend"
        document.pop("inputs", None)
        films = [*FILMS[: self.random.integers(0, 5)], self.pick([1, True, None, [], ["a"]])]
        document["instances"] = [{"user_id": 1, "k": 1, "exclude_ids": films}]
        return self.post(document, 400, "input 'exclude_ids'")

    def make_ragged(self):
        lists = [self.ids(3), [*self.ids(3), "a", "a", "a", "a"]]
        inputs = {"user_id": [1, 2], "k": [1, 1], "exclude_ids": lists}
        if self.random.random() < 0.5:
            rows = [dict(zip(inputs, row, strict=True)) for row in zip(*inputs.values(), strict=True)]
            return self.post(
                {"signature_name": "recommend", "instances": rows}, 400, "input 'exclude_ids' is"
            )
        return self.post(
            {"signature_name": "recommend", "inputs": inputs}, 400, "input 'exclude_ids' is ragged"
        )

    def make_rows_that_differ(self):
        inputs = {"user_id": [1, 2], "k": [1], "exclude_ids": [[]]}
        return self.post({"signature_name": "recommend", "inputs": inputs}, 400, "'k' 1, 'user_id' 2")

    def make_missing_input(self):
        document = self.question()
        name = self.pick(INPUTS[document["signature_name"]])
        if "inputs" in document:
            del document["inputs"][name]
        else:
            document["instances"] = [
                {k: v for k, v in row.items() if k != name} for row in document["instances"]
            ]
        if name in ("k", "exclude_ids"):
            return self.post(document, 200)
        return self.post(document, 400, f"the input '{name}' is missing")

    def make_extra_input(self):
        document = self.question()
        name = self.pick(["users", "", "\ud800", "x" * 1000])
        for row in document["instances"] if "instances" in document else [document["inputs"]]:
            row[name] = [1]
        return self.post(document, 400, "there is no input")

    def make_wrong_signature(self):
        name = self.pick([5, None, [], "recommend ", "__saved_model_init_op", "x" * 1000])
        return self.post({**self.question(), "signature_name": name}, 400, "'signature_name'")

    def make_wrong_keys(self):
        document = self.question()
        both = {"instances": [], "inputs": [], **document}
        neither = {"signature_name": document["signature_name"]}
        return self.post(self.pick([both, neither, {}]), 400, "'instances' or the key 'inputs'")

    def make_wrong_instances(self):
        wrong = self.pick([None, 5, "a", {}, [], [1], [[]], [None], [{}, 5]])
        return self.post(
            {"signature_name": "recommend", "instances": wrong},
            400,
            "instances|input 'exclude_ids'|is missing",
        )

    def make_no_json(self):
        size = int(self.pick([0, 1, 10, 1000]))
        body = self.random.integers(0, 256, size).astype(np.uint8).tobytes()
        return self.post(body, 400, "JSON parse error|must be a JSON object")

    def make_cut_off(self):
        text = json.dumps(self.question()).encode()
        return self.post(text[: self.random.integers(0, len(text))], 400, "JSON parse error")

    def make_damaged(self):
        """Change one byte: the request may still be one."""
        text = bytearray(json.dumps(self.question()).encode())
        text[self.random.integers(len(text))] = self.random.integers(256)
        return self.post(bytes(text), (200, 400))

    def make_deep(self):
        depth = int(self.pick([300, 2000, 40_000]))
        opening, closing = self.pick([(b"[", b"]"), (b'{"a":', b"}")])
        value = opening * depth + b"1" + closing * depth
        start = self.pick([b'{"instances":', b'{"inputs":{"user_id":', b"", b'{"signature_name":'])
        return self.post(start + value[: self.pick([depth, len(value)])], 400)

    def make_huge_number(self):
        number = self.pick([b"9" * 10_000, b"-" + b"9" * 25, b"1e999", b"-1e400", b"1e308"])
        body = b'{"inputs":{"user_id":[%s],"item_id":["a"]}}' % number
        return self.post(body, 400, "input 'user_id'|too large for float64")

    def make_not_utf8(self):
        body = b'{"instances":[{"user_id":1,"item_id":"%s"}]}' % self.pick(
            [b"\xff", b"\xc3", b"\xed\xa0\x80"]
        )
        return self.post(body, 400, "not UTF-8")

    def make_surrogate(self):
        return self.post(b'{"inputs":{"user_id":[1],"item_id":["\\ud83d"]}}', 400, "input 'item_id'")

    def make_raw_nul(self):
        return self.post(b'{"inputs":{"user_id":[1],"item_id":["a\x00"]}}', 400, "JSON parse error")

    def make_too_large(self):
        return self.post(b" " * 500_001, 413, "500000 bytes")

    def make_too_many(self):
        many = {
            "signature_name": "serving_default",
            "inputs": {"user_id": [1] * 1001, "item_id": ["a"] * 1001},
        }
        return self.post(many, 400, "Input 'item_id' may have 1000 rows|Input 'user_id' may have 1000 rows")

    def make_wrong_path(self):
        paths = ["/", "/v1", "/v1/models/no:predict", f"/v1/models/{TEXTS}:predic", "/v1/models/%00:predict"]
        body = json.dumps(self.question()).encode()
        return "POST", self.pick(paths), body, (400, 404, 405), ".", {}

    def make_wrong_method(self):
        method = self.pick(["GET", "PUT", "DELETE", "PATCH"])
        return method, f"/v1/models/{TEXTS}:predict", b"", 400, "Malformed request", {}

    def make_wrong_model(self):
        """Ask the model with whole numbers about texts."""
        inputs = {"user_id": [1], "k": [1], "exclude_ids": [[self.pick(FILMS)]]}
        body = json.dumps({"signature_name": "recommend", "inputs": inputs}).encode()
        return (
            "POST",
            f"/v1/models/{NUMBERS}:predict",
            body,
            400,
            "input 'exclude_ids' must .* type int64",
            {},
        )

    def post(self, body, statuses, message=""):
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return "POST", f"/v1/models/{TEXTS}:predict", text, statuses, message, {}


@pytest.fixture(scope="module")
def folder(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    export_texts(toy, folder)
    export_numbers(toy, folder)
    return folder


@pytest.fixture(scope="module")
def local(folder):
    return LocalClient(folder / TEXTS / "1")


@pytest.fixture
def server(folder, tmp_path):
    server = ServerProcess(folder, tmp_path / "log", "--max-body-bytes", "500000", "--poll-seconds", "0")
    yield server
    server.stop()


def check(address, local, seed, count, found):
    """Send random requests over one connection, and compare good answers with those of this process."""
    requests = Requests(seed)
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    for _ in range(count):
        kind, method, path, body, statuses, message, headers = requests.next()
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        seen = (kind, body[:300], response.status, answer[:300])
        assert response.status in (statuses if isinstance(statuses, tuple) else (statuses,)), seen
        assert response.getheader("content-type") == "application/json", seen
        found.append((kind, response.status))
        if response.status == 200:
            assert_same(body, answer, local)
        else:
            error = json.loads(answer)
            assert list(error) == ["error"], seen
            assert re.search(message, error["error"]), seen
            assert 0 < len(error["error"]) < 1000, seen
            assert "Traceback" not in error["error"], seen


def assert_same(body, answer, local):
    asked = parse_request(body, local.signatures)
    found = parse_answer(answer, local.signatures[asked.signature], row=asked.row)
    for name, expected in local._run(asked.signature, asked.inputs).items():
        np.testing.assert_array_equal(found[name], expected)


def storm(server, local, count):
    found, errors = [], []

    def work(seed):
        try:
            check(server.address, local, seed, count // 4, found)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    assert len(found) == count
    kinds = {kind for kind, _ in found}
    assert kinds == set(Requests(0).kinds)
    assert {status for kind, status in found if kind == "make_damaged"} == {200, 400}
    assert server.process.poll() is None
    assert ask(server.address, "GET", "/healthz") == (200, {"status": "ok"})
    assert server.stop() == 0
    assert "Traceback" not in server.text()


def test_two_thousand_requests(server, local):
    storm(server, local, 2_000)


@pytest.mark.slow
def test_ten_thousand_requests(server, local):
    storm(server, local, 10_000)
