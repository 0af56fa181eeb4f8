"""Delimited text files as data frames of text, with ragged and damaged files refused."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

import pandas as pd

from tfzoo.data.datasets.text_files import UTF8, fields_of_any_length, place, text_blocks, text_rows
from tfzoo.errors import DataError, UsageError, nearest

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
SNIFFED = (".txt", ".dat")
QUOTING = ("csv", "none")
_CANDIDATES = ("\t", "::", ",", ";", "|", " ")
# Characters that no text file has: one ends each row, the other stands for a longer separator.
_END_OF_ROW = "\x1e"
_LONG_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Layout:
    """How the rows of a text file are to be read.

    Attributes:
        sep: separator, of any length; a backslash followed by t means a tab. None to go by the ending of
            the file's name, or by its first line for ``.txt`` and ``.dat``.
        header: the first row names the columns; if not, they are named ``1``, ``2``, ... in their order.
        encoding: of the text; a byte order mark is dropped.
        quoting: ``csv`` where fields may be enclosed in double quotes, ``none`` where a quote is a letter
            as any other.
    """

    sep: str | None = None
    header: bool = True
    encoding: str = UTF8
    quoting: str = "csv"

    def check(self) -> None:
        """Raise `UsageError` where ``quoting`` or ``sep`` has no meaning."""
        if self.quoting not in QUOTING:
            raise UsageError(f"Unknown --quoting {self.quoting!r}. {nearest(self.quoting, QUOTING)}")
        if self.sep is not None and (not self.sep or set(self.sep) & set('"\n\r' + _END_OF_ROW)):
            raise UsageError(f"--sep must be a separator such as ',' or ';'. Received {self.sep!r}.")


def ending_of(path: Path) -> str:
    """Return the ending of a file's name in lower case, the one before ``.gz`` of a packed file."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])


def check_is_file(path: Path) -> None:
    """Raise `DataError` unless ``path`` is a file; pipes and devices are refused, they may never end."""
    try:
        if path.is_file():
            return
        if path.is_dir():
            raise DataError(f"{path} is a folder; give a file.")
        if path.exists():
            raise DataError(f"{path} is a pipe or a device; give a file.")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    raise DataError(f"There is no file {str(path)!r}." if "\0" in str(path) else f"There is no file {path}.")


class DelimitedFile:
    """A file of rows of text, which can be gone through once.

    Attributes:
        columns: names of the columns.
        continued: how many lines so far go on with a quoted field of the line before.

    Args:
        path: the file, packed if its name ends in ``.gz``.
        ending: ending of the name without ``.gz``.
        layout: how to read it.
        named: columns that the file should have, by which the separator is found where neither the layout
            nor the ending gives it.
        in_memory: see `text_blocks`.

    Raises:
        UsageError: the layout has no meaning.
        DataError: the file is empty, damaged, in another encoding, or one of its first rows has more or
            fewer fields than the header.
    """

    def __init__(
        self, path: Path, ending: str, layout: Layout, named: tuple[str, ...], *, in_memory: bool
    ) -> None:
        layout.check()
        self._path, self._quoted, self.continued = path, layout.quoting == "csv", 0
        blocks = text_blocks(path, layout.encoding, in_memory=in_memory)
        first = next(blocks, "")
        self._given = _separator(path, first, ending, layout, named)
        blocks, self._sep = _one_character(path, chain([first], blocks), self._given)
        self._texts = text_rows(path, blocks, self._sep if self._quoted else None)
        text = next(self._texts)
        with fields_of_any_length(text):
            header = next(self._split(text)) or [""]
        self.columns = [str(number + 1) for number in range(len(header))]
        if layout.header:
            self.columns = [field.replace(_LONG_SEPARATOR, self._given) for field in header]
        self._first = self._parse(text, 0 if layout.header else 1)
        if layout.header:
            self._first = self._first.iloc[1:].reset_index(drop=True)

    def parts(self) -> Iterator[pd.DataFrame]:
        """Yield all rows in the order of the file, any number at a time; columns of text by their names.

        Raises:
            DataError: the file is damaged, in another encoding, or a row has more or fewer fields than the
                header; the message names the row.
        """
        start = len(self._first)
        yield self._first
        for text in self._texts:
            part = self._parse(text, start + 1)
            start += len(part)
            yield part

    def _split(self, text: str) -> Iterator[list[str]]:
        """Return the fields of each row."""
        if not self._quoted:
            return (row.split(self._sep) for row in text.split("\n"))
        return csv.reader(io.StringIO(text), delimiter=self._sep, strict=True)

    def _parse(self, text: str, start: int) -> pd.DataFrame:
        """Read rows, the first of which has the number ``start``."""
        width = len(self.columns)
        # pandas fills rows that are too short without a word. A mark at the end of each row betrays them. It
        # takes the number of fields from the first row, so that one of the right width stands before all.
        end = self._sep + _END_OF_ROW
        first = self._sep * (width - 1) + end + "\n"
        try:
            frame = pd.read_csv(
                io.StringIO(first + text.replace("\n", end + "\n") + end),
                sep=self._sep,
                header=None,
                dtype=str,
                keep_default_na=False,
                skip_blank_lines=False,
                quoting=csv.QUOTE_MINIMAL if self._quoted else csv.QUOTE_NONE,
            )
            if (frame[width] != _END_OF_ROW).any():
                raise ValueError("a row has fewer fields than the header")
        except ValueError as error:
            self._refuse_ragged(text, start)
            raise DataError(
                f"{self._path} cannot be read as text separated by {self._given!r}: {error}"
            ) from error
        if self._quoted and '"' in text:
            # Inside quotes neither the mark nor the stand-in for a longer separator is wanted.
            frame = frame.replace(
                {re.escape(end) + "\n": "\n", re.escape(self._sep): self._given}, regex=True
            )
        self.continued += text.count("\n") + 2 - len(frame)
        return frame.iloc[1:, :width].set_axis(self.columns, axis=1).reset_index(drop=True)

    def _refuse_ragged(self, text: str, start: int) -> None:
        """Raise `DataError` for the first row that has more or fewer fields than the header."""
        with fields_of_any_length(text):
            rows = enumerate((max(1, len(fields)) for fields in self._split(text)), start=start)
            row, found = next((pair for pair in rows if pair[1] != len(self.columns)), (0, 0))
        if found:
            said = "1 field" if found == 1 else f"{found} fields"
            raise DataError(
                f"{place(self._path, row)}: {said}, expected {len(self.columns)} as in the header."
            )


def read_delimited(path: Path, ending: str, layout: Layout, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a whole file, see `DelimitedFile`; all its columns are text, as they stand in the file."""
    return pd.concat(DelimitedFile(path, ending, layout, columns, in_memory=True).parts(), ignore_index=True)


def _separator(path: Path, text: str, ending: str, layout: Layout, named: tuple[str, ...]) -> str:
    if layout.sep is not None:
        return layout.sep.replace("\\t", "\t")
    if ending in SEPARATORS:
        return SEPARATORS[ending]
    if not text.strip():
        raise DataError(f"{path} is empty.")
    header = text.partition("\n")[0]
    for candidate in _CANDIDATES:
        fields = header.split(candidate)
        if not layout.header and len(fields) >= max(map(_number, named)) > 0:
            return candidate
        if layout.header and set(named) <= {field.strip('"') for field in fields}:
            return candidate
    hint = " If the file has no header line, give --no-header." if layout.header else ""
    raise DataError(
        f"{path}: no separator found that gives the columns {' and '.join(map(repr, named))} in the first "
        f"line {header[:80]!r}. Give the right column names, or the separator with --sep.{hint}"
    )


def _number(column: str) -> int:
    return int(column) if re.fullmatch("[1-9][0-9]{0,8}", column) else 0


def _one_character(path: Path, blocks: Iterable[str], sep: str) -> tuple[Iterator[str], str]:
    """Replace a separator of several characters by one; pandas and quotes know no others."""
    if len(sep) == 1:
        return iter(blocks), sep

    def replaced() -> Iterator[str]:
        rows, held = 0, ""
        for block, last in chain(zip(blocks, repeat(False)), [("", True)]):
            if _LONG_SEPARATOR in block:
                row = rows + block.count("\n", 0, block.index(_LONG_SEPARATOR))
                raise DataError(f"{place(path, row)}: control character {_LONG_SEPARATOR!a} in the text.")
            rows += block.count("\n")
            text = (held + block).replace(sep, _LONG_SEPARATOR)
            lengths = (length for length in range(len(sep) - 1, 0, -1) if text.endswith(sep[:length]))
            # A separator may be cut in two.
            cut = 0 if last else next(lengths, 0)
            text, held = text[: len(text) - cut], text[len(text) - cut :]
            if text:
                yield text

    return replaced(), _LONG_SEPARATOR
