"""Raw ids to dense ids and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError

INT64 = st.integers(-(2**63), 2**63 - 1)
# NumPy cannot hold a trailing NUL, and surrogates are not text.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
RAW_IDS = st.one_of(st.lists(INT64, min_size=1, max_size=20), st.lists(TEXT, min_size=1, max_size=20))


def test_dense_ids_count_from_one_in_sorted_order():
    vocabulary = Vocabulary.from_values([30, 10, 20, 10])
    assert vocabulary.ids.tolist() == [10, 20, 30]
    assert vocabulary.lookup([10, 20, 30, 11, -1, 31]).tolist() == [1, 2, 3, 0, 0, 0]
    assert vocabulary.dtype == "int64"
    assert len(vocabulary) == 3


def test_strings_sort_as_text():
    vocabulary = Vocabulary.from_values(["b", "10", "9", "a"])
    assert vocabulary.ids.tolist() == ["10", "9", "a", "b"]
    assert vocabulary.lookup(["9", "zz", ""]).tolist() == [2, 0, 0]
    assert vocabulary.dtype == "string"


def test_lookup_keeps_the_shape_and_gives_int32():
    vocabulary = Vocabulary.from_values(["x", "y"])
    dense = vocabulary.lookup([["x", "q"], ["y", "x"]])
    assert dense.dtype == np.int32
    assert dense.tolist() == [[1, 0], [2, 1]]
    assert vocabulary.lookup("y").shape == ()
    assert vocabulary.lookup([]).shape == (0,)
    assert Vocabulary.from_values([1]).lookup([]).shape == (0,)


def test_a_longer_text_is_not_cut_to_a_known_one():
    assert Vocabulary.from_values(["abc"]).lookup(["abcd", "ab", "abc"]).tolist() == [0, 0, 1]


def test_texts_find_integers_and_integers_find_texts():
    numbers, texts = Vocabulary.from_values([7, 42]), Vocabulary.from_values(["7", "42", "x"])
    assert numbers.lookup(["42", "7", "x", "", "4.2", "-", "٤٢"]).tolist() == [2, 1, 0, 0, 0, 0, 0]
    assert texts.lookup([42, 7, 8]).tolist() == [1, 2, 0]


def test_fractions_are_unknown_and_not_rounded():
    assert Vocabulary.from_values([1, 2]).lookup([1.5, np.nan]).tolist() == [0, 0]


@given(INT64)
def test_every_integer_is_found_by_its_decimal_text(number):
    assert Vocabulary.from_values([number]).lookup(str(number)) == 1


def test_integers_beyond_int64_do_not_wrap_around():
    large = np.array([2**64 - 1], np.uint64)
    assert Vocabulary.from_values([-1]).lookup(large).tolist() == [0]
    try:
        vocabulary = Vocabulary(large)
    except DataError:
        return
    assert int(vocabulary.decode([1])[0]) == 2**64 - 1


@given(RAW_IDS)
def test_decode_undoes_lookup(raw):
    vocabulary = Vocabulary.from_values(raw)
    dense = vocabulary.lookup(raw)
    assert vocabulary.decode(dense).tolist() == raw
    assert sorted(set(dense.tolist())) == list(range(1, len(set(raw)) + 1))


@given(RAW_IDS, st.randoms())
def test_the_vocabulary_depends_on_the_set_of_ids_only(raw, random):
    shuffled = [*raw, *raw]
    random.shuffle(shuffled)
    assert Vocabulary.from_values(raw) == Vocabulary.from_values(shuffled)


@given(RAW_IDS, RAW_IDS)
def test_unknown_ids_get_zero(raw, others):
    vocabulary = Vocabulary.from_values(raw)
    known = set(map(str, raw))
    for other in others:
        assert (vocabulary.lookup(other) > 0) == (str(other) in known)


@given(RAW_IDS)
def test_save_and_load_give_the_same_vocabulary(tmp_path_factory, raw):
    vocabulary = Vocabulary.from_values(raw)
    path = tmp_path_factory.mktemp("vocabulary") / "ids.txt"
    vocabulary.save(path)
    assert Vocabulary.load(path, vocabulary.dtype) == vocabulary


@given(RAW_IDS, RAW_IDS, RAW_IDS)
def test_an_extended_vocabulary_is_read_back(tmp_path_factory, raw, second, third):
    known = Vocabulary.from_values([str(one) for one in raw])
    vocabulary = known.extended([str(one) for one in second]).extended([str(one) for one in third])
    path = tmp_path_factory.mktemp("vocabulary") / "ids.txt"
    vocabulary.save(path)
    again = Vocabulary.load(path, "string")
    assert again == vocabulary
    assert again.lookup(vocabulary.ids).tolist() == list(range(1, len(vocabulary) + 1))


def test_numbers_that_were_put_behind_are_read_back_and_repeated_ones_refused(tmp_path):
    vocabulary = Vocabulary.from_values([10, 30]).extended([5, 20]).extended([1, 40])
    vocabulary.save(tmp_path / "ids.txt")
    again = Vocabulary.load(tmp_path / "ids.txt", "int64")
    assert again.ids.tolist() == [10, 30, 5, 20, 1, 40]
    assert again.lookup([40, 1, 30]).tolist() == [6, 5, 2]
    (tmp_path / "ids.txt").write_text("10\n30\n5\n10\n")
    with pytest.raises(DataError, match="distinct"):
        Vocabulary.load(tmp_path / "ids.txt", "int64")


@pytest.mark.parametrize("raw", ["a\nb", "a\rb", "a\r\nb", "\n"])
def test_an_id_with_a_line_break_survives_or_is_refused(tmp_path, raw):
    path = tmp_path / "ids.txt"
    try:
        vocabulary = Vocabulary.from_values([raw, "z"])
        vocabulary.save(path)
    except DataError:
        return
    assert Vocabulary.load(path, "string") == vocabulary


def test_saved_lines_are_numbered_by_the_dense_id(tmp_path):
    Vocabulary.from_values(["é", "b", "a"]).save(tmp_path / "ids.txt")
    assert (tmp_path / "ids.txt").read_bytes() == "a\nb\né\n".encode()


def test_types_are_part_of_equality():
    assert Vocabulary.from_values([1, 2]) != Vocabulary.from_values(["1", "2"])
    assert Vocabulary.from_values([1, 2]) != Vocabulary.from_values([1, 3])
    assert Vocabulary.from_values([1]) != [1]


def test_ids_cannot_be_changed_afterwards():
    source = np.array([1, 2, 3])
    vocabulary = Vocabulary(source)
    with pytest.raises(ValueError, match="read-only"):
        vocabulary.ids[0] = 9
    source[0] = 9
    assert vocabulary.ids.tolist() == [1, 2, 3]


@pytest.mark.parametrize("dense", [[0], [1, 3], [-1]])
def test_decode_refuses_ids_outside_the_vocabulary(dense):
    with pytest.raises(DataError, match=r"1\.\.2"):
        Vocabulary.from_values(["a", "b"]).decode(dense)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "at least one id"),
        ([[1, 2]], "one-dimensional"),
        ([2, 1], "sorted"),
        ([1, 1], "distinct"),
        (["b", "a"], "sorted"),
        ([1.0, 2.0], "integers or strings"),
    ],
)
def test_what_is_not_a_vocabulary_is_refused(ids, message):
    with pytest.raises(DataError, match=message):
        Vocabulary(np.array(ids))


def test_further_ids_stand_behind_and_change_no_dense_id():
    vocabulary = Vocabulary.from_values([30, 10]).extended([[20, 30], [5, 20]])
    assert vocabulary.ids.tolist() == [10, 30, 5, 20]
    assert vocabulary.lookup([10, 30, 5, 20, 7]).tolist() == [1, 2, 3, 4, 0]
    twice = vocabulary.extended(["1", "40"])
    assert twice.ids.tolist() == [10, 30, 5, 20, 1, 40]
    assert twice.lookup(["40", 10, 1]).tolist() == [6, 1, 5]
    assert twice.extended([]) is twice
    texts = Vocabulary.from_values(["b", "d"]).extended(["a", "b", "c", 7])
    assert texts.ids.tolist() == ["b", "d", "7", "a", "c"]
    with pytest.raises(DataError, match="The known ids are whole numbers, and 'x' is none"):
        vocabulary.extended(["40", "x"])
