"""Tokeniser, word vocabulary, and documents."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfzoo.data.text import Documents, WordVocabulary, tokenize
from tfzoo.errors import DataError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's GREAT, really!", ["it's", "great", "really"]),
        ("don\N{RIGHT SINGLE QUOTATION MARK}t", ["don't"]),
        ("'quoted' rock'n'roll dogs'", ["quoted", "rock'n'roll", "dogs"]),
        ("5 strings,10ft_cable/USB-2.0", ["5", "strings", "10ft", "cable", "usb", "2", "0"]),
        ("Größe\tnaïve\n東京", ["größe", "naïve", "東京"]),
        ("", []),
        (" -- '' !?", []),
    ],
)
def test_words_are_letters_digits_and_inner_apostrophes(text, words):
    assert tokenize(text) == words


def test_the_most_frequent_words_come_first_and_ties_by_the_alphabet():
    texts = ["b b a", "c a d", "B"]
    assert WordVocabulary.from_texts(texts, 10).words == ("b", "a", "c", "d")
    assert WordVocabulary.from_texts(texts, 3).words == ("b", "a", "c")
    assert WordVocabulary.from_texts(texts, 3).size == 5


@given(st.lists(st.text("abc ", max_size=8), max_size=8), st.randoms(), st.integers(1, 4))
def test_the_vocabulary_does_not_depend_on_the_order_of_the_texts(texts, random, size):
    shuffled = random.sample(texts, len(texts))
    assert WordVocabulary.from_texts(texts, size).words == WordVocabulary.from_texts(shuffled, size).words


def test_texts_become_ids_with_1_for_unknown_words():
    vocabulary = WordVocabulary(["good", "bad"])
    found = vocabulary.encode(["Good good ugly", "", "bad"])
    assert found.tokens.tolist() == [2, 2, 1, 3]
    assert found.tokens.dtype == np.int32
    assert found.starts.tolist() == [0, 3, 3, 4]


def test_texts_can_be_cut():
    found = WordVocabulary(["a", "b"]).encode(["a b a", "b"], longest=2)
    assert found.tokens.tolist() == [2, 3, 3]
    assert found.starts.tolist() == [0, 2, 3]


def test_no_words_at_all():
    assert WordVocabulary.from_texts(["", "!"], 5).words == ()
    found = WordVocabulary(["a"]).encode([])
    assert (found.tokens.tolist(), found.starts.tolist()) == ([], [0])


def test_a_word_may_not_stand_in_a_vocabulary_twice():
    with pytest.raises(DataError, match="'a' twice"):
        WordVocabulary(["a", "b", "a"])


REVIEWS = ["a b", "c", "", "d e f", "a"]
OWNER = [2, 1, 2, 2, 1]
IDS = {"a": 2, "b": 3, "c": 4, "d": 5, "e": 6, "f": 7}


def by_hand(length=6, timestamp=None):
    reviews = WordVocabulary("abcdef").encode(REVIEWS)
    return Documents(reviews, np.array(OWNER), 3, length=length, timestamp=timestamp)


def read(documents, ids, left_out=None):
    """Return documents as strings of letters."""
    letters = {0: "", **{number: letter for letter, number in IDS.items()}}
    rows = documents.batch(tf.constant(ids), None if left_out is None else tf.constant(left_out))
    assert (rows.shape[-1], rows.dtype) == (documents.length, tf.int32)
    return ["".join(letters[word] for word in row) for row in rows.numpy()]


def test_a_document_is_the_reviews_one_after_another():
    assert read(by_hand(), [0, 1, 2, 3]) == ["", "ca", "abdef", ""]
    assert by_hand().batch(tf.constant([1])).numpy().tolist() == [[4, 2, 0, 0, 0, 0]]


def test_documents_are_in_time_order():
    assert read(by_hand(timestamp=np.array([9, 5, 0, 2, 1])), [1, 2]) == ["ac", "defab"]
    assert read(by_hand(timestamp=np.zeros(5, int)), [1, 2]) == ["ca", "abdef"]


def test_one_review_can_be_left_out():
    assert read(by_hand(), [2, 2, 2, 2, 1, 1], [0, 2, 3, -1, 1, 4]) == [
        "def",
        "abdef",
        "ab",
        "abdef",
        "a",
        "c",
    ]


def test_what_is_left_out_is_made_up_for_before_the_cut():
    assert read(by_hand(length=3), [2, 2, 2], [-1, 0, 3]) == ["abd", "def", "ab"]


def test_a_review_of_someone_else_cannot_be_left_out():
    assert read(by_hand(), [1, 2, 0], [0, 1, 4]) == ["ca", "abdef", ""]


def test_ids_may_have_any_shape():
    documents = by_hand()
    found = documents.batch(tf.constant([[1, 2], [0, 2]]), tf.constant([[1, -1], [-1, 3]]))
    assert found.shape == (2, 2, 6)
    flat = documents.batch(tf.constant([1, 2, 0, 2]), tf.constant([1, -1, -1, 3]))
    np.testing.assert_array_equal(tf.reshape(found, [4, 6]), flat)


def test_documents_without_a_single_word():
    documents = Documents(WordVocabulary([]).encode(["", ""]), np.array([1, 2]), 2, length=4)
    np.testing.assert_array_equal(documents.batch(tf.constant([0, 1, 2]), tf.constant([-1, 0, 1])), 0)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.text("abc ", max_size=9), st.integers(0, 3)), max_size=12),
    st.integers(1, 9),
    st.booleans(),
)
def test_documents_equal_those_put_together_by_hand(rows, length, with_time):
    owner = np.array([row[0] for row in rows], int)
    time = np.array([row[2] for row in rows], int)
    vocabulary = WordVocabulary("abc")
    reviews = vocabulary.encode([row[1] for row in rows])
    documents = Documents(reviews, owner, 4, length=length, timestamp=time if with_time else None)
    split = np.split(reviews.tokens, reviews.starts[1:-1]) if rows else []
    order = sorted(range(len(rows)), key=lambda row: (time[row] if with_time else 0, row))
    cases = [(user, -1) for user in range(5)] + [(user, row) for row, user in enumerate(owner)]
    for user, left_out in cases:
        words = [word for row in order if owner[row] == user and row != left_out for word in split[row]]
        expected = (words + [0] * length)[:length]
        if rows:
            found = documents.batch(tf.constant([user]), tf.constant([left_out]))
            assert found.numpy().tolist() == [expected]
        else:
            assert documents.batch(tf.constant([user])).numpy().tolist() == [expected]
