"""What stands in the manifest of a folder of shards; whatever else stands there is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tfzoo.errors import DataError

FORMAT = 2
MANIFEST = "manifest.json"
BUCKETS = 100
# One of 256 shards has some 100 kB.
MOST_BYTES = 1 << 24
MOST_ROWS = 1 << 48
FILES = {"users.txt", "items.txt", "users.npy", "items.npy"}
_SHOWN = 100

Count = Annotated[int, Field(ge=0, le=MOST_ROWS)]
Digest = Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]
# What `tfzoo.data.datasets.names.slug` makes: folders of runs are named after it.
Name = Annotated[str, Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z")]
Range = tuple[float, float]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class FileEntry(_Strict):
    """One file of the folder.

    Attributes:
        bytes: its size.
        sha256: its checksum.
        rows: how many rows it holds, for a shard; None for any other file.
    """

    bytes: Count
    sha256: Digest
    rows: Count | None = None


class Manifest(_Strict):
    """The description of a folder of shards.

    Attributes:
        format: version of this description.
        name: short name of the data.
        seed: fixed which row went where.
        rows: of all shards.
        columns: of each shard, in this order.
        users: type of the raw user ids.
        items: type of the raw item ids.
        ticks_per_second: see `Interactions`.
        rating_scale: lowest and highest rating possible; None without ratings.
        rating_range: lowest and highest rating that occurs; None without ratings.
        rating_sum: sum of all ratings.
        buckets: rows of each bucket.
        files: name -> what the file holds.
        checksum: of ``files``, and so of the whole content.
        manifest_checksum: of all the rest of the manifest.
    """

    format: Literal[2]
    name: Name
    seed: Annotated[int, Field(ge=0)]
    rows: Annotated[int, Field(ge=1, le=MOST_ROWS)]
    columns: tuple[Literal["user_id", "item_id", "rating", "timestamp"], ...]
    users: Literal["int64", "string"]
    items: Literal["int64", "string"]
    ticks_per_second: Literal[1, 1_000, 1_000_000, 1_000_000_000]
    rating_scale: Range | None
    rating_range: Range | None
    rating_sum: float
    buckets: Annotated[tuple[Count, ...], Field(min_length=BUCKETS, max_length=BUCKETS)]
    files: dict[Annotated[str, Field(pattern=r"\A[a-z]+(-[0-9]{5})?\.[a-z]+\z")], FileEntry]
    checksum: Digest
    manifest_checksum: Digest

    @property
    def shards(self) -> dict[str, int]:
        """Name of each shard -> its number of rows."""
        return {name: entry.rows for name, entry in self.files.items() if entry.rows is not None}

    @model_validator(mode="after")
    def _check_sums(self) -> Manifest:
        known = {"user_id", "item_id"} | {
            column for column in self.columns if column in ("rating", "timestamp")
        }
        if self.columns[:2] != ("user_id", "item_id") or len(self.columns) != len(known):
            raise ValueError("columns must be user_id, item_id and what else there is, each once")
        for name in self.files:
            if name not in FILES and name not in self.shards:
                raise ValueError(f"{name!r} is no file of a folder of shards")
        if not self.files.keys() >= FILES or FILES & self.shards.keys() or not self.shards:
            raise ValueError("files must be the shards, two vocabularies and two counts")
        if not self.rows == sum(self.buckets) == sum(self.shards.values()):
            raise ValueError("the numbers of rows do not add up")
        for bounds in (self.rating_scale, self.rating_range):
            if (bounds is None) == ("rating" in self.columns) or (bounds and bounds[0] > bounds[1]):
                raise ValueError(
                    "the scale and the range of the ratings must be two numbers, the lower one first"
                )
        return self


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        DataError: it is damaged, of another version, or was changed after it was written.
    """

    def refuse(reason: str) -> DataError:
        return DataError(f"{path} is damaged or no manifest of shards: {reason}.")

    try:
        if path.stat().st_size > MOST_BYTES:
            raise refuse(f"it has more than {MOST_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8")
        values = json.loads(text)
        written = values.get("format") if isinstance(values, dict) else None
        if written == 1:
            raise DataError(
                f"{path} was written by an earlier version, which did not check all rows of the file and "
                "left the manifest without a checksum. Run 'tfzoo shard' on the data again."
            )
        if isinstance(written, int) and written != FORMAT:
            raise DataError(f"{path} has format {written}, expected {FORMAT}. Run 'tfzoo shard' again.")
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        what = problem["msg"].removeprefix("Value error, ")
        raise refuse(ascii(f"{where}: {what}" if where else what)[1 : _SHOWN + 1]) from error
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise refuse(ascii(" ".join(str(error).split()))[1:-1][:_SHOWN]) from error
    if manifest.checksum != content_checksum(values["files"]):
        raise refuse("its checksum is not that of its content")
    if manifest.manifest_checksum != whole_checksum(values):
        raise refuse("its checksum is not that of the manifest, which was changed after it was written")
    return manifest


def content_checksum(files: Mapping[str, Any]) -> str:
    """Return the checksum of all files together."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def whole_checksum(manifest: Mapping[str, Any]) -> str:
    """Return the checksum of a manifest without the one that it holds."""
    return content_checksum({key: value for key, value in manifest.items() if key != "manifest_checksum"})
