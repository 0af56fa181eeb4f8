"""``tfzoo shard``: the folder, its message, and wrong use."""

import functools
import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tests.places import seed_of
from tfzoo.cli.main import main
from tfzoo.data.datasets import from_file
from tfzoo.data.shard_manifest import MANIFEST, whole_checksum
from tfzoo.data.shards import open_shards
from tfzoo.runs import load_model
from tfzoo.serving.recommender import BLANK_SCORE
from tfzoo.tasks.streamed import StreamedTrain
from tfzoo.training.record import RunRecord


def write_ratings(folder):
    random = np.random.default_rng(0)
    cells = random.choice(40 * 30, 600, replace=False)
    frame = pd.DataFrame({"u": cells // 30, "i": cells % 30, "stars": random.integers(1, 6, 600)})
    frame.to_csv(folder / "shop.csv", index=False)
    return folder / "shop.csv"


@pytest.fixture
def ratings(tmp_path):
    return write_ratings(tmp_path)


COLUMNS = ["--user-col", "u", "--item-col", "i", "--rating-col", "stars"]


def shard(path, *options):
    return main(["shard", str(path), *COLUMNS, *map(str, options)])


def test_a_file_becomes_a_folder(ratings, tmp_path, capsys):
    output = tmp_path / "new" / "folder"
    assert shard(ratings, "--output", output, "--shards", 3, "--rating-scale", 0, 5) == 0
    assert capsys.readouterr().out == (
        f"{ratings}: 600 rows read, 600 kept, 0 dropped\n"
        f"{output}: 600 rows in 3 shards, columns user_id, item_id, rating\n"
    )
    shards = open_shards(output)
    assert (len(shards), shards.rating_scale, shards.name) == (600, (0.0, 5.0), "shop")
    assert sorted(path.name for path in output.parent.iterdir()) == ["folder"]


def test_repeated_pairs_and_a_header_read_as_data_are_noted_as_training_notes_them(tmp_path, capsys):
    path = tmp_path / "twice.csv"
    path.write_text("user,item\n1,7\n2,8\n1,7\n1,8\n1,7\n", encoding="utf-8")
    options = {"user_col": "1", "item_col": "2"}
    read = from_file(path, **options, header=False, duplicates="keep")
    arguments = ["--user-col", "1", "--item-col", "2", "--rating-col", "", "--no-header"]
    assert main(["shard", str(path), "--output", str(tmp_path / "out"), *arguments]) == 0
    notes = capsys.readouterr().out.splitlines()[:-1]
    assert notes == list(read.notes)
    assert "2 rows have the user and item of an earlier one and are kept too" in notes
    assert "the first row, 'user' and 'item', looks like a header" in notes[-1]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "twice.csv"]


def test_without_ratings(ratings, tmp_path):
    assert shard(ratings, "--output", tmp_path / "out", "--rating-col", "") == 0
    shards = open_shards(tmp_path / "out")
    assert (shards.columns, shards.rating_scale) == (("user_id", "item_id"), None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shards", "0"], "--shards must lie between"),
        (["--seed", "-1"], "--seed must be 0 or more"),
        (["--seed", str(2**32)], "--seed must be below 2^32, 4294967296. Received 4294967296."),
        (["--rating-scale", "5", "1"], "a lower and a higher number"),
        (["--rating-scale", "1", "inf"], "a lower and a higher number"),
        (
            ["--item-col", "item"],
            "shop.csv has no column 'item'. Valid: i, stars, u. Columns: 'u', 'i', 'stars'.\n",
        ),
        (["--item-col", "u"], "error: Each column can play one part only. Received 'u', 'u', 'stars'."),
        (["--sep", '"'], "--sep must be a separator such as"),
        (["--encoding", "utf-9"], "--encoding must be the name of an encoding"),
        (["--no-header"], "With --no-header columns are given by their number from 1, such as --user-col 1."),
        (["--rating-col", "", "--rating-scale", "1", "5"], "rating_scale needs ratings"),
        (["--time-unit", "ms"], "--time-unit ms needs times (--time-col)"),
        (["--rating-scale", "2", "5"], "expected a number from 2 to 5"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_nothing(ratings, tmp_path, capsys, options, message):
    assert shard(ratings, "--output", tmp_path / "out", *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["shop.csv"]


@pytest.mark.parametrize(
    ("model", "metric"), [("biased-mf", "rmse"), pytest.param("gmf", "ndcg@10", marks=pytest.mark.slow)]
)
def test_training_streams_from_the_folder(ratings, tmp_path, capsys, model, metric):
    assert shard(ratings, "--output", tmp_path / "shards") == 0
    train = [
        "train",
        "--model",
        model,
        "--data",
        str(tmp_path / "shards"),
        "--output",
        str(tmp_path / "runs"),
    ]
    settings = ["--set", "training.epochs=2", "--set", "training.batch_size=64", "--no-export"]
    assert main([*train, *settings]) == 0
    assert "600 interactions in 4 shards" in capsys.readouterr().out
    record = RunRecord.load(seed_of(tmp_path / "runs", f"{model}-shop-paper"))
    assert metric in record.metrics["test"]
    assert record.history[-1]["loss"] < record.history[0]["loss"]
    assert main([*train, *settings]) == 0
    again = RunRecord.load(seed_of(tmp_path / "runs", f"{model}-shop-paper"))
    assert (again.metrics, again.fingerprint) == (record.metrics, record.fingerprint)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a function that trains a model on shards, once.

    It gives a folder with ``shards``, and that of a run on them, whose model is exported to ``saved``.
    """

    @functools.cache
    def train(model):
        place = tmp_path_factory.mktemp(model)
        assert shard(write_ratings(place), "--output", place / "shards") == 0
        where = ["--output", str(place / "runs"), "--export-dir", str(place / "saved"), "--seed", "1"]
        settings = ("training.epochs=2", "training.batch_size=64", "training.jit_compile=false")
        options = [part for setting in settings for part in ("--set", setting)]
        data = ["--data", str(place / "shards")]
        assert main(["train", "--model", model, *data, *where, *options]) == 0
        return place, seed_of(place / "runs", f"{model}-shop-paper", 1)

    return train


@pytest.mark.parametrize(
    ("model_name", "metric"),
    [pytest.param("biased-mf", "rmse", marks=pytest.mark.slow), ("gmf", "ndcg@10")],
)
def test_a_model_of_shards_is_exported_and_measured_again(trained, model_name, metric, tmp_path, capsys):
    place, folder = trained(model_name)
    record = RunRecord.load(folder)
    capsys.readouterr()
    assert main(["evaluate", "--run", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert printed.count(f"{record.metrics['test'][metric]:.4f}") >= 2
    assert main(["export", "--run", str(folder), "--export-dir", str(tmp_path), "--keep-seen"]) == 0
    versions = [
        tf.saved_model.load(str(where / f"{record.model}-shop/1")) for where in (place / "saved", tmp_path)
    ]

    model = load_model(folder)
    shards = open_shards(record.data["shards"])
    train = shards.load("train", (5, 5) if record.model == "gmf" else (15, 15))
    assert len(train) < len(shards)
    everything = shards.load("train", (0, 0))
    assert len(everything) == len(shards)
    users = np.unique(train.user_id)
    raw = [shards.users.decode(user) for user in users]
    wanted = {"user_id": tf.constant(raw, tf.int64), "k": tf.fill([len(users)], 100)}
    wanted["exclude_ids"] = tf.zeros([len(users), 0], tf.int64)
    leaves_out, keeps = (version.signatures["recommend"](**wanted) for version in versions)
    inputs = {"user_id": np.repeat(users, 30), "item_id": np.tile(np.arange(1, 31), len(users))}
    scores = np.asarray(next(iter(model(inputs).values()))).reshape(len(users), 30)
    for row, user in enumerate(users):
        seen = set(shards.items.decode(everything.item_id[everything.user_id == user]).tolist())
        listed = leaves_out["scores"][row] > BLANK_SCORE
        assert seen
        assert set(leaves_out["item_ids"][row][listed].numpy().tolist()) == set(range(30)) - seen
        kept = keeps["item_ids"][row].numpy()
        best = shards.items.decode(np.argsort(-scores[row], kind="stable") + 1).tolist()
        assert kept[:5].tolist() == best[:5]


def test_an_export_that_keeps_seen_items_does_not_read_the_training_part(trained, tmp_path, monkeypatch):
    _, folder = trained("gmf")

    def read(_):
        raise AssertionError("the training part was read")

    monkeypatch.setattr(StreamedTrain, "_pairs", property(read))
    export = ["export", "--run", str(folder), "--export-dir", str(tmp_path)]
    assert main([*export, "--keep-seen"]) == 0
    with pytest.raises(AssertionError, match="the training part was read"):
        main(export)


def test_a_run_finds_its_shards_where_they_have_gone(trained, ratings, tmp_path, capsys):
    place, folder = trained("gmf")
    evaluate = ["evaluate", "--run", str(folder)]
    moved = (place / "shards").rename(tmp_path / "moved")
    try:
        assert main(evaluate) == 2
        assert "shards, which is not there. Give --data PATH" in capsys.readouterr().err
        assert main([*evaluate, "--data", str(moved)]) == 0
    finally:
        moved.rename(place / "shards")
    other = pd.read_csv(ratings).iloc[:-1]
    other.to_csv(ratings, index=False)
    assert shard(ratings, "--output", tmp_path / "other") == 0
    capsys.readouterr()
    assert main([*evaluate, "--data", str(tmp_path / "other")]) == 2
    assert "is not the data that" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--no-export", "--min-rating", "4"], "give it to 'tfzoo shard'"),
        (["--no-export", "--user-col", "u"], "--user-col is for files"),
        (["--no-export", "--model", "ease"], "need data in memory"),
        (["--no-export", "--model", "dcf"], "read ids alone"),
        (["--no-export", "--model", "baseline"], "all interactions at once"),
    ],
)
def test_training_that_needs_all_rows_is_refused(ratings, tmp_path, capsys, options, message):
    assert shard(ratings, "--output", tmp_path / "shards") == 0
    output = ["--output", str(tmp_path / "runs"), "--export-dir", str(tmp_path / "saved")]
    assert main(["train", "--model", "gmf", "--data", str(tmp_path / "shards"), *output, *options]) == 2
    assert message in capsys.readouterr().err
    assert not list((tmp_path / "runs").glob("*/*/record.json"))


def test_another_folder_is_no_data(tmp_path, capsys):
    assert main(["train", "--model", "gmf", "--data", str(tmp_path), "--no-export"]) == 2
    assert "is no folder of shards" in capsys.readouterr().err


def test_a_name_in_a_manifest_leads_nowhere(ratings, tmp_path, capsys):
    assert shard(ratings, "--output", tmp_path / "in" / "shards") == 0
    path = tmp_path / "in" / "shards" / MANIFEST
    manifest = {**json.loads(path.read_text()), "name": "../../../../escaped"}
    path.write_text(json.dumps({**manifest, "manifest_checksum": whole_checksum(manifest)}))
    before = sorted(tmp_path.rglob("*"))
    places = ["--output", str(tmp_path / "in" / "runs"), "--export-dir", str(tmp_path / "in" / "saved")]
    capsys.readouterr()
    assert main(["train", "--model", "gmf", "--data", str(path.parent), *places]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"tfzoo: error: {path} is damaged or no manifest of shards: name: ")
    assert len(error.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before
