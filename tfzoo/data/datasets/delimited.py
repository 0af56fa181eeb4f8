"""Delimited text files as data frames of text, with ragged and damaged files refused."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from tfzoo.errors import DataError, UsageError

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
SNIFFED = (".txt", ".dat")
MAX_UNPACKED_BYTES = 4 << 30
_CANDIDATES = ("\t", "::", ",", ";", "|", " ")
# Characters that no text file has: one ends each row, the other stands for a longer separator.
_END_OF_ROW = "\x1e"
_LONG_SEPARATOR = "\x1f"


def read_delimited(path: Path, ending: str, sep: str | None, columns: tuple[str, str]) -> pd.DataFrame:
    """Read a file with a header line; all its columns are text, as they stand in the file.

    Args:
        path: the file, UTF-8, packed if its name ends in ``.gz``.
        ending: ending of the name without ``.gz``; it gives the separator where ``sep`` is None.
        sep: separator, of any length; a backslash followed by t means a tab.
        columns: two columns that the header must have, by which the separator is found where
            neither ``sep`` nor ``ending`` gives it.

    Returns:
        The rows in the order of the file.

    Raises:
        UsageError: ``sep`` cannot be a separator.
        DataError: the file is empty, damaged, not UTF-8, or a row has more or fewer fields than
            the header.
    """
    text = read_text(path)
    return _parse(path, text, _separator(path, text, ending, sep, columns))


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


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, unpacked if its name ends in ``.gz``, without line breaks at its end.

    Raises:
        DataError: the file is empty, damaged or not UTF-8; the message names the row.
    """
    try:
        data = _unpack(path) if path.suffix.lower() == ".gz" else path.read_bytes()
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start)
        raise DataError(
            f"{path}, row {row} (counted from 1 without the header): byte 0x{data[error.start]:02x} is not "
            "UTF-8. Save the file as UTF-8, for example with iconv -f latin1 -t utf-8."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    text = text.replace("\r\n", "\n").rstrip("\n")
    if not text.strip():
        raise DataError(f"{path} is empty.")
    return text


def _unpack(path: Path) -> bytes:
    with gzip.open(path) as file:
        data = file.read(MAX_UNPACKED_BYTES + 1)
    if len(data) > MAX_UNPACKED_BYTES:
        raise DataError(
            f"{path} unpacks to more than {MAX_UNPACKED_BYTES:,} bytes from {path.stat().st_size:,}; "
            "unpack it yourself if you trust it."
        )
    return data


def _separator(path: Path, text: str, ending: str, sep: str | None, columns: tuple[str, str]) -> str:
    if sep is not None:
        sep = sep.replace("\\t", "\t")
        if not sep or set(sep) & set('"\n\r'):
            raise UsageError(f"--sep must be a separator such as ',' or ';'. Received {sep!r}.")
        return sep
    if ending in SEPARATORS:
        return SEPARATORS[ending]
    header = text.partition("\n")[0]
    for candidate in _CANDIDATES:
        if set(columns) <= {column.strip('"') for column in header.split(candidate)}:
            return candidate
    raise DataError(
        f"{path}: no separator found that gives the columns '{columns[0]}' and '{columns[1]}' in the header "
        f"line {header[:80]!r}. Give the right column names, or the separator with --sep."
    )


def _parse(path: Path, text: str, sep: str) -> pd.DataFrame:
    """Read delimited text; all columns are text."""
    # pandas takes a lone carriage return for the end of a row, as old programs wrote it: so do we.
    text = text.replace("\r", "\n").rstrip("\n")
    given = sep
    if len(sep) > 1:
        if _LONG_SEPARATOR in text:
            row = text.count("\n", 0, text.index(_LONG_SEPARATOR))
            raise DataError(
                f"{path}, row {row} (counted from 1 without the header): control character "
                f"{_LONG_SEPARATOR!a} in the text."
            )
        text, sep = text.replace(sep, _LONG_SEPARATOR), _LONG_SEPARATOR
    _check_quotes(path, text, sep)
    # pandas fills rows that are too short without a word. A mark at the end of each row betrays them.
    end = sep + _END_OF_ROW
    try:
        frame = pd.read_csv(
            io.StringIO(text.replace("\n", end + "\n") + end),
            sep=sep,
            header=None,
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
        )
    except ValueError as error:
        if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error)):
            expected, line, saw = (int(number) - 1 for number in found.groups())
            raise _ragged(path, line, expected, saw) from error
        raise DataError(f"{path} cannot be read as text separated by {sep!r}: {error}") from error
    width = frame.shape[1] - 1
    short = (frame[width] != _END_OF_ROW).to_numpy()
    if short.any():
        row = int(np.argmax(short))
        raise _ragged(path, row, width, int(np.argmax(frame.iloc[row] == _END_OF_ROW)))
    if '"' in text:
        # Inside quotes neither the mark nor the stand-in for a longer separator is wanted.
        frame = frame.replace({re.escape(end) + "\n": "\n", re.escape(sep): given}, regex=True)
    header = frame.iloc[0, :width].tolist()
    return frame.iloc[1:, :width].set_axis(header, axis=1).reset_index(drop=True)


def _check_quotes(path: Path, text: str, sep: str) -> None:
    """Refuse quotes that do not enclose a whole field: a lost one would swallow the rows up to the next."""
    if '"' not in text:
        return
    before = csv.field_size_limit(max(len(text), 1))
    row = 0
    try:
        for _ in csv.reader(io.StringIO(text), delimiter=sep, strict=True):
            row += 1
    except csv.Error as error:
        raise DataError(
            f"{path}, row {row} (counted from 1 without the header): a quote is not closed where its field "
            f"ends ({error})."
        ) from error
    finally:
        csv.field_size_limit(before)


def _ragged(path: Path, row: int, expected: int, found: int) -> DataError:
    fields = "1 field" if found == 1 else f"{found} fields"
    return DataError(
        f"{path}, row {row} (counted from 1 without the header): {fields}, expected {expected} as in "
        "the header."
    )
