"""Reader of pre-trained word vectors in the text and binary formats of word2vec."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfzoo.errors import DataError

TEXT_SUFFIXES = (".txt", ".vec")
LONGEST_WORD = 10_000
LARGEST_WIDTH = 100_000


def read_word_vectors(path: Path | str, words: Sequence[str]) -> tuple[NDArray, NDArray[np.float32]]:
    """Read the vectors of ``words`` from a file, which may hold millions of others.

    Text files (``.txt``, ``.vec``) have one word a line with its numbers, all separated by
    blanks; a first line with count and width may be missing, as in GloVe's files. Binary files
    (``.bin``) have that first line, then each word, a blank, and its little-endian float32s.
    Both may be compressed (``.gz``). Words must be spelled as in ``words``; of a word that
    stands in the file twice the first vector counts.

    Args:
        path: the file.
        words: the words wanted.

    Returns:
        positions in ``words`` of the words found, int64 ``[m]`` ascending, and their vectors,
        float32 ``[m, width]``.

    Raises:
        DataError: no such file, an unknown suffix, a file that is cut off or malformed, a
            vector of the wrong width, or none of the words in the file.
    """
    path = Path(path)
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    compressed = suffixes[-1:] == [".gz"]
    kind = suffixes[-2] if compressed and len(suffixes) > 1 else suffixes[-1] if suffixes else ""
    if kind not in (*TEXT_SUFFIXES, ".bin"):
        known = ", ".join((*TEXT_SUFFIXES, ".bin"))
        raise DataError(f"{path}: word vectors must be a file with suffix {known} (and .gz or not).")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file of word vectors.")
    wanted = {word: position for position, word in enumerate(words)}
    found: dict[int, NDArray] = {}
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            vectors = _binary(path, file, wanted) if kind == ".bin" else _text(path, file, wanted)
            for position, vector in vectors:
                found.setdefault(position, vector)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as word vectors: {error}") from error
    if not found:
        raise DataError(f"{path}: none of the {len(words)} words of the vocabulary is in this file.")
    positions = np.array(sorted(found))
    vectors_found = np.stack([found[position] for position in positions]).astype(np.float32)
    if not np.isfinite(vectors_found).all():
        bad = positions[np.argmin(np.isfinite(vectors_found).all(axis=1))]
        raise DataError(f"{path}: the vector of {words[bad]!r} is not finite.")
    return positions, vectors_found


def _text(path: Path, file: BufferedIOBase, wanted: dict[str, int]) -> Iterator[tuple[int, NDArray]]:
    count, width, lines = None, None, 0
    for number, raw in enumerate(file, start=1):
        line = raw.decode("utf-8", errors="replace").rstrip("\r\n ")
        parts = line.split(" ")
        if number == 1 and len(parts) == 2:
            count, width = _header(path, parts)
            continue
        if not line:
            continue
        width = width or len(parts) - 1
        # From the right: some published files have words with blanks in them.
        word, *numbers = line.rsplit(" ", width)
        if width < 1 or len(numbers) != width:
            raise DataError(f"{path}, line {number}: expected a word and {width} numbers.")
        lines += 1
        if word in wanted:
            try:
                yield wanted[word], np.array(numbers, dtype=np.float32)
            except ValueError as error:
                raise DataError(f"{path}, line {number}: {error}.") from error
    if count is not None and lines < count:
        raise DataError(f"{path}: cut off; line 1 promises {count} words, the file has {lines}.")


def _binary(path: Path, file: BufferedIOBase, wanted: dict[str, int]) -> Iterator[tuple[int, NDArray]]:
    count, width = _header(path, file.readline(100).decode("utf-8", errors="replace").split())
    for number in range(count):
        word = _word(file)
        values = file.read(4 * width)
        if word is None or len(values) < 4 * width:
            raise DataError(f"{path}: cut off in word {number + 1} of {count}.")
        if word in wanted:
            yield wanted[word], np.frombuffer(values, dtype="<f4")


def _word(file: BufferedIOBase) -> str | None:
    """Return the bytes up to the next blank as a word, None where there is no blank any more."""
    letters = bytearray()
    while len(letters) < LONGEST_WORD:
        letter = file.read(1)
        if not letter:
            return None
        if letter == b" ":
            # Some writers end each vector with a line feed.
            return letters.decode("utf-8", errors="replace").lstrip("\n")
        letters += letter
    return None


def _header(path: Path, parts: Sequence[str]) -> tuple[int, int]:
    try:
        count, width = (int(part) for part in parts)
    except ValueError:
        count = width = 0
    if count < 1 or not 1 <= width <= LARGEST_WIDTH:
        raise DataError(
            f"{path}, line 1: expected the number of words and the width. Received {' '.join(parts)!r}."
        )
    return count, width
