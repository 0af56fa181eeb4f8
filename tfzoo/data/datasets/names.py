"""Short names of data: a part of the names of folders, and not the same for two files."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from tfzoo.data.datasets.registry import registered

# What the end of a file's name says of its format, and nothing of its content.
ENDINGS = ("gz", "csv", "tsv", "tab", "txt", "dat", "json", "jsonl", "parquet", "pq")
DIGITS = 8
OWN = "-own"
_LONGEST_NAME = 64


def file_name(path: Path) -> str:
    """Return the name of a file without its format: ``log.2024-01`` for ``log.2024-01.csv.gz``."""
    parts = path.name.split(".")
    for _ in range(2):
        if len(parts) > 1 and parts[-1].lower() in ENDINGS:
            parts.pop()
    return ".".join(parts)


def slug(name: str) -> str:
    """Return a name as a part of the names of folders and addresses: plain letters, digits, dashes, dots.

    Where letters are lost, a digest of the whole name tells it from others; data of one's own never has
    the name of a data set.
    """
    plain = re.sub("[^A-Za-z0-9._-]+", "-", name).strip("-._") or "data"
    if plain == name and len(plain) <= _LONGEST_NAME:
        return plain + OWN if plain.lower() in registered() else plain
    digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:DIGITS]
    return f"{plain[: _LONGEST_NAME - DIGITS - 1].rstrip('-._')}-{digest}"
