"""Exported models, asked by a C++ program as TensorFlow Serving asks them: the answers are those of Keras."""

import json
import re
from collections import Counter
from itertools import count

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import serving_latency
from tests.serving.cpp_replay import (
    measure,
    read_records,
    replay,
    run,
    write_records,
)
from tests.serving.fuzz import Fuzzer
from tests.serving.keras_truth import ID_TYPES, RANKING_MODELS, UNTRAINED
from tests.serving.questions import BLANK, UNKNOWN, Row, check_answer, tensors
from tests.zoo import sampled
from tfzoo.serving.index import INDEXES
from tfzoo.serving.warmup import WARMUP_FILE, prediction_log

ALL = tuple(range(1, 21))
# Item 6 is not in the training part.
ROWS = (
    Row(user=1, item=20, history=(8, UNKNOWN, 4), k=4, exclude=(2,), allow=(3, 10, 1, 3, BLANK, UNKNOWN, 12)),
    Row(user=UNKNOWN, item=1, history=(), k=2, exclude=(3,), allow=(4, 6, 2)),
    Row(user=30, item=UNKNOWN, history=(6, 9, 9), k=0, exclude=(1, 2, 3)),
    Row(user=2, item=6, history=(1, 2, 3, 4, 5), k=1000, allow=ALL),
    Row(user=3, item=4, history=(5,), k=3, exclude=ALL, allow=(7, 8)),
    Row(user=4, item=5, history=(UNKNOWN, BLANK), k=-7, exclude=(BLANK, UNKNOWN), allow=(9, 10)),
)

pytestmark = pytest.mark.slow
A, B, C, D, E, F = ROWS
BATCHES = [*([row] for row in ROWS), [A, B, C], [D, E, F], [F, C, B], []]


def good_requests(one):
    """Return (signature, rows, record) for every signature of an export."""
    return [
        (name, rows, prediction_log(name, inputs).SerializeToString())
        for name, signature in one.signatures().items()
        for rows in BATCHES
        for inputs in [tensors(list(signature.inputs), rows, one.train)]
    ]


@pytest.fixture(scope="module")
def replayed(served_models, served_by_id_types, served_with_index):
    """Ask every export everything, in one process; the warm-up requests, which the export has, come first."""
    exports = [*served_models.values(), *served_by_id_types.values(), *served_with_index.values()]
    warm_up = [read_records(one.version / "assets.extra" / WARMUP_FILE) for one in exports]
    asked = [good_requests(one) for one in exports]
    answers = replay(
        [
            (one.version, [*first, *(record for _, _, record in requests)])
            for one, first, requests in zip(exports, warm_up, asked, strict=True)
        ]
    )
    found = {}
    for one, first, requests, given in zip(exports, warm_up, asked, answers, strict=True):
        good = [(*request[:2], answer) for request, answer in zip(requests, given[len(first) :], strict=True)]
        found[one.version] = list(zip(first, given, strict=False)), good
    return found


def check_all(one, replayed):
    _, good = replayed[one.version]
    for signature, rows, answer in good:
        assert answer.error == "", signature
        assert set(answer.outputs) == set(one.signatures()[signature].outputs)
        check_answer(one, signature, rows, answer.outputs)
    counted = Counter(signature for signature, _, _ in good)
    assert counted == dict.fromkeys(one.signatures(), len(BATCHES))


def check_warm_up(one, replayed):
    from tensorflow_serving.apis import prediction_log_pb2

    records, _ = replayed[one.version]
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record, _ in records]
    asked = {log.predict_log.request.model_spec.signature_name for log in logs}
    assert asked == set(one.signatures())
    # TensorFlow Serving refuses to load a model with more.
    assert len(records) <= 1000
    assert [answer.error for _, answer in records] == [""] * len(records)
    assert all(array.size for _, answer in records for array in answer.outputs.values())


def test_the_rows_ask_what_they_seem_to_ask(train):
    assert train.items.lookup(UNTRAINED) == 6
    assert len(ALL) == train.num_items
    assert (train.num_users, int(train.items.lookup("no such id"))) == (30, 0)


@pytest.mark.parametrize("name", sampled(RANKING_MODELS))
def test_every_signature_of_every_model_answers_as_keras(served_models, replayed, name):
    assert set(served_models[name].signatures()) >= {"serving_default", "recommend"}
    check_all(served_models[name], replayed)


@pytest.mark.parametrize("name", sampled(RANKING_MODELS))
def test_the_warm_up_requests_of_every_model_are_answered(served_models, replayed, name):
    check_warm_up(served_models[name], replayed)


@pytest.mark.parametrize("name", ID_TYPES)
def test_ids_may_be_numbers_or_texts(served_by_id_types, replayed, name):
    check_all(served_by_id_types[name], replayed)
    check_warm_up(served_by_id_types[name], replayed)


@pytest.mark.parametrize("kind", INDEXES)
def test_items_may_be_found_through_an_index(served_with_index, replayed, kind):
    check_all(served_with_index[kind], replayed)
    check_warm_up(served_with_index[kind], replayed)


BAD_REQUESTS = {
    "a signature that there is not": (
        "classify",
        {},
        'Signature "classify" is none of .* "recommend", ',
    ),
    "no k": ("recommend", {"k": None}, 'lacks "k"'),
    "an input too many": ("recommend", {"verbose": tf.constant([1])}, 'has "verbose" too many'),
    "a wrong name": (
        "recommend",
        {"user_id": None, "user": tf.constant([1], tf.int64)},
        'lacks "user_id" and has "user" too many',
    ),
    "a user id as text": (
        "recommend",
        {"user_id": tf.constant(["9"])},
        'Input "user_id" of signature "recommend"',
    ),
    "an item id as number": (
        "serving_default",
        {"item_id": tf.constant([9])},
        '"item_id" .* must be string, not int',
    ),
    "k as int64": ("recommend", {"k": tf.constant([9], tf.int64)}, '"k" .* must be int32, not int64'),
    "one k for all": ("recommend", {"k": tf.constant(9)}, r'"k" .* must have the shape \[\?\], not \[\]'),
    "a flat list": (
        "recommend",
        {"exclude_ids": tf.constant(["film-01"])},
        r'"exclude_ids" .* must have the shape \[\?,\?\], not \[1\]',
    ),
    "more k than users": (
        "recommend",
        {"k": tf.constant([1, 2])},
        "k'? must have one row for each row of '?user_id",
    ),
}


def test_a_bad_request_is_told_what_is_wrong_and_the_next_is_answered(served_models):
    one = served_models["biased-mf"]
    inputs = {key: list(found.inputs) for key, found in one.signatures().items()}
    good = {key: tensors(names, [A], one.train) for key, names in inputs.items()}
    records = []
    for signature, changes, _ in BAD_REQUESTS.values():
        changed = {**good.get(signature, good["recommend"]), **changes}
        kept = {key: value for key, value in changed.items() if value is not None}
        records += [prediction_log(signature, kept), prediction_log("recommend", good["recommend"])]
    (answers,) = replay([(one.version, [log.SerializeToString() for log in records])])
    for (what, (_, _, error)), bad, after in zip(
        BAD_REQUESTS.items(), answers[::2], answers[1::2], strict=True
    ):
        assert re.search(error, bad.error), f"{what}: {bad.error}"
        assert bad.outputs == {}
        check_answer(one, "recommend", [A], after.outputs)


def compare_with_tensorflow(one, asked):
    """Compare answers with those that TensorFlow gives in Python for the same export."""
    loaded = tf.saved_model.load(str(one.version))
    for request, answer in asked:
        expected = loaded.signatures[request.signature](**request.inputs)
        assert set(answer.outputs) == set(expected)
        for name, array in expected.items():
            if array.dtype == tf.float32:
                np.testing.assert_allclose(answer.outputs[name], array.numpy(), rtol=1e-5, atol=1e-5)
            else:
                assert answer.outputs[name].tolist() == array.numpy().tolist()


def fuzz(exports, each, *, compared):
    """Ask each export random questions in one process and compare some answers with those of Python."""
    asked = [[fuzzer.request() for _ in range(each)] for fuzzer in map(Fuzzer, exports, count(1))]
    records = [
        (one.version, [request.record for request in requests])
        for one, requests in zip(exports, asked, strict=True)
    ]
    answers = replay(records)
    kinds = Counter()
    for one, requests, given in zip(exports, asked, answers, strict=True):
        pairs = list(zip(requests, given, strict=True))
        for request, answer in pairs:
            kinds[request.kind] += 1
            assert bool(answer.error) == (request.kind != "good"), f"{request.kind}: {answer.error}"
            assert re.search(request.named, answer.error), f"{request.kind}: {answer.error}"
        good = [pair for pair in pairs if pair[0].kind == "good"]
        compare_with_tensorflow(one, good[:compared])
    return kinds, records


def test_random_requests(served_by_id_types):
    exports = list(served_by_id_types.values())
    kinds, _ = fuzz(exports, 2001 // len(exports), compared=60)
    assert kinds.total() == 2001
    assert min(kinds[kind] for kind in Fuzzer(exports[0], 0).bad) > 20


@pytest.mark.slow
def test_many_random_requests_to_every_model(served_models, served_by_id_types):
    exports = [*served_models.values(), *served_by_id_types.values()]
    kinds, _ = fuzz(exports, 10_000 // len(exports) + 1, compared=20)
    assert kinds.total() >= 10_000


def test_without_checks_of_types_and_shapes_the_process_goes_on(served_by_id_types):
    """TensorFlow Serving leaves both to the graph."""
    exports = list(served_by_id_types.values())
    asked = [[fuzzer.request() for _ in range(150)] for fuzzer in map(Fuzzer, exports, count(100))]
    answers = replay(
        [
            (one.version, [request.record for request in requests])
            for one, requests in zip(exports, asked, strict=True)
        ],
        unchecked=True,
    )
    for requests, given in zip(asked, answers, strict=True):
        for request, answer in zip(requests, given, strict=True):
            assert bool(answer.error) == (request.kind != "good"), f"{request.kind}: {answer.error}"
            if request.kind == "rank":
                assert re.search(r"\w+_must_have_(one|two)_dimension", answer.error), answer.error


def test_a_request_may_choose_its_outputs(served_models):
    one = served_models["ease"]
    log = prediction_log("recommend", tensors(list(one.signatures()["recommend"].inputs), [A], one.train))
    log.predict_log.request.output_filter.extend(["scores", "known_user"])
    ((answer,),) = replay([(one.version, [log.SerializeToString()])])
    assert set(answer.outputs) == {"scores", "known_user"}


def test_times(served_models):
    one = served_models["ease"]
    records = [
        prediction_log(
            name, tensors(list(one.signatures()[name].inputs), rows, one.train)
        ).SerializeToString()
        for name, rows in (("recommend", [A, B, D]), ("serving_default", [A]))
    ]
    ranked, pair = measure(one.version, records, 30)
    assert (ranked["signature"], ranked["batch"], ranked["k"]) == ("recommend", 3, 1000)
    assert (pair["signature"], pair["batch"], pair["k"]) == ("serving_default", 1, -1)
    for times in (ranked, pair):
        assert times["repeat"] == 30
        assert 0 < times["p50_us"] <= times["p99_us"]
        assert times["mean_us"] > 0


def test_the_benchmark_writes_what_it_measures(served_models, tmp_path, capsys):
    version, output = served_models["ease"].version, tmp_path / "latency.json"
    assert serving_latency.main(["--export", str(tmp_path)]) == 1
    assert "no saved_model.pb" in capsys.readouterr().err
    options = ["--export", str(version.parent), "--k", "3", "--repeat", "5", "--output", str(output)]
    assert serving_latency.main(options) == 0
    assert "| ease/1 |" in capsys.readouterr().out
    (result,) = json.loads(output.read_text(encoding="utf-8"))["results"]
    assert result["export"] == "ease/1"
    assert 0 < result["cpp"]["p50_us"] <= result["cpp"]["p99_us"]
    assert 0 < result["call"]["p50_us"] <= result["call"]["p99_us"]


def test_a_missing_model_a_damaged_file_and_wrong_arguments_end_with_a_message(served_models, tmp_path):
    version, requests, answers = (
        str(served_models["ease"].version),
        tmp_path / "requests",
        str(tmp_path / "answers"),
    )
    write_records(requests, [b"x" * 100])
    missing = run(str(tmp_path / "none"), str(requests), answers)
    assert missing.returncode == 1
    assert "none" in missing.stderr
    requests.write_bytes(requests.read_bytes()[:-9])
    damaged = run(version, str(requests), answers)
    assert damaged.returncode == 1
    assert version in damaged.stderr
    assert "DATA_LOSS" in damaged.stderr
    for arguments in ([], [version], ["--repeat", "many", version, str(requests), answers]):
        wrong = run(*arguments)
        assert wrong.returncode == 2
        assert "usage: replay" in wrong.stderr
