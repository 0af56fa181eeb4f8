"""Files of candidates and of word vectors as they come: read as they stand, or one error."""

import io
import os
import struct

import numpy as np
import pandas as pd
import pytest

from tfzoo.data.word_vectors import read_word_vectors
from tfzoo.errors import DataError
from tfzoo.serving.candidates import read_candidates

HEAD = "item_id,v0,v1,popularity,title\n"
ROWS = "7,1,2,3,One\n9,3,4,5,Two\n"


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def parquet(**columns):
    stream = io.BytesIO()
    pd.DataFrame({"item_id": [7, 9], **columns}).to_parquet(stream)
    return stream.getvalue()


IDS = np.array([7, 9])
FILES = {
    "row too long": ("a.csv", HEAD + "7,1,2,3,One,x\n" + ROWS, "Cannot read candidates"),
    "later row too long": ("a.csv", HEAD + ROWS + "8,1,2,3,One,x\n", "Expected 5 fields in line 4, saw 6"),
    "row too short for its popularity": ("a.csv", HEAD + ROWS + "8,1,2\n", "popularity must be 0 or more"),
    "column twice": (
        "a.csv",
        HEAD.replace("v1", "v0") + ROWS,
        "header has column 'v0' 2 times|without a gap",
    ),
    "ids twice": ("a.csv", "item_id,item_id\n1,2\n", "header has column 'item_id' 2 times"),
    "vector twice": ("a.csv", "item_id,v0,v00\n1,2,3\n", "without a gap"),
    "id that is no whole number": ("a.csv", HEAD + ROWS.replace("7", "7.5"), "ids .* are whole numbers"),
    "id with underscore": ("a.csv", HEAD + ROWS.replace("9", "1_0"), "ids .* are whole numbers"),
    "id with blank": ("a.csv", HEAD + ROWS.replace("9", " 9"), "ids .* are whole numbers"),
    "id beyond 64 bits": ("a.csv", "item_id\n9999999999999999999\n", "ids .* are whole numbers"),
    "infinite": ("a.csv", HEAD + ROWS.replace("4", "1e999"), "vectors must be finite"),
    "too large": ("a.csv", HEAD + ROWS.replace("4", "1e308"), "vectors must be finite"),
    "text for a number": ("a.csv", HEAD + ROWS.replace("4", "x"), "could not convert"),
    "header alone": ("a.csv", HEAD, "at least one"),
    "empty": ("a.csv", "", "No columns to parse"),
    "latin-1": ("a.csv", (HEAD + ROWS + "8,1,2,3,\u00e9\n").encode("latin-1"), "can't decode byte"),
    "UTF-16": ("a.csv", (HEAD + ROWS).encode("utf-16"), "can't decode byte"),
    "unclosed quote": ("a.csv", HEAD + ROWS + '8,1,2,3,"x\n', "EOF inside string"),
    "a quote that swallows an item": (
        "a.csv",
        HEAD + '7,1,2,3,"One\n9,3,4,5,Two" x\n',
        "row 1 .*a quote is not closed",
    ),
    "float ids in parquet": ("a.parquet", parquet(item_id=[7.5, 9.0]), "row 1: id '7.5', expected text or"),
    "lists as ids": (
        "a.parquet",
        parquet(item_id=[[7], [9]]),
        "row 1: id .* expected text or a whole number",
    ),
    "lists as vectors": ("a.parquet", parquet(v0=[[7], [9, 1]]), "Cannot read candidates"),
    "parquet truncated": ("a.parquet", parquet()[:-9], "Cannot read candidates"),
    "parquet that is text": ("a.parquet", HEAD + ROWS, "Cannot read candidates"),
    "float ids": ("a.npz", npz(item_ids=np.array([7.0, 9.5])), "row 1: id '7.0', expected text or a whole"),
    "truth values": ("a.npz", npz(item_ids=np.array([True, False])), "row 1: id 'True', expected text"),
    "dates": ("a.npz", npz(item_ids=np.array(["2020-01-01"], "M8[D]")), "row 1: id '2020-01-01', expected"),
    "two dimensions": ("a.npz", npz(item_ids=IDS[:, None]), r"a list of ids.*Received shape \(2, 1\)"),
    "no dimension": ("a.npz", npz(item_ids=np.array(7)), r"a list of ids.*Received shape \(\)"),
    "no ids": ("a.npz", npz(item_ids=IDS[:0]), r"Received shape \(0,\)"),
    "vectors missing": (
        "a.npz",
        npz(item_ids=IDS, vectors=np.ones((1, 2))),
        "vectors must have a row for each",
    ),
    "vectors of three": ("a.npz", npz(item_ids=IDS, vectors=np.ones((2, 1, 1))), "two dimensions, not 3"),
    "popularity of two": (
        "a.npz",
        npz(item_ids=IDS, popularity=np.ones((2, 2))),
        "popularity must have a row",
    ),
    "titles missing": ("a.npz", npz(item_ids=IDS, titles=np.array(["a"])), "titles must have a row for each"),
    "bytes that are no text": ("a.npz", npz(item_ids=np.array([b"\xff"])), "an id is no text"),
    "objects": ("a.npz", npz(item_ids=np.array([7, None], object)), "Object arrays cannot be loaded"),
    "truncated": ("a.npz", npz(item_ids=IDS)[:-30], "Cannot read candidates"),
    "half": ("a.npz", npz(item_ids=IDS)[:100], "Cannot read candidates"),
    "nothing": ("a.npz", b"", "Cannot read candidates"),
    "one array": ("a.npz", npy(IDS), "it is one array, not an archive"),
    "pickle": (
        "a.npz",
        b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94.",
        "Cannot read candidates",
    ),
    "other kind": ("a.json", "{}", "expected a file that ends in"),
}


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("name", FILES)
def test_candidates_that_cannot_be_used(tmp_path, name):
    file, content, message = FILES[name]
    path = tmp_path / file
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=message) as caught:
        read_candidates(path, "int64")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz(item_ids=np.array([b"\xff"])))
    with pytest.raises(DataError, match="an id is no text in ASCII or UTF-8"):
        read_candidates(tmp_path / "a.npz", "string")


def test_folders_pipes_and_missing_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    for name, message in (("pipe", "is a pipe"), ("folder", "is a folder"), ("none", "no file")):
        with pytest.raises(DataError, match=message):
            read_candidates(tmp_path / f"{name}.csv", "int64")


def test_items_may_be_called_as_missing_values_are(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfitem_id,v0,title\r\nNA,1,nan\r\nnull,,\r\n007,2,None\r\n")
    found = read_candidates(path, "string")
    assert found.ids.tolist() == ["NA", "null", "007"]
    assert found.titles.tolist() == ["nan", "", "None"]
    np.testing.assert_array_equal(found.vectors, [[1], [np.nan], [2]])


def test_trailing_separators_of_the_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(HEAD + ROWS.replace("\n", ",\n"))
    found = read_candidates(path, "int64")
    assert found.ids.tolist() == [7, 9]
    np.testing.assert_array_equal(found.vectors, [[1, 2], [3, 4]])
    assert found.titles.tolist() == ["One", "Two"]


def test_ids_at_the_ends_of_64_bits(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("item_id\n9223372036854775807\n-9223372036854775808\n")
    assert read_candidates(path, "int64").ids.tolist() == [2**63 - 1, -(2**63)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bin", b"1 1000000000000\n", "expected the number of words and the width"),
        ("a.txt", b"1 99999999999999999999\nthe 1\n", "expected the number of words and the width"),
        ("a.bin", b"99999999999 2\nthe " + struct.pack("<2f", 1, 2), "cut off in word 2"),
        ("a.bin", b"1 2\nthe " + struct.pack("<2f", 1, np.nan), "is not finite"),
        ("a.txt", b"the 1 1e999\n", "is not finite"),
        ("a.txt", b"the 1 0x2\n", "could not convert"),
        ("a.txt", b"\0" * 1000, "expected a word and 0 numbers"),
        ("a.bin", b"\0" * 1000, "expected the number of words"),
        ("a.txt", "the 1 2\n".encode("utf-16"), "none of the 1 words|expected a word"),
        ("a.txt", b"the" + b" 1" * 50_000 + b"\nof 1\n", "line 2: expected a word and 50000 numbers"),
    ],
)
def test_word_vectors_that_cannot_be_used(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_word_vectors(path, ["the"])
    assert str(path) in str(caught.value)


def test_word_vectors_out_of_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(DataError, match="no such file"):
        read_word_vectors(tmp_path / "a.txt", ["the"])
