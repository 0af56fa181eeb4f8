"""What is said of data before training: equal ratings, ratings of 0, pairs and items of the test part."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.zoo import table
from tfzoo.data.splits import Negatives, Split
from tfzoo.data_notes import PYTHON, notes_on, notes_on_shards
from tfzoo.experiment import Experiment
from tfzoo.training.recipe import load_recipe


def experiment(
    evaluation,
    split=None,
    *,
    min_rating=None,
    refit=False,
    data=None,
    kind="leave-out",
    measure="",
    labels="binary",
):
    recipe = SimpleNamespace(
        filter=SimpleNamespace(min_rating=min_rating),
        training=SimpleNamespace(refit=refit),
        split=SimpleNamespace(kind=kind),
        builder={},
    )
    needs = SimpleNamespace(clicks=False)
    task = SimpleNamespace(
        needs=needs,
        predicts_ratings=evaluation == "rating",
        ranks_lists=evaluation == "ranking",
        asks_every_event=evaluation == "next-item" or measure == "events",
        settings=SimpleNamespace(labels=labels),
    )
    return SimpleNamespace(split=split, task=task, recipe=recipe, data=data or {"file": "a.csv"})


def parts(train, validation, test, ratings=None, **options):
    """Make a split of pairs; ratings are those of the training part."""
    pairs = [np.array(part).T for part in (train, validation, test)]
    scale = None if ratings is None else (min(ratings), max(ratings))
    rated = [ratings] + [None if ratings is None else np.ones(len(pairs[at][0])) for at in (1, 2)]
    columns = {"num_users": 9, "num_items": 9, "rating_scale": scale}
    made = [table(*pair, rating, **columns) for pair, rating in zip(pairs, rated, strict=True)]
    return Split(*made, protocol="by hand", **options)


PLAIN = ([(1, 1), (1, 2), (2, 1)], [(2, 2)], [(3, 1)])


@pytest.mark.parametrize("evaluation", ["rating", "ranking", "next-item"])
def test_nothing_is_said_of_sound_data(evaluation):
    assert notes_on(experiment(evaluation, parts(*PLAIN, [1.0, 2, 3]), min_rating=1.0)) == []
    assert notes_on(experiment(evaluation, parts(*PLAIN))) == []


def test_equal_ratings():
    told = "all ratings are 3: nothing can be learned from equal ratings"
    split = parts(*PLAIN, [3.0, 3, 3])
    assert notes_on(experiment("rating", split)) == [f"{told}; --rating-scale gives the scale they are of"]
    # To implicit feedback ratings that are all 1 are as good as none.
    assert notes_on(experiment("ranking", split)) == []
    shards = SimpleNamespace(rating_range=(3.0, 3.0), rating_scale=(1.0, 5.0))
    assert notes_on_shards(experiment("rating"), shards) == [told]
    assert notes_on_shards(experiment("rating"), SimpleNamespace(rating_range=None)) == []


def test_stars_that_count_as_positive_whatever_they_are():
    split = parts(*PLAIN, [1.0, 5, 3])
    (note,) = notes_on(experiment("ranking", split))
    assert note.startswith(
        "all 3 ratings of the training part, 1 to 5, count as positive, low ones too; --min-"
    )
    assert notes_on(experiment("ranking", split, min_rating=4.0)) == []
    graded = experiment("ranking", split)
    graded.task.settings.labels = "rating"
    assert notes_on(graded) == []


@pytest.mark.parametrize("model", ["deepfm", "wide-deep"])
def test_models_of_side_features_say_that_there_are_none(toy, model):
    plain = replace(toy, item_features={}, user_features={})
    (note,) = notes_on(Experiment.prepare(load_recipe(model, "toy"), plain, 0))
    assert note == f"'toy' has no side features of users or items: {model} learns from ids alone"
    colours = np.array(["", *["red", "blue"] * 10])
    featured = replace(plain, item_features={"genres": colours})
    assert notes_on(Experiment.prepare(load_recipe(model, "toy"), featured, 0)) == []


def test_ratings_of_zero_that_count_as_positive():
    split = parts(*PLAIN, [0.0, -2, 3])
    told = "are 0 or less and count as positive like all others; --min-rating says which count"
    for evaluation in ("ranking", "next-item"):
        assert notes_on(experiment(evaluation, split)) == [f"2 ratings of the training part {told}"]
    (note,) = notes_on(experiment("ranking", split, labels="rating"))
    assert "they are trained towards 0, and count as positive" in note
    assert notes_on(experiment("ranking", split, min_rating=0.0)) == []
    assert notes_on(experiment("rating", split)) == []
    shards = SimpleNamespace(rating_range=(0.0, 5.0), rating_scale=(0.0, 5.0))
    assert notes_on_shards(experiment("ranking"), shards) == [f"ratings {told}"]


def test_python_has_arguments_in_place_of_options():
    ranking = experiment("ranking", parts(*PLAIN[:2], [(1, 1), (3, 1)], [1.0, 5, 3]))
    stars, known = notes_on(ranking, PYTHON)
    assert stars.endswith("low ones too; min_rating= says which count")
    assert known.endswith("known items are ranked as well")
    equal = notes_on(experiment("rating", parts(*PLAIN, [3.0, 3, 3])), PYTHON)
    assert "; rating_scale= of tfzoo.from_dataframe gives the scale" in equal[0]
    events = experiment("next-item", parts(*PLAIN[:2], [(3, 1), (3, 1)]))
    assert notes_on(events, PYTHON)[0].endswith("the lists of an export leave them out")
    for made in (ranking, events):
        assert not any("--" in note for note in notes_on(made, PYTHON))


def test_events_that_repeat_an_item_of_their_session():
    train, validation, _ = PLAIN
    split = parts(train, validation, [(3, 1), (3, 2), (3, 1), (4, 1), (3, 1)])
    told = "2 of 5 test events repeat an item of their session"
    for options in ({"evaluation": "next-item"}, {"evaluation": "sequence", "measure": "events"}):
        (note,) = notes_on(experiment(split=split, **options))
        assert note.startswith(told)
        assert "--keep-seen" in note
    assert not any("repeat" in note for note in notes_on(experiment("sequence", split, measure="lists")))


def test_test_pairs_that_training_has():
    train, validation, _ = PLAIN
    split = parts(train, validation, [(1, 1), (1, 1), (2, 2), (3, 1)])
    told = "2 test pairs of a user and an item are among those of training too"
    (note,) = notes_on(experiment("ranking", split))
    assert note.startswith(f"{told}: known items are ranked as well")
    (note,) = notes_on(experiment("rating", split))
    assert note.startswith(f"{told}, which makes figures better")
    assert not any(told in note for note in notes_on(experiment("next-item", split)))
    negatives = {"test": Negatives(np.array([1, 2, 3]), np.full((3, 1), 2))}
    drawn = parts(train, validation, [(1, 1), (2, 2), (3, 1)], negatives=negatives)
    assert notes_on(experiment("ranking", drawn)) == []


def test_test_items_that_training_lacks():
    train, _, test = PLAIN
    split = parts(train, [(2, 5)], [*test * 8, (3, 5), (4, 6)])
    assert notes_on(experiment("ranking", split)) == [
        "2 of 10 test rows have an item that training lacks, and are missed"
    ]
    # After a refit training has the items of validation too.
    assert notes_on(experiment("ranking", split, refit=True)) == [
        "1 of 10 test rows have an item that training lacks, and are missed"
    ]
    assert notes_on(experiment("ranking", parts(train, [(2, 5)], [*test * 19, (3, 5)]))) == []


@pytest.mark.parametrize(
    ("negatives", "cutoffs", "noted"),
    [(None, (1, 2, 5), [2, 5]), (3, (3, 4), [4]), (None, (1,), [])],
)
def test_lists_that_hold_every_item_that_is_ranked(negatives, cutoffs, noted):
    drawn = {} if negatives is None else {"test": Negatives(np.array([3]), np.ones((1, negatives)))}
    asked = experiment("ranking", parts(*PLAIN, negatives=drawn))
    asked.task.settings.cutoffs = cutoffs
    ranked = 2 if negatives is None else negatives + 1
    assert notes_on(asked) == [
        f"lists of {cutoff} hold all {ranked} items that are ranked: recall and hit rate at {cutoff} are 1, "
        "or nearly, whatever the model"
        for cutoff in noted
    ]


def test_equal_times_of_a_named_data_set():
    timed = [
        replace(part, timestamp=np.array(times))
        for part, times in zip(
            [getattr(parts(*PLAIN), name) for name in ("train", "validation", "test")],
            ([5, 6, 7], [7], [5]),
            strict=True,
        )
    ]
    split = Split(*timed, protocol="by hand")
    named = {"dataset": "ml-100k"}
    assert notes_on(experiment("next-item", split, data=named)) == [
        "2 rows have the same time as another row of their user; such rows keep the order in which they stand"
    ]
    # Nothing orders a random split by time, and of files the reader has said it.
    assert notes_on(experiment("next-item", split, data=named, kind="random")) == []
    assert notes_on(experiment("next-item", split)) == []
    assert notes_on(experiment("next-item", parts(*PLAIN), data=named)) == []
