"""Reader of pre-trained word vectors."""

import gzip
import struct

import numpy as np
import pytest

from tfzoo.data.word_vectors import read_word_vectors
from tfzoo.errors import DataError

VECTORS = {"the": [1.0, 2.0, 3.0], "cat": [-4.0, 5.5, 0.25], "größe": [7.0, 8.0, 9.0]}
WANTED = ["größe", "dog", "the"]
EXPECTED = ([0, 2], [VECTORS["größe"], VECTORS["the"]])


def text(header=True, vectors=VECTORS):
    lines = [f"{len(vectors)} 3"] if header else []
    lines += [" ".join([word, *map(str, vector)]) for word, vector in vectors.items()]
    return ("\n".join(lines) + "\n").encode()


def binary(line_feeds=False, count=3):
    parts = [f"{count} 3\n".encode()]
    for word, vector in VECTORS.items():
        parts += [word.encode(), b" ", struct.pack("<3f", *vector), b"\n" if line_feeds else b""]
    return b"".join(parts)


def write(folder, name, content):
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("words.txt", text()),
        ("words.vec", text(header=False)),
        ("words.300d.txt.gz", text()),
        ("words.bin", binary()),
        ("words.bin", binary(line_feeds=True)),
        ("words.bin.gz", binary()),
    ],
)
def test_the_wanted_words_are_read(tmp_path, name, content):
    positions, vectors = read_word_vectors(write(tmp_path, name, content), WANTED)
    assert positions.tolist() == EXPECTED[0]
    assert vectors.tolist() == EXPECTED[1]
    assert vectors.dtype == np.float32


def test_words_with_blanks_and_blank_lines_do_not_disturb(tmp_path):
    content = text(header=False) + b"at home 1 2 3\n\nlast 4 5 6 \n"
    positions, vectors = read_word_vectors(write(tmp_path, "w.txt", content), ["last", "at"])
    assert (positions.tolist(), vectors.tolist()) == ([0], [[4, 5, 6]])


def test_the_first_of_two_vectors_counts(tmp_path):
    path = write(tmp_path, "w.txt", b"a 1 2\na 3 4\n")
    assert read_word_vectors(path, ["a"])[1].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.txt", b"a 1 2 3\nthe 1 2\n", "line 2: expected a word and 3 numbers"),
        ("w.txt", b"2 3\nthe 1 2\n", "line 2: expected a word and 3 numbers"),
        ("w.txt", text().replace(b"3 3", b"4 3"), "cut off; line 1 promises 4 words, the file has 3"),
        ("w.txt", text()[:-16], "line 4: expected a word and 3 numbers"),
        ("w.txt", b"the 1 x 3\n", "line 1: could not convert string to float"),
        ("w.txt", b"the 1 nan 3\n", "the vector of 'the' is not finite"),
        ("w.txt", b"cow 1 2 3\n", "none of the 3 words"),
        ("w.txt", b"", "none of the 3 words"),
        ("w.txt", b"zwei drei\n", "line 1: expected the number of words and the width. Received 'zwei drei'"),
        ("w.bin", b"", "line 1: expected the number of words and the width"),
        ("w.bin", b"3 -1\n", "line 1: expected the number of words and the width. Received '3 -1'"),
        ("w.bin", binary()[:-1], "cut off in word 3 of 3"),
        ("w.bin", binary(count=4), "cut off in word 4 of 4"),
        ("w.bin", b"1 3\n" + b"x" * 20_000, "cut off in word 1 of 1"),
        ("w.csv", b"", "suffix .txt, .vec, .bin"),
        ("words", b"", "suffix .txt, .vec, .bin"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, content, message):
    path = write(tmp_path, name, content)
    with pytest.raises(DataError) as raised:
        read_word_vectors(path, WANTED)
    assert message in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        read_word_vectors(tmp_path / "w.bin", WANTED)


@pytest.mark.parametrize("name", ["w.txt.gz", "w.bin.gz"])
def test_a_damaged_archive(tmp_path, name):
    path = write(tmp_path, name, text() if "txt" in name else binary())
    whole = path.read_bytes()
    path.write_bytes(whole[:-12])
    with pytest.raises(DataError, match="cannot be read as word vectors"):
        read_word_vectors(path, WANTED)
    path.write_bytes(whole[:12] + b"\xff" * 20 + whole[32:])
    with pytest.raises(DataError, match="cannot be read as word vectors"):
        read_word_vectors(path, WANTED)
    path.write_bytes(b"this is no archive")
    with pytest.raises(DataError, match="cannot be read as word vectors"):
        read_word_vectors(path, WANTED)
