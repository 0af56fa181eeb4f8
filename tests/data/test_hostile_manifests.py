"""Manifests of shards that someone else wrote: opened as they are, or one error, and nothing else happens."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tfzoo.data.shard_manifest import MANIFEST, content_checksum, whole_checksum
from tfzoo.data.shard_writer import Source, write_shards
from tfzoo.data.shards import open_shards
from tfzoo.errors import DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    cells = np.random.default_rng(0).choice(40 * 30, 600, replace=False)
    frame = pd.DataFrame({"user_id": cells // 30, "item_id": cells % 30, "rating": cells % 5 + 1, "t": cells})
    frame.to_csv(folder / "a.csv", index=False)
    write_shards(Source(folder / "a.csv", time_col="t"), folder / "s", name="a", shards=3)
    return folder / "s"


def sign(manifest):
    """Give a manifest the checksums that its content has."""
    manifest["checksum"] = content_checksum(manifest["files"])
    manifest["manifest_checksum"] = whole_checksum(manifest)
    return manifest


def put(**values):
    return lambda manifest: manifest.update(values)


def rename(old, new):
    return lambda manifest: manifest["files"].update({new: manifest["files"].pop(old)})


def entry(name="shard-00000.parquet", **values):
    return lambda manifest: manifest["files"][name].update(values)


def drop(*names):
    return lambda manifest: [manifest.pop(name) for name in names]


SHARD = "shard-00001.parquet"
# Whoever writes these can compute checksums too.
SIGNED = {
    "a name above": put(name="../../../../escaped"),
    "an absolute name": put(name="/tmp/escaped"),
    "a name with NUL": put(name="a\0b"),
    "a name with a line break": put(name="a\nb"),
    "a name that hides": put(name=".."),
    "no name": put(name=""),
    "a long name": put(name="a" * 10_000),
    "a name with backslashes": put(name="..\\..\\escaped"),
    "a name of half a character": put(name="\ud800"),
    "a name of blanks": put(name=" "),
    "a name with a percent sign": put(name="%2e%2e%2f"),
    "a number for a name": put(name=7),
    "a list for a name": put(name=["a"]),
    "no name at all": drop("name"),
    "a file above": rename(SHARD, "../shard-00001.parquet"),
    "an absolute file": rename(SHARD, "/etc/passwd"),
    "a file in a folder": rename(SHARD, "a/shard-00001.parquet"),
    "a file with NUL": rename(SHARD, "shard-00001.parquet\0"),
    "a file with a line break": rename(SHARD, "shard-00001.parquet\n"),
    "a file without a name": rename(SHARD, ""),
    "a file that is the folder": rename(SHARD, "."),
    "a file of another kind": rename(SHARD, "shard-00001.exe"),
    "a shard that is the manifest": rename(SHARD, MANIFEST),
    "a shard that is the vocabulary": entry("users.txt", rows=5),
    "a shard that is not there": rename(SHARD, "shard-00009.parquet"),
    "no vocabulary": lambda manifest: manifest["files"].pop("users.txt"),
    "no counts": lambda manifest: manifest["files"].pop("items.npy"),
    "no shards": lambda manifest: [
        manifest["files"].pop(f"shard-{number:05d}.parquet") for number in range(3)
    ],
    "no files": put(files={}),
    "a list of files": put(files=[]),
    "files of no kind": put(files=None),
    "an entry of no kind": lambda manifest: manifest["files"].update({SHARD: 7}),
    "an entry with more": entry(more=1),
    "rows of a shard": entry(rows=1),
    "rows below 0": entry(rows=-1),
    "rows without end": entry(rows=10**30),
    "rows that are no number": entry(rows="7"),
    "rows that are true": entry(rows=True),
    "half a row": entry(rows=0.5),
    "bytes below 0": entry(bytes=-1),
    "bytes of 400 digits": entry(bytes=10**400),
    "another size": entry(bytes=1),
    "a short checksum": entry(sha256="00"),
    "another checksum": entry(sha256="0" * 64),
    "huge counts": put(rows=2**62),
    "one bucket": put(buckets=[600]),
    "no buckets": put(buckets=[]),
    "more buckets": put(buckets=[6] * 101),
    "a bucket below 0": put(buckets=[-6, 612, *[0] * 97, -6]),
    "buckets of text": put(buckets=["6"] * 100),
    "buckets of other rows": put(buckets=[6] * 100),
    "no columns": put(columns=[]),
    "a column that is unknown": put(columns=["user_id", "item_id", "secret"]),
    "a column twice": put(columns=["user_id", "item_id", "rating", "rating"]),
    "columns turned round": put(columns=["item_id", "user_id", "rating", "timestamp"]),
    "a column that the shards lack": put(columns=["user_id", "item_id", "timestamp"]),
    "ids of another type": put(users="object"),
    "texts for numbers": put(users="string", rating_sum="7"),
    "a scale of text": put(rating_scale=["1", "5"]),
    "a scale turned round": put(rating_scale=[5, 1]),
    "a scale of one": put(rating_scale=[5]),
    "a scale without end": put(rating_scale=[1, float("inf")]),
    "a sum that is no number": put(rating_sum=float("nan")),
    "a range without ratings": put(rating_range=None),
    "a range that the ratings leave": put(rating_range=[1, 4]),
    "ticks of another unit": put(ticks_per_second=60),
    "no ticks": put(ticks_per_second=0),
    "a seed below 0": put(seed=-1),
    "more than there is": put(more=1),
    "a format of text": put(format="2"),
    "no format": drop("format"),
}
RAW = {
    "nothing": b"",
    "a bracket": b"{",
    "truncated": None,
    "NULs": bytes(1000),
    "a list": b"[1]",
    "a number": b"2",
    "null": b"null",
    "no UTF-8": b'{"name": "\xff"}',
    "UTF-16": '{"format": 2}'.encode("utf-16"),
    "brackets without end": b"[" * 100_000,
    "objects without end": b'{"files":' * 100_000,
    "a number of 5,000 digits": b'{"format": ' + b"9" * 5000 + b"}",
    "not a number": b'{"format": NaN}',
}


def snapshot(folder):
    """Return what lies in a folder, with checksums."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def use(folder):
    """Open shards and go through them as training does."""
    shards = open_shards(folder)
    assert sum(len(block["user_id"]) for block in shards.blocks(seed=0, block_rows=64)) == len(shards)
    shards.load("test", (20, 20))


def refused(folder, outside):
    before = snapshot(outside)
    with pytest.raises(DataError) as caught:
        use(folder)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < len(str(folder)) + 500
    assert snapshot(outside) == before


@pytest.fixture
def copy(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "a" / "s")
    return tmp_path / "a" / "s"


@pytest.mark.parametrize("case", SIGNED)
def test_signed_manifests(copy, tmp_path, case):
    manifest = json.loads((copy / MANIFEST).read_text())
    use(copy)
    SIGNED[case](manifest)
    (copy / MANIFEST).write_text(json.dumps(sign(manifest)))
    refused(copy, tmp_path)


@pytest.mark.parametrize("case", RAW)
def test_files_that_are_no_manifest(copy, tmp_path, case):
    whole = (copy / MANIFEST).read_bytes()
    (copy / MANIFEST).write_bytes(whole[:-200] if RAW[case] is None else RAW[case])
    refused(copy, tmp_path)


def test_the_checksum_is_of_the_whole_manifest(copy, tmp_path):
    manifest = json.loads((copy / MANIFEST).read_text())
    others = {"name": "b", "seed": 7, "rating_scale": [0, 9], "rating_sum": 1.5, "ticks_per_second": 1000}
    others |= {"manifest_checksum": "0" * 64}
    for key, value in others.items():
        (copy / MANIFEST).write_text(json.dumps({**manifest, key: value}))
        with pytest.raises(DataError, match="is not that of the manifest, which was changed"):
            open_shards(copy)
    (copy / MANIFEST).write_text(json.dumps(sign({**manifest, "name": "b"})))
    assert open_shards(copy).name == "b"


def test_a_shard_that_is_a_device_is_not_read(copy, tmp_path):
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["files"][SHARD]["bytes"] = 0
    (copy / MANIFEST).write_text(json.dumps(sign(manifest)))
    (copy / SHARD).unlink()
    (copy / SHARD).symlink_to("/dev/zero")
    with pytest.raises(DataError, match="no such file"):
        open_shards(copy)


def test_names_with_slashes_are_no_names_of_data(toy):
    for name in ("../escaped", "a\\b", "a\nb", "x" * 100):
        with pytest.raises(DataError, match="The name of data must have at most 80 letters"):
            replace(toy, name=name)


def test_the_corpus_is_large_enough():
    assert len(SIGNED) + len(RAW) >= 60
