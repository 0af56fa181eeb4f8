"""``tfzoo plot --errors`` and ``--embeddings`` on trained runs."""

import numpy as np
import pytest

from tests.cli.test_cli import FAST, settings, write_toy
from tests.places import seed_of
from tfzoo.cli import main, plot
from tfzoo.experiment import Experiment
from tfzoo.runs import load_model
from tfzoo.training.record import RunRecord


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory):
    """Return a folder with ``ratings.csv`` and runs of models of all kinds."""
    folder = tmp_path_factory.mktemp("trained")
    write_toy(folder / "ratings.csv", toy)
    leave_out = ("split.kind=leave-out",)
    runs = {"pmf": FAST, "gmf": FAST, "item-knn": leave_out, "popularity": (), "gru4rec": FAST}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for model, overrides in runs.items():
            options = [*settings(*overrides), "--time-col", "timestamp", "--no-export"]
            if model == "gru4rec":
                options += ["--duplicates", "keep", "--set", "split.test_seconds=3600"]
            assert main(["train", "--model", model, "--data", "ratings.csv", *options]) == 0
    return folder


@pytest.fixture
def there(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


@pytest.fixture
def drawn(monkeypatch):
    """Keep what is drawn, by the name of the file."""
    calls = {}

    def keeping(draw):
        def keep(what, title, target):
            calls[target.name] = what
            return draw(what, title, target)

        return keep

    for name in ("plot_groups", "plot_clouds", "plot_lengths"):
        monkeypatch.setattr(plot, name, keeping(getattr(plot, name)))
    return calls


def test_errors_of_ratings_add_up_to_the_recorded_ones(there, drawn, capsys):
    run = str(seed_of("runs", "pmf-ratings-paper"))
    assert main(["plot", run, "--errors"]) == 0
    recorded = RunRecord.load(there / run).metrics["test"]
    assert len(drawn["errors"]) == 2
    for panel in drawn["errors"]:
        sizes = panel.groups.sizes
        assert sizes.sum() == 45
        mean = np.average(np.square(panel.figures["RMSE"].values), weights=sizes)
        assert np.sqrt(mean) == pytest.approx(recorded["rmse"], abs=1e-6)
        assert np.average(panel.figures["MAE"].values, weights=sizes) == pytest.approx(recorded["mae"])
    assert drawn["errors"][0].groups.low[0] >= 1
    assert f"Written: {run}/errors.svg" in capsys.readouterr().out
    assert (there / run / "errors.png").read_bytes().startswith(b"\x89PNG")
    assert not (there / run / "history.png").exists()


@pytest.mark.parametrize("model", ["gmf", "item-knn"])
def test_errors_of_ranked_lists_add_up_to_the_recorded_ones(there, drawn, model):
    run = str(seed_of("runs", f"{model}-ratings-paper"))
    assert main(["plot", run, "--errors"]) == 0
    recorded = RunRecord.load(there / run).metrics["test"]
    activity, popularity = drawn["errors"]
    for name in ("ndcg@10", "hr@10"):
        mean = np.average(activity.figures[name].values, weights=activity.groups.sizes)
        assert mean == pytest.approx(recorded[name])
    for shares in popularity.shares.values():
        assert shares.sum() == pytest.approx(1)
    expected = popularity.groups.sizes / popularity.groups.sizes.sum()
    assert popularity.shares["test items"] == pytest.approx(expected)


def test_lengths_agree_with_the_records_at_ten(there, drawn):
    runs = [seed_of(there / "runs", f"{model}-ratings-paper") for model in ("gmf", "item-knn")]
    assert main(["plot", *map(str, runs), "--lengths"]) == 0
    assert (runs[0] / "lengths.png").is_file()
    assert not (runs[1] / "lengths.png").exists()
    assert list(drawn["lengths"]) == ["gmf paper*", "item-knn paper*"]
    for run, found in zip(runs, drawn["lengths"].values(), strict=True):
        for name, value in RunRecord.load(run).metrics["test"].items():
            assert found[name] == pytest.approx(value), name
        hits = [found[f"hr@{length}"] for length in range(1, 21)]
        assert hits == sorted(hits)
        # A list of all items finds everything.
        assert hits[-1] == 1


def test_lengths_of_the_next_item(there, drawn):
    assert main(["plot", str(seed_of("runs", "gru4rec-ratings-paper")), "--lengths"]) == 0
    assert set(drawn["lengths"]["gru4rec paper*"]) >= {"recall@1", "mrr@20"}


def test_embeddings_are_those_of_items_and_users_in_training(there, drawn, toy):
    run = seed_of(there / "runs", "pmf-ratings-paper")
    assert main(["plot", str(run), "--embeddings"]) == 0
    assert main(["plot", str(run), "--embeddings", "--dimensions", "3"]) == 0
    for name, dimensions in (("embeddings", 2), ("embeddings-3d", 3)):
        items, users = drawn[name]
        assert items.places.shape[1] == users.places.shape[1] == dimensions
        assert items.title == f"{len(items.places)} items"
        assert (len(items.places), len(users.places)) == (20, 30)
        assert items.values is None
        assert (run / f"{name}.png").is_file()
    (table,) = load_model(run).get_layer("item_tower").weights
    vectors = np.array(table)[1:]
    spread = np.square(vectors - vectors.mean(axis=0)).sum()
    shown = np.square(drawn["embeddings"][0].places).sum()
    assert shown / spread == pytest.approx(drawn["embeddings"][0].shares.sum(), rel=1e-4)


def test_models_without_user_vectors_show_items_alone(there, drawn):
    assert main(["plot", str(seed_of("runs", "gru4rec-ratings-paper")), "--embeddings"]) == 0
    assert len(drawn["embeddings"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gru4rec-ratings-paper", "--errors"], "'gru4rec' predicts the next item"),
        (["pmf-ratings-paper", "--lengths"], "'pmf' predicts ratings"),
        (["gmf-ratings-paper", "gru4rec-ratings-paper", "--lengths"], "one data set and protocol"),
        (["popularity-ratings-paper", "--embeddings"], "'popularity' has no vectors of items"),
        (["item-knn-ratings-paper"], "item-knn on ratings has no history"),
        (["runs", "--errors"], "No run record at runs"),
    ],
)
def test_what_cannot_be_drawn_is_refused(there, capsys, arguments, message):
    before = set(there.rglob("*"))
    arguments = [str(seed_of("runs", word)) if "-ratings-" in word else word for word in arguments]
    assert main(["plot", *arguments]) != 0
    assert message in capsys.readouterr().err
    assert set(there.rglob("*")) == before


def test_experiments_are_prepared_once_a_run(there, monkeypatch):
    calls, prepare = [], Experiment.prepare
    monkeypatch.setattr(Experiment, "prepare", lambda *a, **k: calls.append(a) or prepare(*a, **k))
    assert main(["plot", str(seed_of("runs", "gmf-ratings-paper")), "--errors", "--embeddings"]) == 0
    assert len(calls) == 1
