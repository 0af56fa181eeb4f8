"""Folders of shards: what goes in comes out, once an epoch, in an order that seed and epoch fix."""

import json
import shutil
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfzoo.data import shard_writer
from tfzoo.data.shard_manifest import BUCKETS, MANIFEST
from tfzoo.data.shard_writer import Source, write_shards
from tfzoo.data.shards import buckets_of, open_shards
from tfzoo.errors import DataError, UsageError

ROWS = 1000


def frame(rows=ROWS, seed=0):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "user_id": random.integers(0, 90, rows) * 7,
            "item_id": [f"item-{number}" for number in random.integers(0, 60, rows)],
            "rating": random.integers(1, 11, rows) / 2,
            # Tells the rows apart.
            "time": np.arange(rows) + 1_000_000,
        }
    )


def write(folder, data, kind="csv", name="s", source=None, **options):
    path = folder / f"ratings.{kind}"
    data.to_parquet(path) if kind == "parquet" else data.to_csv(path, index=False)
    write_shards(
        Source(path, **{"time_col": "time", **(source or {})}),
        folder / name,
        name="ratings",
        **{"shards": 5, "rows_at_once": 130, **options},
    )
    return folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("shards"), frame())


def rows_of(blocks):
    """Return all columns of the blocks, one after the other."""
    blocks = list(blocks)
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_goes_in_comes_out(tmp_path, kind):
    data = frame()
    shards = open_shards(write(tmp_path, data, kind))
    assert len(shards) == ROWS
    assert (shards.rating_scale, shards.name) == ((0.5, 5.0), "ratings")
    assert shards.rating_sum == data["rating"].sum()
    assert (shards.users.dtype, shards.items.dtype) == ("int64", "string")
    rows = rows_of(shards.blocks(seed=None))
    order = np.argsort(rows["timestamp"])
    assert shards.users.decode(rows["user_id"][order]).tolist() == data["user_id"].tolist()
    assert shards.items.decode(rows["item_id"][order]).tolist() == data["item_id"].tolist()
    assert rows["rating"][order].tolist() == data["rating"].tolist()
    assert rows["timestamp"][order].tolist() == data["time"].tolist()
    assert {name: values.dtype.name for name, values in rows.items()} == {
        "user_id": "int32",
        "item_id": "int32",
        "rating": "float32",
        "timestamp": "int64",
    }
    assert np.array_equal(shards.counts["user"], np.bincount(rows["user_id"]))
    assert len(shards.shards) == 5
    assert min(shards.shards.values()) > ROWS / 5 / 2


def test_ids_that_look_like_numbers_at_first_are_texts(tmp_path):
    data = pd.DataFrame(
        {"user_id": ["7", "8"] * 100 + ["x"], "item_id": ["3"] * 200 + ["4"], "rating": 1, "time": 5}
    )
    shards = open_shards(write(tmp_path, data))
    assert shards.users.ids.tolist() == ["7", "8", "x"]
    assert shards.counts["user"].tolist() == [0, 100, 100, 1]
    assert shards.items.ids.tolist() == [3, 4]


@settings(max_examples=25, deadline=None)
@given(
    block=st.integers(8, 1500),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 50),
    held_out=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_every_row_comes_once_an_epoch_in_blocks_of_bounded_size(folder, block, seed, epoch, held_out):
    shards = open_shards(folder, verify=False)
    seen = []
    for part in ("train", "validation", "test"):
        blocks = list(shards.blocks(part, seed=seed, epoch=epoch, held_out=held_out, block_rows=block))
        sizes = [len(found["user_id"]) for found in blocks]
        assert sum(sizes) == shards.count(part, held_out)
        assert max(sizes) <= block
        seen += [found["timestamp"] for found in blocks]
    assert np.sort(np.concatenate(seen)).tolist() == list(range(1_000_000, 1_000_000 + ROWS))


def test_the_order_is_that_of_seed_and_epoch(folder):
    def order(seed, epoch):
        blocks = open_shards(folder).blocks(seed=seed, epoch=epoch, block_rows=200)
        return rows_of(blocks)["timestamp"].tolist()

    orders = [order(seed, epoch) for seed, epoch in ((1, 0), (1, 1), (2, 0))]
    assert orders[0] == order(1, 0)
    assert len({tuple(each) for each in orders}) == 3
    # Inside a block they come from several shards, in no order.
    assert 0.4 < np.mean(np.diff(orders[0]) > 0) < 0.6


def test_all_rows_of_a_pair_are_in_one_part(folder):
    shards = open_shards(folder)
    pairs = []
    for part in ("train", "validation", "test"):
        rows = rows_of(shards.blocks(part, seed=0, held_out=(20, 20)))
        pairs.append(set(zip(rows["user_id"].tolist(), rows["item_id"].tolist(), strict=True)))
    assert len(set.union(*pairs)) == sum(map(len, pairs))
    assert min(map(len, pairs)) > 60


def test_buckets_are_even():
    user, item = np.divmod(np.arange(100_000, dtype=np.int32), 100)
    assert np.abs(np.bincount(buckets_of(user, item), minlength=BUCKETS) - 1000).max() < 160


def test_the_seed_of_the_shards_fixes_their_bytes_whatever_is_held_at_once(tmp_path):
    data = frame()
    rows = [
        rows_of(open_shards(write(tmp_path, data, name=name, **options)).blocks(seed=None))["timestamp"]
        for name, options in (
            ("a", {"seed": 3}),
            ("b", {"seed": 3, "rows_at_once": 77}),
            ("c", {"seed": 4}),
        )
    ]
    assert rows[0].tolist() == rows[1].tolist() != rows[2].tolist()
    write(tmp_path, data, name="again", seed=3)
    assert (tmp_path / "again" / MANIFEST).read_bytes() == (tmp_path / "a" / MANIFEST).read_bytes()


def test_reading_needs_no_more_memory_for_more_rows(tmp_path):
    def peak(rows):
        shards = open_shards(write(tmp_path, frame(rows), name=f"s{rows}", rows_at_once=500))
        list_of_sizes = []
        tracemalloc.start()
        for block in shards.blocks(seed=0, block_rows=256):
            list_of_sizes.append(len(block["user_id"]))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert sum(list_of_sizes) == rows
        return found

    peak(500)  # What is made once, such as the reader's modules.
    assert peak(16_000) < 1.5 * peak(2000)


def break_manifest(folder, change):
    path = folder / MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


BAD = {
    "no manifest": (lambda f: (f / MANIFEST).unlink(), "it has no manifest.json"),
    "no json": (lambda f: (f / MANIFEST).write_text("{"), "damaged"),
    "another json": (lambda f: (f / MANIFEST).write_text("[1]"), "damaged"),
    "later format": (lambda f: break_manifest(f, lambda m: m.update(format=3)), "has format 3, expected 2"),
    "earlier format": (
        lambda f: break_manifest(f, lambda m: (m.update(format=1), m.pop("manifest_checksum"))),
        "written by an earlier version.* Run 'tfzoo shard' on the data again",
    ),
    "shard missing": (lambda f: (f / "shard-00001.parquet").unlink(), "shard-00001.parquet is missing"),
    "shard short": (
        lambda f: (f / "shard-00001.parquet").write_bytes((f / "shard-00001.parquet").read_bytes()[:-9]),
        "bytes, expected",
    ),
    "shard of others": (
        lambda f: (f / "shard-00001.parquet").write_bytes(bytes((f / "shard-00001.parquet").stat().st_size)),
        "its checksum is not that of the manifest",
    ),
    "vocabulary changed": (
        lambda f: (f / "users.txt").write_text((f / "users.txt").read_text().replace("7", "8", 1)),
        "users.txt is missing, damaged",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_folders_are_refused(folder, tmp_path, case):
    change, message = BAD[case]
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    change(copy)
    with pytest.raises(DataError, match=message) as caught:
        open_shards(copy)
    assert len(str(caught.value).splitlines()) == 1


def test_a_shard_that_breaks_after_opening_is_one_clear_error(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shards = open_shards(copy)
    path = copy / "shard-00002.parquet"
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(DataError, match=r"shard-00002.parquet is missing, damaged or no shard"):
        list(shards.blocks(seed=0))


def test_a_file_that_changes_between_the_passes_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("user_id,item_id,rating\n1,2,3\n2,3,4\n")
    read = shard_writer._first_pass

    def then_changed(*arguments):
        found = read(*arguments)
        path.write_text("user_id,item_id,rating\n1,2,3\n9,3,4\n")
        return found

    monkeypatch.setattr(shard_writer, "_first_pass", then_changed)
    with pytest.raises(DataError, match="changed while it was read"):
        write_shards(Source(path), tmp_path / "out", name="a")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.csv"]


def test_finer_times_keep_their_order(tmp_path):
    data = frame().assign(time=lambda each: each["time"] + each["time"] % 8 / 8)
    shards = open_shards(write(tmp_path, data))
    assert shards.ticks_per_second == 1000
    part = shards.load("train", (1, 1))
    assert (part.ticks_per_second, part.timestamp.dtype) == (1000, np.int64)
    assert set(part.timestamp.tolist()) <= set((1000 * data["time"]).astype(int).tolist())


@pytest.mark.parametrize("held_out", [(50, 50), (-1, 5), (0, 100)])
def test_shares_that_leave_nothing_are_refused(folder, held_out):
    with pytest.raises(UsageError, match="percents that leave some"):
        open_shards(folder).count("train", held_out)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user_id,item_id,rating\n", "has no data rows"),
        ("user_id,item_id\n1,2\n", "no column 'rating'"),
        ("user_id,item_id,rating\n1,2,3\n1,2\n", "row 2 .*: 2 fields, expected 3"),
        ("user_id,item_id,rating\n1,2,3\n1,2,3,4\n", "fields"),
        ("user_id,item_id,rating\n1,2,3\n2,3,good\n", "row 2 .*rating"),
        ("user_id,item_id,rating\n1,2,3\n,3,4\n", "row 2 .*empty id"),
        ('user_id,item_id,rating\n1,"2,3\n', "row 1 .*: a quote is not closed"),
    ],
)
def test_bad_files_leave_no_folder(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        write_shards(Source(path), tmp_path / "out", name="a")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.csv"]


def test_an_error_in_a_later_part_leaves_no_folder(tmp_path):
    data = frame()
    data.loc[700, "rating"] = np.inf
    with pytest.raises(DataError, match=r"row 701 .*'rating'"):
        write(tmp_path, data)
    assert [entry.name for entry in tmp_path.iterdir()] == ["ratings.csv"]


def test_a_folder_that_exists_is_left_alone(tmp_path, folder):
    with pytest.raises(UsageError, match="exists already"):
        write_shards(Source(tmp_path / "none.csv"), folder, name="a")
    assert len(open_shards(folder)) == ROWS
