"""Tasks on shards: each row once an epoch, negatives beside it, and the same batches for a seed."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tests.zoo import build
from tfzoo.data.pipelines import BatchPlan
from tfzoo.data.shard_writer import Source, write_shards
from tfzoo.data.shards import open_shards
from tfzoo.errors import DataError, UsageError
from tfzoo.problems.rating import RatingSettings
from tfzoo.tasks import ImplicitSettings, ImplicitTask, RatingTask, ReconstructionTask, streamed
from tfzoo.tasks.streamed import StreamedTrain, reading_shards, streamed_task

USERS, ITEMS, ROWS = 30, 20, 311


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streamed")
    cells = np.random.default_rng(0).choice(USERS * ITEMS, ROWS, replace=False)
    # The rating tells the user and item of its row.
    frame = pd.DataFrame({"user_id": cells // ITEMS, "item_id": cells % ITEMS, "rating": cells})
    frame.to_parquet(folder / "a.parquet")
    write_shards(Source(folder / "a.parquet"), folder / "s", name="a", shards=3, rows_at_once=50)
    return StreamedTrain(open_shards(folder / "s"), (10, 10))


def epoch(task, train, model="gmf", batch_size=16, block=3, epochs=1, **options):
    features = task.features(build(model, 0, 0.5, USERS, ITEMS), type("S", (), {"train": train}), None)
    dataset = task.train_dataset(
        features, train, BatchPlan(batch_size=batch_size, block=block, **{"seed": 3, **options})
    )
    steps = task.steps_per_epoch(features, train, batch_size)
    elements = list(dataset.take(epochs * -(-steps // block)).as_numpy_iterator())
    assert all(weight.shape == (block, batch_size) for _, _, weight in elements)
    columns = [{**inputs, **labels, "weight": weight} for inputs, labels, weight in elements]
    joined = {name: np.concatenate([part[name].ravel() for part in columns]) for name in columns[0]}
    return {name: values[joined["weight"] > 0] for name, values in joined.items()}


def rows_of(train):
    rows = list(train.shards.blocks("train", seed=None, held_out=train.held_out))
    return sorted(
        (user, item, rating)
        for block in rows
        for user, item, rating in zip(
            *(block[c].tolist() for c in ("user_id", "item_id", "rating")), strict=True
        )
    )


@pytest.mark.parametrize("block_rows", [7, 1 << 19])
def test_an_epoch_of_ratings_is_the_training_part(train, monkeypatch, block_rows):
    monkeypatch.setattr(streamed, "BLOCK_ROWS", block_rows)
    task = streamed_task(RatingTask())
    seen = epoch(task, train, "biased-mf")
    assert len(train) < ROWS
    columns = (seen[name].tolist() for name in ("user_id", "item_id", "rating"))
    assert sorted(zip(*columns, strict=True)) == rows_of(train)


def test_an_epoch_of_pairs_has_each_positive_once_and_its_negatives(train):
    task = streamed_task(ImplicitTask(ImplicitSettings(negatives=2)))
    seen = epoch(task, train)
    positive = seen["label"] == 1
    pairs = zip(seen["user_id"][positive].tolist(), seen["item_id"][positive].tolist(), strict=True)
    assert sorted(pairs) == [row[:2] for row in rows_of(train)]
    assert (~positive).sum() == 2 * len(train)
    per_user = np.bincount(seen["user_id"], minlength=USERS + 1)
    assert np.array_equal(per_user, 3 * np.bincount([row[0] for row in rows_of(train)], minlength=USERS + 1))
    negatives = seen["item_id"][~positive]
    assert set(negatives.tolist()) == set(range(1, ITEMS + 1))


def test_pairwise_batches(train):
    seen = epoch(streamed_task(ImplicitTask(ImplicitSettings(loss="bpr", negatives=1))), train, "bpr-mf")
    assert len(seen["negative_id"]) == len(train)
    assert sorted(zip(seen["user_id"].tolist(), seen["item_id"].tolist(), strict=True)) == [
        row[:2] for row in rows_of(train)
    ]


def test_a_later_start_gives_the_later_epoch(train):
    task = streamed_task(ImplicitTask(ImplicitSettings(negatives=2)))
    both = epoch(task, train, epochs=2)
    later = epoch(task, train, first_epoch=1)
    half = len(later["user_id"])
    assert all(np.array_equal(later[name], both[name][half:]) for name in later)
    assert not np.array_equal(later["item_id"], both["item_id"][:half])
    assert not np.array_equal(epoch(task, train, seed=4)["item_id"], both["item_id"][:half])


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (ImplicitTask(ImplicitSettings(labels="rating")), "labels: rating"),
        (RatingTask(RatingSettings(examples="users")), "examples: users"),
        (ReconstructionTask(), "'reconstruction'"),
    ],
)
def test_what_needs_all_rows_is_refused(task, message):
    with pytest.raises(UsageError, match=message):
        streamed_task(task)


def test_models_that_read_rows_are_refused(train):
    with pytest.raises(UsageError, match="read ids alone"):
        epoch(streamed_task(RatingTask()), train, "dcf")


def test_a_closed_form_is_refused(train):
    matrix = streamed_task(RatingTask()).matrix(train)
    assert matrix.getnnz(axis=1).sum() == ROWS
    with pytest.raises(UsageError, match="all interactions at once"):
        matrix.tocsc()


def test_a_shard_that_is_lost_during_training_is_named(tmp_path):
    frame = pd.DataFrame({"user_id": np.arange(40) % 8, "item_id": np.arange(40) % 10, "rating": 3.0})
    frame.to_parquet(tmp_path / "a.parquet")
    write_shards(Source(tmp_path / "a.parquet"), tmp_path / "s", name="a", shards=2)
    shards = open_shards(tmp_path / "s")
    lost = tmp_path / "s" / list(shards.shards)[1]
    lost.unlink()
    with pytest.raises(DataError, match=f"^{lost} is missing, damaged or no shard: "), reading_shards():
        epoch(streamed_task(RatingTask()), StreamedTrain(shards), "biased-mf")
    with pytest.raises(tf.errors.UnimplementedError, match="other"), reading_shards():
        raise tf.errors.UnimplementedError(None, None, "other")
