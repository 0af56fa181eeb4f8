"""Text files part by part: unpacked, decoded and cut where a row ends, whatever the size of the file."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from tfzoo.errors import DataError, UsageError

UTF8 = "utf-8"
MAX_UNPACKED_BYTES = 4 << 30
# Bytes that are decoded at once.
BLOCK_BYTES = 1 << 24
_KINDS = (
    (b"\x1f\x8b", "packed with gzip; let its name end in .gz"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet; unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet; save the sheet as CSV"),
    (b"BZh91AY&SY", "packed with bzip2; unpack it first"),
    (b"\xfd7zXZ\x00", "packed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "packed with Zstandard; unpack it first"),
    (b"PAR1\x15", "a Parquet file; let its name end in .parquet"),
)
_MARKS = (
    # Before those of UTF-16, with which one of them begins.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Share of bytes at every other place that are 0, from which a text without a mark is UTF-16.
_MOSTLY = 0.4


def check_encoding(encoding: str) -> None:
    """Raise `UsageError` unless Python knows a text encoding of this name."""
    try:
        "".encode(encoding)
        codecs.getincrementaldecoder(encoding)
    except (LookupError, ValueError) as error:
        raise UsageError(
            "--encoding must be the name of an encoding such as utf-8, utf-16, latin-1 or cp1252. Received "
            f"{encoding!r}."
        ) from error


def place(path: Path, row: int) -> str:
    """Return how messages name a row, the one after the header being row 1."""
    return f"{path}, row {row} (counted from 1 without the header)"


@contextmanager
def fields_of_any_length(text: str) -> Iterator[None]:
    """Let Python's reader of rows take fields as long as a text, within the block."""
    limit = csv.field_size_limit(max(len(text), 1))
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def text_blocks(
    path: Path, encoding: str = UTF8, *, in_memory: bool, any_break: bool = True
) -> Iterator[str]:
    """Yield the text of a file in parts of any length, line breaks as line feeds.

    Args:
        path: the file, packed if its name ends in ``.gz``.
        encoding: of its text; a byte order mark is dropped.
        in_memory: refuse what unpacks to more than `MAX_UNPACKED_BYTES`.
        any_break: a lone carriage return is a line break too, as old programs wrote it.

    Raises:
        UsageError: there is no such encoding.
        DataError: the file is damaged, of another kind or another encoding; the message names the row.
    """
    check_encoding(encoding)
    decoder = codecs.getincrementaldecoder(encoding)()
    lines, held, at_start, unpacked = 0, "", True, 0
    try:
        with _open(path) as file:
            while True:
                data = file.read(BLOCK_BYTES)
                unpacked += len(data)
                if in_memory and unpacked > MAX_UNPACKED_BYTES and path.suffix.lower() == ".gz":
                    _refuse_unpacking(path)
                if at_start:
                    _refuse_other_kinds(path, data[:4096], encoding)
                try:
                    text = held + decoder.decode(data, final=not data)
                except UnicodeDecodeError as error:
                    good = error.object[: error.start].decode(encoding, "ignore")
                    row = lines + (held + good).replace("\r\n", "\n").count("\n")
                    wrong = error.object[error.start]
                    _refuse_encoding(path, row, wrong, encoding, error)
                # A line break of two characters may be cut in two.
                held = "\r" if data and text.endswith("\r") else ""
                text = text.removesuffix(held).replace("\r\n", "\n")
                text = text.replace("\r", "\n") if any_break else text
                if at_start and text:
                    text, at_start = text.lstrip("\ufeff"), False
                lines += text.count("\n")
                if text:
                    yield text
                if not data:
                    return
    except UnicodeError as error:
        raise DataError(f"{path} cannot be read as {encoding}: {error}.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error


def text_rows(path: Path, blocks: Iterator[str], sep: str | None = None) -> Iterator[str]:
    """Yield the text of a file in parts of whole rows, without line breaks at the end of the file.

    Joined by line feeds, the parts are the text.

    Args:
        path: the file, for messages.
        blocks: from `text_blocks`.
        sep: separator, one character, of rows whose fields may be enclosed in double quotes and then hold
            line breaks; None where a quote is a letter as any other.

    Raises:
        DataError: the file is empty, or a quote does not enclose a whole field; the message names the row.
    """
    rest, new, grown, rows = "", list[str](), 0, 0
    for block in blocks:
        new.append(block)
        grown += len(block)
        # A row of many blocks is not searched from its start with each of them.
        if grown < len(rest):
            continue
        text, new, grown = "".join([rest, *new]), [], 0
        end, count = _whole_rows(path, text, sep, rows, final=False)
        kept = text[:end].rstrip("\n")
        if not (kept if rows else kept.strip()):
            # Blank rows may be the end of the file, which does not count, or stand before others.
            rest = text
            continue
        rows += count - (end - len(kept) - 1)
        rest = text[len(kept) + 1 :]
        yield kept
    text = "".join([rest, *new]).rstrip("\n")
    if text:
        _whole_rows(path, text, sep, rows, final=True)
    if rows == 0 and not text.strip():
        raise DataError(f"{path} is empty.")
    if text:
        yield text


def _whole_rows(path: Path, text: str, sep: str | None, before: int, *, final: bool) -> tuple[int, int]:
    """Return where the last whole row of a text ends, after its line feed, and how many there are."""
    if sep is None or '"' not in text:
        return text.rfind("\n") + 1, text.count("\n")
    if not final:
        text = text[: text.rfind("\n") + 1]
    lines = rows = 0
    reader = csv.reader(io.StringIO(text), delimiter=sep, strict=True)
    try:
        with fields_of_any_length(text):
            for _ in reader:
                rows, lines = rows + 1, reader.line_num
    except csv.Error as error:
        # A quote that is still open at the end may be closed in the next block.
        if final or "unexpected end" not in str(error):
            raise DataError(
                f"{place(path, before + rows)}: a quote is not closed where its field ends ({error}). If "
                "fields are not enclosed in quotes in this file, give --quoting none."
            ) from error
    end = len(text)
    for _ in range(text.count("\n") - lines):
        end = text.rfind("\n", 0, end - 1) + 1
    return end, rows


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _refuse_other_kinds(path: Path, head: bytes, encoding: str) -> None:
    for mark, kind in _KINDS:
        if head.startswith(mark):
            raise DataError(f"{path} is no text file: it is {kind}.")
    if codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig", "ascii"):
        return
    found = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if found is None and len(head) > 1:
        first, second = (head[start::2].count(0) / len(head[start::2]) for start in (0, 1))
        if max(first, second) > _MOSTLY and min(first, second) < _MOSTLY / 2:
            found = "utf-16-be" if first > second else "utf-16-le"
    if found is not None:
        raise DataError(
            f"{path} is not UTF-8 but {found.upper()}. Give --encoding {found}, or save it as UTF-8."
        )


def _refuse_encoding(path: Path, row: int, byte: int, encoding: str, error: UnicodeDecodeError) -> NoReturn:
    name = "UTF-8" if encoding == UTF8 else encoding
    raise DataError(
        f"{place(path, row)}: byte 0x{byte:02x} is not {name}. Give the encoding of the file, such as "
        "--encoding latin-1 or cp1252, or save it as UTF-8."
    ) from error


def _refuse_unpacking(path: Path) -> NoReturn:
    raise DataError(
        f"{path} unpacks to more than {MAX_UNPACKED_BYTES:,} bytes from {path.stat().st_size:,}; unpack it "
        "yourself if you trust it."
    )
