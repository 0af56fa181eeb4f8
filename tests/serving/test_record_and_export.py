"""The figures of a record come out of the export, through its signatures and with NumPy alone."""

from dataclasses import replace

import numpy as np
import pytest

from tests.serving.answered import event_lists, list_figures, rating_figures, sampled_lists, user_lists
from tests.serving.keras_truth import export
from tests.zoo import models_of, quick, sampled, task_of
from tfzoo.cli import main
from tfzoo.cli.common import reopen
from tfzoo.data.splits import Negatives, Split
from tfzoo.evaluation import build_evaluator
from tfzoo.models import list_models
from tfzoo.serving.client import LocalClient
from tfzoo.tasks import get_task
from tfzoo.training.record import RunRecord

CUTOFFS = (3, 7)
# Float32 sums in another order.
ROUNDING = 1e-6


def assert_same(found, recorded, tolerance=ROUNDING):
    shared = found.keys() & recorded.keys()
    assert len(shared) >= 2
    for name in shared:
        assert found[name] == pytest.approx(recorded[name], abs=tolerance), name


def assert_lists_give(lists, recorded, tolerance=ROUNDING):
    """Ties count against the model in a record; lists break them by id, for or against it."""
    against = list_figures(lists, CUTOFFS)
    assert_same(against, recorded, tolerance)
    served, best = (list_figures(lists, CUTOFFS, ties) for ties in ("served", "for"))
    for name, value in against.items():
        assert value - ROUNDING <= served[name] <= best[name] + ROUNDING, name
    return against, served


def task_for(name, **settings):
    task = get_task(task_of(name))
    if task.evaluation != "rating":
        settings |= {"cutoffs": CUTOFFS, "monitor": f"mrr@{CUTOFFS[0]}"}
    return task(task.Settings(**settings))


@pytest.fixture(scope="module")
def split(toy, train):
    """The training part of the exports, and the rows that it leaves; some test events come twice."""
    left = np.flatnonzero((np.arange(len(toy)) >= 200) & (toy.item_id != 6))
    rest = replace(toy, text=np.full(len(toy), "a good film", object))
    validation, test = (rest.take(left[one::2]) for one in (0, 1))
    negatives = {}
    random = np.random.default_rng(4)
    for part, cases in {"validation": validation, "test": test}.items():
        users = np.unique(cases.user_id)
        drawn = np.array([random.permutation(np.delete(np.arange(1, 21), 5))[:6] for _ in users])
        rows = zip(users, drawn, strict=True)
        seen = np.array([np.isin(row, train.item_id[train.user_id == user]) for user, row in rows])
        negatives[part] = Negatives(users, np.where(seen, 0, drawn))
    return Split(train, validation, test, "by hand", negatives=negatives)


def validated_by_others(split):
    """Return the split with one user's rows for validation, who is not tested."""
    validation, test = split.validation, split.test
    user = validation.user_id[0]
    validation = validation.take(np.flatnonzero(validation.user_id == user))
    return replace(split, validation=validation, test=test.take(np.flatnonzero(test.user_id != user)))


def repeating(split):
    """Return the split with every test event a second time, later; all items are ranked."""
    test = split.test
    twice = replace(test.take(np.tile(np.arange(len(test)), 2)))
    later = np.concatenate([test.timestamp, test.timestamp + 10_000])
    return replace(split, negatives={}, test=replace(twice, timestamp=later))


def evaluated(task, model, split):
    features = task.features(model, split, split.train)
    return build_evaluator(task, model, features, split).evaluate("test")


# The exports that other files ask, too, and evaluators over the same weights.


@pytest.fixture(scope="module")
def keeping(exported_models, train, tmp_path_factory):
    """Exports of the models of sessions whose lists keep the items of a history."""
    return {
        name: export(name, exported_models[0][name], train, tmp_path_factory.mktemp(name), exclude_seen=False)
        for name in exported_models[0]
        if task_of(name) in ("next-item", "sequence")
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(models_of("rating", "review-rating")))
def test_errors(exported_models, split, name):
    models, folders = exported_models
    found = rating_figures(LocalClient(folders[name]), split.test, (1.0, 5.0))
    assert_same(found, evaluated(task_for(name), models[name], split))


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(models_of("implicit", "reconstruction", "sequence")))
def test_lists(exported_models, split, name):
    models, folders = exported_models
    client, full = LocalClient(folders[name]), replace(split, negatives={})
    # Who is asked by a history is no known user, and its times are not given: a model that reads the user or
    # gaps, too, answers for the history that it has, which lacks what validates.
    both = task_of(name) == "sequence" and not {"user_id", "history_gaps"}.isdisjoint(models[name].input)
    full = validated_by_others(full) if both else full
    lists = user_lists(client, full, from_history=task_of(name) == "sequence" and not both)
    assert_lists_give(lists, evaluated(task_for(name), models[name], full))


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(models_of("implicit", "reconstruction")))
def test_sampled_lists(exported_models, split, name):
    models, folders = exported_models
    lists = sampled_lists(LocalClient(folders[name]), split)
    assert_lists_give(lists, evaluated(task_for(name), models[name], split))


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(models_of("next-item", "sequence")))
def test_events(exported_models, keeping, split, name):
    options = {} if task_of(name) == "next-item" else {"measure": "events"}
    repeats = repeating(split)
    recorded = evaluated(task_for(name, **options), exported_models[0][name], repeats)
    lists = event_lists(LocalClient(keeping[name]), repeats.test)
    assert_lists_give(lists, recorded)
    # Who leaves the history out, as exports do unless told otherwise, gets another figure.
    hidden = list_figures(event_lists(LocalClient(exported_models[1][name]), repeats.test), CUTOFFS)
    assert max(abs(hidden[metric] - recorded[metric]) for metric in recorded) > 0.01


def test_no_model_is_left_out():
    tasks = ("rating", "review-rating", "implicit", "reconstruction", "next-item", "sequence")
    # Those of clicks answer by fields; `tests/serving/test_click_export.py` asks them.
    assert models_of(*tasks, "click") == list_models()


# Runs of the command line: model -> options, each with a protocol of its own.
FAST = ("training.epochs=2", "training.batch_size=16", "training.jit_compile=false")
MEASURED = ("task.cutoffs=[3,7]", "task.monitor=mrr@3")
RUNS = {
    "biased-mf": FAST,
    "popularity": MEASURED,
    "ease": MEASURED,
    "gmf": (*FAST, *MEASURED, "split.negatives=5"),
    "gru4rec": (*FAST, *MEASURED, "split.test_seconds=4000", "task.n_sample=8", "builder.units=[6]"),
    "sasrec": (*FAST, *MEASURED, "builder.embedding_dim=6", "builder.history_length=4"),
}
OPTIONS = {
    "ease": ["--protocol", "strong-generalization"],
    "gmf": ["--protocol", "leave-one-out-99"],
    "popularity": ["--protocol", "per-user"],
}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """40 sessions over 20 items that come again, with ratings and times."""
    random = np.random.default_rng(5)
    lines = ["user_id,item_id,rating,when"]
    for user in range(40):
        items = random.permutation(20)[:9] if user % 2 else random.integers(0, 20, 9)
        lines += [f"{user},i{item},{1 + item % 5},{1000 * user + 10 * n}" for n, item in enumerate(items)]
    path = tmp_path_factory.mktemp("log") / "clicks.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("model", quick(RUNS, ("popularity", "gru4rec", "sasrec")))
def test_the_figures_of_a_run(model, log, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = [text for setting in RUNS[model] for text in ("--set", setting)]
    data = ["--data", str(log), "--time-col", "when"]
    if model != "gru4rec":
        data += ["--duplicates", "last"]
    options = OPTIONS.get(model, [])
    assert main(["train", "--model", model, *data, *settings, *options, "--no-export"]) == 0
    (run,) = (tmp_path / "runs").glob("*/seed-0")
    record = RunRecord.load(run)
    recorded = record.metrics["test"]
    assert main(["export", "--run", str(run), "--keep-seen"]) == 0
    client = LocalClient(tmp_path / f"saved_models/{model}-clicks/1")
    split = reopen(run, None)[0].split
    if record.task == "rating":
        assert_same(rating_figures(client, split.test, (1.0, 5.0)), recorded)
        return
    if record.task == "next-item":
        lists = event_lists(client, split.test)
    elif split.negatives:
        lists = sampled_lists(client, split)
    else:
        lists = user_lists(client, split, from_history=record.task == "sequence")
    against, served = assert_lists_give(lists, recorded, 1e-4)
    if model == "popularity":
        # Equally popular items make the difference between the order of a list and the record.
        assert max(served[name] - against[name] for name in against) > 1e-3
