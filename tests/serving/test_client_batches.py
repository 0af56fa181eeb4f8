"""What all clients share: batches, ids, and lists that survive the batching of TensorFlow Serving."""

import numpy as np
import pytest

from tests.serving.served import LARGE, export_numbers, export_texts
from tfzoo.errors import UsageError
from tfzoo.serving.client import LocalClient
from tfzoo.serving.interface import BLANK_NUMBER, BLANK_SCORE, as_array
from tfzoo.serving.metadata import TensorInfo

USERS = [100, 107, 303, 5]
IDS = TensorInfo("int64", (-1,))
LISTS = TensorInfo("int64", (-1, -1))
TEXT_LISTS = TensorInfo("string", (-1, -1))


@pytest.fixture(scope="module")
def texts(toy, tmp_path_factory):
    return LocalClient(export_texts(toy, tmp_path_factory.mktemp("batches")))


@pytest.fixture(scope="module")
def numbers(toy, tmp_path_factory):
    return LocalClient(export_numbers(toy, tmp_path_factory.mktemp("batches")))


def test_a_batch_answers_as_its_rows_alone(texts):
    excluded = [["film-01"], [], ["film-02", "no such film", "film-03"], []]
    answer = texts.predict("recommend", {"user_id": USERS, "k": [3, 1, 30, 0], "exclude_ids": excluded})
    assert answer["item_ids"].shape == answer["scores"].shape == (4, 20)
    for row, (user, k) in enumerate(zip(USERS, [3, 1, 30, 0], strict=True)):
        shown = answer["scores"][row] > BLANK_SCORE
        if k == 0:
            # Who asks for nothing alone is refused.
            assert not shown.any()
            continue
        alone = texts.recommend(user, k, excluded[row])
        assert answer["item_ids"][row][shown].tolist() == alone.item_ids
        assert answer["scores"][row][shown].tolist() == alone.scores
        assert set(answer["item_ids"][row][~shown]) <= {""}
        assert answer["known_user"][row] == alone.known_user == (user != 5)


def test_scores_of_pairs(numbers):
    scores = numbers.score([100, "107", np.int64(303)], LARGE[:3])
    assert scores.dtype == np.float32
    assert scores.tolist() == [
        numbers.score([user], [item])[0] for user, item in zip([100, 107, 303], LARGE, strict=False)
    ]
    assert len(set(scores.tolist())) == 3
    # The ids differ by 1 beyond 2**53: as float64 they would be the same.
    assert len(set(numbers.score([100] * 17, LARGE[3:]).tolist())) == 17
    assert len(numbers.score([], [])) == 0


def test_an_allow_list(texts):
    everything = texts.recommend_from_history(["film-03"], 20)
    allowed = [everything.item_ids[4], "no such film", everything.item_ids[1], everything.item_ids[4]]
    answer = texts.recommend_among_from_history(["film-03"], allowed, 20)
    assert answer.item_ids == [everything.item_ids[1], everything.item_ids[4]]
    assert answer.scores == pytest.approx([everything.scores[1], everything.scores[4]], abs=1e-6)
    assert texts.recommend_among_from_history(["film-03"], allowed, 20, [allowed[0]]).item_ids == [allowed[2]]
    assert texts.recommend_among(100, []).item_ids == []
    best = texts.recommend(100, 20)
    assert texts.recommend_among(100, best.item_ids[5:]).item_ids == best.item_ids[5:]


def test_lists_begin_with_a_blank_and_are_padded_with_it():
    array = as_array("exclude_ids", [[3, 4], [], np.array([5])], LISTS)
    blank = BLANK_NUMBER
    assert array.tolist() == [[blank, 3, 4], [blank, blank, blank], [blank, 5, blank]]
    assert array.dtype == np.int64
    assert as_array("history", np.array([["a", "b"]]), TEXT_LISTS).tolist() == [[b"", b"a", b"b"]]
    assert as_array("history", [], TEXT_LISTS).shape == (0, 1)


def test_blanks_are_those_of_the_export(texts, numbers, toy):
    assert float(np.float32(BLANK_SCORE)) == BLANK_SCORE
    assert BLANK_SCORE == texts.metadata["policy"]["blank_score"] == numbers.metadata["policy"]["blank_score"]
    assert texts.metadata["policy"]["blank_id"] == ""
    # The lowest number is no id of any export, because the export's own blank must lie below all ids.
    assert numbers.metadata["policy"]["blank_id"] > BLANK_NUMBER
    assert numbers.score([100], [BLANK_NUMBER]) == numbers.score([100], [123456])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.5], r"The user ids of this data set are whole numbers\. Received \[1\.5\]"),
        (["ann"], r"whole numbers\. Received \['ann'\]"),
        ([None], r"whole numbers\. Received \[None\]"),
        ([2**63], r"whole numbers\. Received \[9223372036854775808\]"),
        ("107", r"'user_id' must be a sequence\. Received '107'"),
        (107, r"'user_id' must be a sequence\. Received 107"),
    ],
)
def test_ids_that_are_none(values, message):
    with pytest.raises(UsageError, match=message):
        as_array("user_id", values, IDS)


def test_lists_that_are_none():
    with pytest.raises(UsageError, match=r"'history' must hold a list of ids for each row"):
        as_array("history", ["film-01"], TEXT_LISTS)
    with pytest.raises(UsageError, match=r"'history' must hold a list of ids for each row"):
        as_array("history", "film-01", TEXT_LISTS)
    with pytest.raises(UsageError, match=r"'history' must be a sequence\. Received 1"):
        as_array("history", [1], LISTS)
    with pytest.raises(UsageError, match=r"The item ids of this data set are whole numbers"):
        as_array("history", [[1, [2]]], LISTS)
    with pytest.raises(UsageError, match=r"'history' holds a text that is not Unicode"):
        as_array("history", [["\ud800"]], TEXT_LISTS)
    with pytest.raises(UsageError, match=r"k must be a whole number of type int32\. Received 2147483648"):
        as_array("k", [2**31], TensorInfo("int32", (-1,)))


def test_inputs_that_do_not_fit(texts, numbers):
    with pytest.raises(UsageError, match=r"'recommend' takes exclude_ids, k, user_id\. Received user_id"):
        texts.predict("recommend", {"user_id": [1]})
    with pytest.raises(UsageError, match=r"same number of rows\. Received item_id 1, user_id 2"):
        texts.score([1, 2], ["film-01"])
    with pytest.raises(UsageError, match=r"has no signature 'recomend'\. Did you mean 'recommend"):
        texts.predict("recomend", {})
    with pytest.raises(UsageError, match=r"'biased-mf' learns a vector for each user"):
        numbers.recommend_among_from_history([1], [2])


def as_one_batch(requests):
    """Join requests as TensorFlow Serving does with ``pad_variable_length_inputs``.

    The rule is that of its `batching_util.cc` and `batching_session.cc`: every tensor is padded
    behind, in all dimensions but the first, with its own first element, up to the largest size
    among the requests; an empty tensor that needs padding is an error.
    """
    joined = {}
    for name in requests[0]:
        width = max(request[name].shape[1] for request in requests) if requests[0][name].ndim > 1 else None
        parts = []
        for request in requests:
            tensor = request[name]
            if width is not None and tensor.shape[1] < width:
                if not tensor.size:
                    raise ValueError("Got empty tensor in batch of non-empty tensors.")
                more = np.full((len(tensor), width - tensor.shape[1]), tensor.flat[0], tensor.dtype)
                tensor = np.concatenate([tensor, more], axis=1)
            parts.append(tensor)
        joined[name] = np.concatenate(parts)
    return joined


def arrays(client, signature, inputs):
    infos = client.signatures[signature].inputs
    return {name: as_array(name, inputs[name], infos[name]) for name in infos}


ALL = [f"film-{item:02d}" for item in range(20)]
# Rows of the requests of four clients: history, allow_ids, exclude_ids.
REQUESTS = [
    [(["film-01", "film-02"], ALL[3:6], []), (["film-06"], ALL, [])],
    [([], [], ["film-09"])],
    [(["film-04"], ALL, ["film-01", "film-02", "film-11"]), ([], ALL[:2], ["film-00"])],
    [(ALL[:9], ["film-15"], [])],
]


def test_joined_and_padded_requests_are_answered_as_if_alone(texts):
    signature, sent, alone = "recommend_among_from_history", [], []
    for k, rows in enumerate(REQUESTS, start=1):
        history, allowed, excluded = zip(*rows, strict=True)
        inputs = {"history": history, "allow_ids": allowed, "exclude_ids": excluded, "k": [k] * len(rows)}
        sent.append(arrays(texts, signature, inputs))
        alone += [texts.recommend_among_from_history(*row[:2], k, row[2]) for row in rows]
    joined = texts._run(signature, as_one_batch(sent))
    for row, expected in enumerate(alone):
        shown = joined["scores"][row] > BLANK_SCORE
        assert [item.decode() for item in joined["item_ids"][row][shown]] == expected.item_ids
        np.testing.assert_allclose(joined["scores"][row][shown], expected.scores, atol=1e-6)
        assert joined["known_user"][row] == expected.known_user
    assert [len(answer.item_ids) for answer in alone] == [1, 1, 0, 3, 1, 1]


def test_without_the_leading_blank_padding_changes_the_question(texts):
    """The simulation must be able to do harm, or the test above would prove nothing."""

    def plain(excluded):
        rows = len(excluded)
        k = np.full(rows, 20, np.int32)
        return {"user_id": np.full(rows, 100), "k": k, "exclude_ids": np.array(excluded, object)}

    best = [item.encode() for item in texts.recommend(100, 20).item_ids]
    request = plain([[best[0]], [best[1]]])
    joined = texts._run("recommend", as_one_batch([request, plain([[best[2], best[3]]])]))
    alone = texts._run("recommend", request)
    assert best[0] in alone["item_ids"][1]
    assert best[0] not in joined["item_ids"][1]
    with pytest.raises(ValueError, match="empty tensor"):
        as_one_batch([plain(np.empty((1, 0))), request])
