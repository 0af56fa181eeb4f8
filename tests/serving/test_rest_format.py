"""JSON requests and answers by the documented rules, beside a checker that shares no code with them."""

import base64
import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfzoo.errors import UsageError
from tfzoo.serving import rest_format
from tfzoo.serving.metadata import Signature, TensorInfo
from tfzoo.serving.rest_format import parse_answer, parse_request, write_answer, write_request

SIGNATURES = {
    "serving_default": Signature({"x": TensorInfo("float32", (-1,))}, {"y": TensorInfo("float32", (-1,))}),
    "pair": Signature(
        {"tag": TensorInfo("string", (-1,)), "signal": TensorInfo("int64", (-1, -1))},
        {"ids": TensorInfo("int64", (-1, -1)), "name": TensorInfo("string", (-1,))},
    ),
    "free": Signature({"any": TensorInfo("int32", None)}, {"any": TensorInfo("int32", None)}),
    "fixed": Signature({"cell": TensorInfo("float64", (-1, 2))}, {"flag": TensorInfo("bool", (-1,))}),
    "flags": Signature({"flag": TensorInfo("bool", (-1,))}, {"flag": TensorInfo("bool", (-1,))}),
    "small": Signature({"n": TensorInfo("uint8", (-1,))}, {"n": TensorInfo("uint8", (-1,))}),
    "recommend": Signature(
        {
            "user_id": TensorInfo("int64", (-1,)),
            "k": TensorInfo("int32", (-1,)),
            "exclude_ids": TensorInfo("string", (-1, -1)),
        },
        {"item_ids": TensorInfo("string", (-1, -1)), "known_user": TensorInfo("bool", (-1,))},
    ),
    "numbers": Signature(
        {
            "history": TensorInfo("int64", (-1, -1)),
            "k": TensorInfo("int32", (-1,)),
            "exclude_ids": TensorInfo("int64", (-1, -1)),
        },
        {"item_ids": TensorInfo("int64", (-1, -1))},
    ),
    # An input that is named like one of them, and is another.
    "clusters": Signature(
        {"x": TensorInfo("float32", (-1,)), "k": TensorInfo("int32", (-1,))},
        {"y": TensorInfo("float32", (-1,))},
    ),
    "words": Signature({"word": TensorInfo("string", (-1,))}, {"word_bytes": TensorInfo("string", (-1,))}),
}


def read(document, **more):
    text = document if isinstance(document, bytes) else json.dumps({**document, **more}).encode()
    return parse_request(text, SIGNATURES)


def listed(request):
    return {name: array.tolist() for name, array in request.inputs.items()}


def refused(document, message):
    with pytest.raises(UsageError, match=message):
        read(document)


def test_rows_of_one_input_are_bare_values():
    request = read({"instances": [1, 2.5, -3e2]})
    assert (request.signature, request.row) == ("serving_default", True)
    assert listed(request) == {"x": [1, 2.5, -300]}
    assert request.inputs["x"].dtype == np.float32


def test_rows_of_one_input_may_also_be_objects():
    assert listed(read({"instances": [{"x": 1}, {"x": 2}]})) == {"x": [1, 2]}


def test_rows_of_several_inputs_are_objects():
    rows = [{"tag": "foo", "signal": [1, 2, 3]}, {"signal": [4, 5, 6], "tag": "bär"}]
    request = read({"signature_name": "pair", "instances": rows})
    assert listed(request) == {"tag": [b"foo", "bär".encode()], "signal": [[1, 2, 3], [4, 5, 6]]}
    assert request.inputs["signal"].dtype == np.int64


def test_columns_of_several_inputs_are_an_object():
    request = read({"signature_name": "pair", "inputs": {"tag": ["foo"], "signal": [[1, 2, 3]]}})
    assert not request.row
    assert listed(request) == {"tag": [b"foo"], "signal": [[1, 2, 3]]}


def test_columns_need_not_share_their_first_size():
    request = read({"signature_name": "pair", "inputs": {"tag": ["foo", "bar"], "signal": [[1]]}})
    assert [len(array) for array in request.inputs.values()] == [2, 1]


@pytest.mark.parametrize("inputs", [[1, 2], {"x": [1, 2]}])
def test_a_single_column_may_go_without_its_name(inputs):
    assert listed(read({"inputs": inputs})) == {"x": [1, 2]}


def test_an_empty_signature_name_is_the_default():
    assert read({"signature_name": "", "instances": [1]}).signature == "serving_default"


def test_unknown_top_level_keys_are_ignored():
    assert listed(read({"context": [[[]]], "instances": [1]})) == {"x": [1]}


def test_any_rank_where_the_signature_leaves_it_free():
    assert read({"signature_name": "free", "inputs": 7}).inputs["any"].shape == ()
    assert read({"signature_name": "free", "instances": [[[1], [2]]]}).inputs["any"].shape == (1, 2, 1)


def test_empty_lists_keep_their_shape():
    request = read({"signature_name": "pair", "instances": [{"tag": "a", "signal": []}] * 2})
    assert request.inputs["signal"].shape == (2, 0)
    assert read({"inputs": []}).inputs["x"].shape == (0,)


def test_base64_values():
    hello = {"b64": base64.b64encode(b"hel\0lo\xff").decode()}
    assert listed(read({"signature_name": "words", "instances": [hello, "b64"]})) == {
        "word": [b"hel\0lo\xff", b"b64"]
    }
    assert listed(read({"signature_name": "words", "inputs": {"word": [hello]}})) == {
        "word": [b"hel\0lo\xff"]
    }
    rows = [{"tag": hello, "signal": [1]}]
    assert listed(read({"signature_name": "pair", "instances": rows}))["tag"] == [b"hel\0lo\xff"]


def test_the_tokens_of_non_finite_numbers():
    request = read(b'{"instances": [NaN, Infinity, -Infinity]}')
    np.testing.assert_array_equal(request.inputs["x"], np.array([math.nan, math.inf, -math.inf], np.float32))


def test_numbers_beyond_float32_become_infinite():
    assert listed(read({"instances": [1e300, -1e300, 1e-300]})) == {"x": [math.inf, -math.inf, 0]}


def test_whole_numbers_keep_all_digits():
    edges = [2**63 - 1, -(2**63), 2**53 + 1, -0]
    assert listed(read({"signature_name": "pair", "inputs": {"tag": ["a"], "signal": [edges]}}))[
        "signal"
    ] == [edges]


def test_a_byte_order_mark_and_an_escaped_nul_are_read():
    assert listed(read(b'\xef\xbb\xbf{"signature_name": "words", "instances": ["a\\u0000"]}')) == {
        "word": [b"a\0"]
    }


@pytest.mark.parametrize(
    ("document", "k", "exclude_ids"),
    [
        ({"instances": [{"user_id": 1}, {"user_id": 2}]}, [10, 10], [[], []]),
        ({"inputs": {"user_id": [1, 2]}}, [10, 10], [[], []]),
        ({"inputs": {"user_id": []}}, [], []),
        ({"inputs": {"user_id": [1], "k": [3]}}, [3], [[]]),
        ({"inputs": {"user_id": [1], "exclude_ids": [["a"]]}}, [10], [[b"a"]]),
        ({"instances": [{"user_id": 1, "k": 3}, {"user_id": 2}]}, [3, 10], [[], []]),
        # Blank ids where the rows must be of one length.
        (
            {"instances": [{"user_id": 1}, {"user_id": 2, "exclude_ids": ["a", "b"]}]},
            [10, 10],
            [[b"", b""], [b"a", b"b"]],
        ),
    ],
)
def test_what_a_request_to_recommend_leaves_out(document, k, exclude_ids):
    request = read(document, signature_name="recommend")
    assert request.recommends
    assert request.inputs["k"].dtype == np.int32
    assert request.inputs["k"].tolist() == k
    assert request.inputs["exclude_ids"].tolist() == exclude_ids
    assert request.inputs["exclude_ids"].dtype == object
    assert request.inputs["exclude_ids"].ndim == 2


def test_a_number_that_no_item_has_fills_rows_up():
    rows = [{"history": [1]}, {"history": [2], "exclude_ids": [7]}]
    request = read({"signature_name": "numbers", "instances": rows})
    assert request.inputs["exclude_ids"].tolist() == [[-(2**63)], [7]]
    left_out = read({"signature_name": "numbers", "inputs": {"history": [[1]]}})
    assert left_out.inputs["exclude_ids"].shape == (1, 0)
    assert left_out.inputs["exclude_ids"].dtype == np.int64


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"instances": [{"k": 1}]}, r"instances\[0\]: the input 'user_id' is missing"),
        ({"inputs": {}}, "the input 'user_id' is missing"),
        ({"inputs": {"user_id": [1], "k": None}}, "input 'k' must have the shape"),
        ({"instances": [{"user_id": 1, "k": None}]}, "input 'k' must hold values of type int32"),
        ({"instances": [{"user_id": 1}, {"user_id": 2, "exclude_ids": 5}]}, "'exclude_ids' is ragged"),
        ({"instances": [{"user_id": 1, "exclude_ids": 5}, {"user_id": 2}]}, "'exclude_ids' must have the sh"),
        (
            {"instances": [{"user_id": 1, "exclude_ids": ["a"]}, {"user_id": 2, "exclude_ids": []}]},
            "'exclude_ids' is ragged",
        ),
        ({"instances": [{"user_id": 1, "k_": 5}]}, "there is no input \"k_\". Did you mean 'k'"),
    ],
)
def test_what_may_be_left_out_may_not_be_wrong(document, message):
    refused({**document, "signature_name": "recommend"}, message)


def test_nothing_may_be_left_out_of_other_signatures():
    refused({"signature_name": "clusters", "inputs": {"x": [1]}}, "the input 'k' is missing")
    assert not read({"signature_name": "clusters", "inputs": {"x": [1], "k": [1]}}).recommends


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "document is empty"),
        (b" \n", "document is empty"),
        (b"[1]", "must be a JSON object. Received a list"),
        (b"{", "JSON parse error.*character 1"),
        (b'{"instances": [1]} x', "JSON parse error: Extra data"),
        (b'{"instances": [1,]}', "JSON parse error"),
        (b'{"instances": [01]}', "JSON parse error"),
        (b'{"instances": [Inf]}', "JSON parse error"),
        (b'{"instances": ["\xff"]}', "not UTF-8 at byte 16"),
        (b'{"instances": ["\x00"]}', "JSON parse error: Invalid control character"),
        (b'\x00{"instances": [1]}', "JSON parse error"),
        (b'{"instances": [1e999]}', 'number "1e999" is too large'),
        (b'{"instances": [%s]}' % (b"9" * 100_000), "too large for float64"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b'{"instances": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"instances": [1], "instances": [2]}', 'the key "instances" is there twice'),
    ],
)
def test_what_is_no_json(body, message):
    refused(body, message)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "either the key 'instances' or the key 'inputs'"),
        ({"instances": [1], "inputs": [1]}, "either the key 'instances' or the key 'inputs'"),
        ({"instances": 1}, "'instances' must be a list. Received a number"),
        ({"instances": None}, "'instances' must be a list. Received null"),
        ({"instances": []}, "'instances' is an empty list"),
        ({"signature_name": 5, "instances": [1]}, "'signature_name' must be a string"),
        ({"signature_name": "pairs", "instances": [1]}, "no signature \"pairs\". Did you mean 'pair'"),
        ({"signature_name": "x" * 10**6, "instances": [1]}, "'signature_name'.{1,300}$"),
        ({"signature_name": "pair", "instances": ["foo"]}, "objects with the keys tag, signal"),
        ({"signature_name": "pair", "instances": [{"b64": "aa=="}]}, "objects with the keys tag, signal"),
        ({"signature_name": "pair", "inputs": ["foo"]}, "'inputs' must be an object with the keys"),
        ({"signature_name": "pair", "inputs": {"tag": ["a"]}}, "'inputs': the input 'signal' is missing"),
        ({"signature_name": "pair", "instances": [{"tag": "a"}]}, r"instances\[0\]: the input 'signal'"),
        ({"inputs": {"x": [1], "tags": [1]}}, "'inputs': there is no input \"tags\""),
        ({"instances": [{"x": 1}, {"x": 1, "z": 2}]}, r"instances\[1\]: there is no input \"z\""),
        ({"instances": [{"x": 1}, 2]}, r"instances\[1\] must be an object"),
        ({"instances": [1, {"x": 2}]}, r"instances\[1\] must be a value"),
        ({"instances": [1, [2]]}, "input 'x' is ragged"),
        ({"instances": [[1]]}, r"input 'x' must have the shape \[any\]. Received \[1, 1\]"),
        ({"inputs": 1}, r"input 'x' must have the shape \[any\]. Received \[\]"),
        ({"inputs": [[[[[[[[[[[1]]]]]]]]]]]}, "input 'x' must have the shape.*11 levels"),
        ({"instances": [True]}, "input 'x' must hold values of type float32. Received true"),
        ({"instances": ["1"]}, "input 'x' must hold values of type float32. Received \"1\""),
        ({"instances": [1, None]}, "input 'x' must hold values of type float32. Received null"),
        ({"signature_name": "flags", "instances": [1]}, "input 'flag' must hold values of type bool"),
        ({"signature_name": "small", "instances": [255, 256]}, "input 'n': 256 does not fit into uint8"),
        ({"signature_name": "small", "instances": [-1]}, "input 'n': -1 does not fit into uint8"),
        ({"signature_name": "small", "instances": [1.0]}, "input 'n' must hold values of type uint8"),
        ({"signature_name": "free", "inputs": [2**31]}, "2147483648 does not fit into int32"),
        ({"signature_name": "free", "inputs": [[1], [2, 3]]}, "'any' is ragged: a list of 2 where .* of 1"),
        ({"signature_name": "free", "inputs": [[1], 2]}, "'any' is ragged: a number where others"),
        ({"signature_name": "free", "inputs": [[], [1]]}, "'any' is ragged: a list of 1 where .* of 0"),
        ({"signature_name": "fixed", "inputs": [[1, 2, 3]]}, r"shape \[any, 2\]. Received \[1, 3\]"),
        ({"signature_name": "words", "instances": [1]}, "input 'word' must hold values of type string"),
        ({"signature_name": "words", "instances": [{"b64": "?"}]}, "input 'word' holds .* not Base64"),
        ({"signature_name": "words", "instances": ["", {"b64": 1}]}, r"instances\[1\]"),
        ({"signature_name": "words", "instances": ["\ud800"]}, "input 'word' holds .* surrogate"),
    ],
)
def test_what_is_refused(document, message):
    refused(document, message)


def test_whole_numbers_beyond_int64_are_refused():
    def signal(number):
        return b'{"signature_name": "pair", "inputs": {"tag": ["a"], "signal": [[%d]]}}' % number

    refused(signal(2**63), "input 'signal': 9223372036854775808 does not fit into int64")
    refused(signal(-(2**63) - 1), "input 'signal': -9223372036854775809 does not fit")
    refused(signal(10**30), "input 'signal' must hold values of type int64")


def test_answers_to_rows():
    one = {"y": np.array([0.2, 9e6, math.nan], np.float32)}
    assert write_answer(one, row=True) == b'{"predictions":[0.2,9000000.0,NaN]}'
    two = {"ids": np.array([[1, 2], [3, 4]]), "name": np.array([b"a", "ä".encode()], object)}
    assert json.loads(write_answer(two, row=True)) == {
        "predictions": [{"ids": [1, 2], "name": "a"}, {"ids": [3, 4], "name": "ä"}]
    }


def test_answers_to_columns():
    one = {"flag": np.array([True, False])}
    assert write_answer(one, row=False) == b'{"outputs":[true,false]}'
    two = {"ids": np.empty((2, 0), np.int64), "name": np.array([b"a", b"b"], object)}
    assert json.loads(write_answer(two, row=False)) == {"outputs": {"ids": [[], []], "name": ["a", "b"]}}


def test_binary_outputs_are_named_so():
    answer = write_answer({"word_bytes": np.array([b"hello"], object)}, row=False)
    assert json.loads(answer) == {"outputs": [{"b64": "aGVsbG8="}]}
    read_again = parse_answer(answer, SIGNATURES["words"], row=False)
    assert read_again["word_bytes"].tolist() == [b"hello"]


@pytest.mark.parametrize("second", [np.zeros(3), np.float32(1)])
def test_rows_cannot_hold_outputs_of_different_lengths(second):
    with pytest.raises(UsageError, match="first size"):
        write_answer({"a": np.zeros(2), "b": np.asarray(second)}, row=True)


@pytest.mark.parametrize("body", [b"[]", b'{"outputs": []}', b'{"predictions": ["a"]}', b"<html>"])
def test_an_answer_of_something_else(body):
    with pytest.raises(UsageError):
        parse_answer(body, SIGNATURES["serving_default"], row=True)


FLOATS = st.floats(width=32, allow_nan=True)
IDS = st.integers(-(2**63), 2**63 - 1)
WORDS = st.one_of(st.text(st.characters(exclude_categories=["Cs"])).map(str.encode), st.binary(max_size=6))


@given(st.lists(st.tuples(WORDS, IDS, IDS), min_size=1, max_size=5), st.booleans())
def test_requests_are_read_as_they_were_written(rows, row):
    tags = np.empty(len(rows), object)
    tags[:] = [tag for tag, *_ in rows]
    signal = np.array([ids for _, *ids in rows], np.int64)
    request = parse_request(write_request("pair", {"tag": tags, "signal": signal}, row=row), SIGNATURES)
    assert (request.signature, request.row) == ("pair", row)
    assert request.inputs["tag"].tolist() == tags.tolist()
    np.testing.assert_array_equal(request.inputs["signal"], signal)


@given(st.lists(FLOATS, min_size=1, max_size=20), st.booleans())
@example([0.1, 1e-45, 3.4028235e38, -0.0, 16777217.0], True)
def test_answers_are_read_as_they_were_written(values, row):
    scores = np.array(values, np.float32)
    answer = write_answer({"y": scores}, row=row)
    found = parse_answer(answer, SIGNATURES["serving_default"], row=row)["y"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, scores)


def test_numbers_that_are_not_finite_are_written_as_tensorflow_serving_writes_them():
    outputs = {"y": np.array([math.nan, math.inf, -math.inf], np.float32)}
    assert write_answer(outputs, row=False) == b'{"outputs":[NaN,Infinity,-Infinity]}'


@given(st.integers(0, 7), st.integers(0, 4), st.integers(1, 12))
def test_pieces_of_answers_are_one_document(rows, length, piece):
    scores = np.arange(rows * length, dtype=np.float32).reshape(rows, length) / 4
    names = np.empty((rows, length), object)
    names[:] = "ä".encode()
    outputs = {"ids_bytes": names, "known": np.ones(rows, bool), "scores": scores}
    listed_names = [[{"b64": base64.b64encode("ä".encode()).decode()}] * length] * rows
    columns = {"ids_bytes": listed_names, "known": [True] * rows, "scores": scores.tolist()}
    lines = [dict(zip(columns, line, strict=True)) for line in zip(*columns.values(), strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rest_format, "PIECE", piece)
        for row, expected in ((True, {"predictions": lines}), (False, {"outputs": columns})):
            pieces = [*rest_format.answer_pieces(outputs, row=row)]
            assert b"".join(pieces).decode() == json.dumps(expected, separators=(",", ":"))
        assert write_answer({"y": scores}, row=False) == write_answer({"y": scores}, row=True).replace(
            b"predictions", b"outputs"
        )


def test_a_large_answer_comes_in_many_pieces():
    outputs = {"scores": np.zeros((500, 100)), "ids": np.zeros((500, 100), np.int64)}
    for row in (True, False):
        assert len([*rest_format.answer_pieces(outputs, row=row)]) > 9


def acceptable(document):
    """Say whether a request for the signature ``pair`` is one by the documentation alone.

    It knows the two formats, that strings and whole numbers are these and nothing else, that
    lists are rectangular, and that ``signal`` has a row of its own for each ``tag``'s.
    """

    def rectangle(value, depth, leaf):
        if depth == 0:
            return leaf(value)
        return (
            isinstance(value, list)
            and all(rectangle(part, depth - 1, leaf) for part in value)
            and (depth == 1 or len({len(part) for part in value}) == 1)
        )

    def text(value):
        return isinstance(value, str)

    def whole(value):
        return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63

    if ("instances" in document) == ("inputs" in document):
        return False
    if "inputs" in document:
        named = document["inputs"]
        return (
            isinstance(named, dict)
            and set(named) == {"tag", "signal"}
            and rectangle(named["tag"], 1, text)
            and rectangle(named["signal"], 2, whole)
        )
    rows = document["instances"]
    return (
        isinstance(rows, list)
        and bool(rows)
        and all(isinstance(row, dict) and set(row) == {"tag", "signal"} for row in rows)
        and all(text(row["tag"]) for row in rows)
        and rectangle([row["signal"] for row in rows], 2, whole)
    )


JUNK = st.one_of(
    st.none(), st.booleans(), st.floats(), st.text(max_size=3), st.integers(), st.just(2**63), st.just([])
)
TAG = st.one_of(st.text("ab", max_size=2), st.text("ab", max_size=2), JUNK)
SIGNAL = st.one_of(st.lists(st.integers(-3, 3), min_size=2, max_size=2), st.lists(JUNK, max_size=3), JUNK)
ROW = st.fixed_dictionaries({"tag": TAG, "signal": SIGNAL}, optional={"b64": JUNK})
COLUMNS = st.fixed_dictionaries(
    {"tag": st.one_of(st.lists(TAG, max_size=3), JUNK)},
    optional={"signal": st.one_of(st.lists(SIGNAL, max_size=3), JUNK), "tags": JUNK},
)
DOCUMENTS = st.one_of(
    st.fixed_dictionaries({"instances": st.one_of(st.lists(st.one_of(ROW, ROW, JUNK), max_size=3), JUNK)}),
    st.fixed_dictionaries({"inputs": st.one_of(COLUMNS, JUNK)}),
    st.fixed_dictionaries({}, optional={"instances": st.lists(ROW), "inputs": COLUMNS}),
)


@settings(max_examples=200)
@given(DOCUMENTS)
@example({"instances": [{"tag": "a", "signal": [1, 2]}]})
@example({"inputs": {"tag": ["a", "b"], "signal": [[1, 2]]}})
@example({"inputs": {"tag": [], "signal": [[]]}})
def test_the_parser_reads_what_the_documentation_allows_and_nothing_else(document):
    if acceptable(document):
        request = read(document, signature_name="pair")
        assert {name: array.ndim for name, array in request.inputs.items()} == {"tag": 1, "signal": 2}
    else:
        with pytest.raises(UsageError, match=r"tag|signal|instances|inputs|parse error"):
            read(document, signature_name="pair")


@given(st.recursive(st.one_of(JUNK, IDS), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_no_document_raises_anything_else(document):
    for key in ("instances", "inputs"):
        for name in SIGNATURES:
            try:
                read({"signature_name": name, key: document})
            except UsageError:
                continue
