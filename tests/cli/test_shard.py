"""``tfzoo shard``: the folder, its message, and wrong use."""

import numpy as np
import pandas as pd
import pytest

from tfzoo.cli.main import main
from tfzoo.data.shards import open_shards
from tfzoo.training.record import RunRecord


@pytest.fixture
def ratings(tmp_path):
    random = np.random.default_rng(0)
    cells = random.choice(40 * 30, 600, replace=False)
    frame = pd.DataFrame({"u": cells // 30, "i": cells % 30, "stars": random.integers(1, 6, 600)})
    frame.to_csv(tmp_path / "shop.csv", index=False)
    return tmp_path / "shop.csv"


COLUMNS = ["--user-col", "u", "--item-col", "i", "--rating-col", "stars"]


def shard(path, *options):
    return main(["shard", str(path), *COLUMNS, *map(str, options)])


def test_a_file_becomes_a_folder(ratings, tmp_path, capsys):
    output = tmp_path / "new" / "folder"
    assert shard(ratings, "--output", output, "--shards", 3, "--rating-scale", 0, 5) == 0
    assert capsys.readouterr().out == (f"{output}: 600 rows in 3 shards, columns user_id, item_id, rating\n")
    shards = open_shards(output)
    assert (len(shards), shards.rating_scale, shards.name) == (600, (0.0, 5.0), "shop")
    assert sorted(path.name for path in output.parent.iterdir()) == ["folder"]


def test_without_ratings(ratings, tmp_path):
    assert shard(ratings, "--output", tmp_path / "out", "--rating-col", "") == 0
    shards = open_shards(tmp_path / "out")
    assert (shards.columns, shards.rating_scale) == (("user_id", "item_id"), None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shards", "0"], "--shards must lie between"),
        (["--seed", "-1"], "--seed must be 0 or more"),
        (["--rating-scale", "5", "1"], "a lower and a higher number"),
        (["--rating-scale", "1", "inf"], "a lower and a higher number"),
        (["--item-col", "item"], "shop.csv has no column 'item'. Valid: i, stars, u.\n"),
        (["--item-col", "u"], "error: Each column can play one part only. Received 'u', 'u', 'stars'."),
        (["--sep", "::"], "--sep must be one character"),
        (["--rating-scale", "2", "5"], "expected a number from 2 to 5"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_nothing(ratings, tmp_path, capsys, options, message):
    assert shard(ratings, "--output", tmp_path / "out", *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["shop.csv"]


@pytest.mark.parametrize(("model", "metric"), [("biased-mf", "rmse"), ("gmf", "ndcg@10")])
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
    record = RunRecord.load(tmp_path / "runs" / f"{model}-shop-paper" / "seed-0")
    assert metric in record.metrics["test"]
    assert record.history[-1]["loss"] < record.history[0]["loss"]
    assert main([*train, *settings]) == 0
    again = RunRecord.load(tmp_path / "runs" / f"{model}-shop-paper" / "seed-0")
    assert (again.metrics, again.fingerprint) == (record.metrics, record.fingerprint)
    capsys.readouterr()
    for command in ("evaluate", "export"):
        assert main([command, "--run", str(tmp_path / "runs" / f"{model}-shop-paper" / "seed-0")]) == 2
        assert "was trained on the shards" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "add --no-export"),
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
