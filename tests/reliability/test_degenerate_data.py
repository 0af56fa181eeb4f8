"""Data with next to nothing in it trains to finite figures, or is refused before anything is written."""

import itertools
import math
import os
import re
import signal

import numpy as np
import pytest

from tests.reliability.degenerate import DATA, SPLIT, interactions, small_recipe
from tests.zoo import examples_of, sampled, small, task_of
from tfzoo.errors import DataError, TfzooError, UsageError
from tfzoo.experiment import Experiment
from tfzoo.models import list_models
from tfzoo.runs import run
from tfzoo.training.record import RunRecord

pytestmark = pytest.mark.slow

SECONDS = 120

# One model a task.
MODELS = {
    "rating": "biased-mf",
    "review-rating": "deepconn",
    "implicit": "gmf",
    "reconstruction": "cdae",
    "next-item": "gru4rec",
    "click": "deepfm-click",
}
EMPTY = "(train|validation|test) part is empty"
NOTHING_LEFT = "no interaction is left"
NO_NEGATIVE = "there is no negative item to draw"
ONE_KIND = "part has no impression with(out)? a click"
NO_SESSION = "no session of two events"
NO_HISTORY = "no user with two events"
DIVERGED = "Training diverged in epoch 1 at steps 1 to 2 of"

# By task and data, why it is refused; everything else trains.
NO_TIME = "gaps between events need a time"
REFUSED = {
    ("rating", "one interaction"): EMPTY,
    ("rating", "vast ratings"): DIVERGED,
    ("review-rating", "one interaction"): EMPTY,
    ("review-rating", "vast ratings"): DIVERGED,
    ("review-rating", "no words"): "training reviews .* hold no word",
    **{
        (task, data): EMPTY
        for task in ("implicit", "reconstruction")
        for data in ("one item", "one interaction", "two items", "one interaction each")
    },
    ("implicit", "one item again and again"): NO_NEGATIVE,
    ("implicit", "one pair repeated"): NO_NEGATIVE,
    **{("next-item", data): NO_SESSION for data in ("one item", "one interaction", "one interaction each")},
    **{("sequence", data): NO_HISTORY for data in ("one item", "one interaction", "one interaction each")},
    ("sequence", "two items"): EMPTY,
    ("click", "one interaction"): EMPTY,
    **{
        ("click", data): ONE_KIND
        for data in (
            *("one item", "one user", "one pair repeated", "two items", "equal ratings"),
            *("one interaction each", "vast ratings"),
        )
    },
    **{("next-item", data): EMPTY for data in ("one user", "one pair repeated", "one moment")},
}
# Settings that ordinary data has too little for: what is overridden, and why it is refused if it is.
LISTS = {"next-item": "mrr@50"}
SETTINGS = {
    "a batch larger than the data": {task: (["training.batch_size=4096"], None) for task in MODELS},
    "batches of one": {task: (["training.batch_size=1"], None) for task in MODELS},
    "lists longer than the catalogue": {
        task: (["task.cutoffs=[50]", f"task.monitor={LISTS.get(task, 'ndcg@50')}"], None)
        for task in ("implicit", "reconstruction", "next-item")
    },
    "more negatives than items": {
        "implicit": (["task.negatives=50"], None),
        "reconstruction": (["task.negatives=50", "task.loss=bce"], None),
        "next-item": (["task.n_sample=50"], None),
    },
    "more items to rank among than there are": {
        task: (["split.kind=leave-out", "split.negatives=50"], "too few for 50 negatives")
        for task in ("implicit", "reconstruction")
    },
    "a filter that nothing passes": {task: (["filter.min_rating=9"], NOTHING_LEFT) for task in MODELS},
    "sessions cut into pieces": {
        "next-item": (["split.kind=leave-out"], NO_SESSION),
    },
    "no extra negatives": {"next-item": (["task.n_sample=0"], None)},
    "more users held out than there are": {
        task: (["split.kind=strong-generalization", "split.held_out_users=4"], r"must lie in 1\.\.3")
        for task in ("implicit", "reconstruction")
    },
}
# What trains by default; the other combinations that do are slow together.
TRAINED_HERE = {
    ("rating", "ids nobody has"),
    ("review-rating", "one word"),
    ("implicit", "one has all"),
    ("implicit", "more negatives than items"),
    ("reconstruction", "lists longer than the catalogue"),
    ("next-item", "one item again and again"),
    ("next-item", "no extra negatives"),
    ("click", "one moment"),
}


@pytest.fixture(autouse=True)
def _no_hang():
    """Fail a test that waits for something that never comes."""

    def stop(*_):
        raise TimeoutError(f"not finished after {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "tiny.yaml"]


def refusal(error, folder):
    assert files(folder) == []
    assert isinstance(error, UsageError) or "diverged" in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) > 30
    return str(error)


def attempt(name, data, folder, *overrides):
    """Run, and return the reason of a refusal; check that it wrote nothing, or that all is finite."""
    try:
        experiment = Experiment.prepare(small_recipe(name, folder, *overrides), DATA[data](), 0)
        record, place = run(experiment, folder / "runs")
    except TfzooError as error:
        return refusal(error, folder)
    assert RunRecord.load(place) == record
    figures = [value for row in (*record.metrics.values(), *record.history) for value in row.values()]
    assert all(math.isfinite(value) for value in figures)
    assert {"validation", "test"} <= record.metrics.keys()
    return None


def marked(first, second, fast):
    return pytest.param(first, second, marks=[] if fast else pytest.mark.slow)


@pytest.mark.parametrize(
    ("task", "data"),
    [
        marked(task, data, (task, data) in REFUSED or (task, data) in TRAINED_HERE)
        for task, data in itertools.product(MODELS, DATA)
    ],
)
def test_tiny_data_trains_or_is_refused_with_one_reason(task, data, tmp_path):
    reason = attempt(MODELS[task], data, tmp_path)
    expected = REFUSED.get((task, data))
    assert reason is None if expected is None else re.search(expected, reason or "trained")


@pytest.mark.parametrize(
    ("setting", "task"),
    [
        marked(setting, task, reason or (task, setting) in TRAINED_HERE)
        for setting, by_task in SETTINGS.items()
        for task, (_, reason) in by_task.items()
    ],
)
def test_settings_that_want_more_than_there_is(setting, task, tmp_path):
    overrides, expected = SETTINGS[setting][task]
    reason = attempt(MODELS[task], "ordinary", tmp_path, *overrides)
    assert reason is None if expected is None else re.search(expected, reason or "trained")


def test_users_without_a_negative_are_refused_before_an_earlier_run_is_removed(tmp_path):
    recipe = small_recipe("gmf", tmp_path, "split.kind=random")
    _, place = run(Experiment.prepare(recipe, DATA["ordinary"](), 0), tmp_path / "runs")
    before = {path: path.read_bytes() for path in files(place)}
    with pytest.raises(DataError, match=NO_NEGATIVE):
        Experiment.prepare(recipe, DATA["two items"](), 0)
    # With the validation part, that a refit trains on too, the users have all items.
    refit = small_recipe("gmf", tmp_path, "training.refit=true")
    again = interactions(np.repeat(np.arange(1, 7), 3), [1, 2, 1] * 6)
    experiment = Experiment.prepare(refit, again, 0)
    with pytest.raises(DataError, match=NO_NEGATIVE):
        run(experiment, tmp_path / "runs")
    assert before == {path: path.read_bytes() for path in files(place)}


# All of them train for ten minutes. One in eleven leaves out no model, data or split.
STEP = 1 if os.environ.get("TFZOO_EXHAUSTIVE") else 11
SPLITS = ["random", "chronological", "leave-out", "per-user", "k-fold", "sessions"]
OTHER_SPLITS = [c for c in itertools.product(MODELS, DATA, SPLITS) if c[2] != SPLIT[c[0]]["kind"]]
OTHER_MODELS = [c for c in itertools.product(list_models(), DATA) if c[0] not in MODELS.values()]


@pytest.mark.slow
@pytest.mark.parametrize(("task", "data", "kind"), OTHER_SPLITS[::STEP])
def test_every_split_of_tiny_data(task, data, kind, tmp_path):
    folds = ["split.folds=2"] if kind == "k-fold" else []
    attempt(MODELS[task], data, tmp_path, f"split.kind={kind}", *folds)


def reads_gaps(name):
    return any(tensor.name == "history_gaps" for tensor in small(name).inputs)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "data"), sampled(OTHER_MODELS[::STEP]))
def test_other_models_on_tiny_data(name, data, tmp_path):
    examples = [f"task.{key}={value}" for key, value in examples_of(name).items()]
    reason = attempt(name, data, tmp_path, *examples)
    # Models of one task differ in what they can learn, not in what they refuse; closed forms cannot diverge.
    expected = REFUSED.get((task_of(name), data))
    if expected == DIVERGED and not small(name).trainable_variables:
        expected = None
    if data == "no time" and reads_gaps(name):
        expected = NO_TIME
    if reason is None or "diverged" not in reason:
        assert (reason is None) == (expected is None)
