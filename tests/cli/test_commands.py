"""What the commands decide for models that rank: the run to export, parts to measure, columns to need."""

import re
import shutil
from types import SimpleNamespace

import pytest

from benchmarks import serving_latency
from tests.places import run_of
from tfzoo.cli import main
from tfzoo.cli.common import data_source
from tfzoo.cli.main import build_parser
from tfzoo.cli.paths import best_run
from tfzoo.serving.client import LocalClient
from tfzoo.tasks import TASKS, ImplicitTask, RatingTask
from tfzoo.training.record import RunRecord

SETTINGS = ("training.refit=true", "split.kind=leave-out")
RUN = run_of("item-knn", "ratings", (*SETTINGS, "filter.min_rating=2"))


def records(metric, values):
    return [
        SimpleNamespace(metrics={"test": {}, **({} if value is None else {"validation": {metric: value}})})
        for value in values
    ]


def test_the_run_with_the_best_validation_is_exported():
    assert best_run(RatingTask(), records("rmse", [0.9, 0.8, 0.85])) == 1
    assert best_run(ImplicitTask(), records("ndcg@10", [0.2, 0.1, 0.3])) == 2
    # A refit of a fixed number of epochs sees no validation; then the first run is as good as any.
    assert best_run(ImplicitTask(), records("ndcg@10", [None, None])) == 0


@pytest.mark.parametrize("task", [name for name, task in TASKS.items() if not task.needs.clicks])
def test_what_a_file_must_have_depends_on_the_task(task):
    def source(*options):
        parsed = build_parser().parse_args(["train", "--model", "any", "--data", "ratings.csv", *options])
        return data_source(parsed, TASKS[task])

    plain = source()
    assert plain["rating_col"] == "rating"
    assert plain["rating_required"] == (task in ("rating", "review-rating"))
    assert plain["duplicates"] == ("keep" if task in ("next-item", "sequence") else "error")
    named = source("--rating-col", "stars", "--duplicates", "last")
    assert (named["rating_col"], named["rating_required"], named["duplicates"]) == ("stars", True, "last")
    assert source("--rating-col", "")["rating_col"] is None
    assert data_source(build_parser().parse_args(["train", "--model", "any"]), TASKS[task]) == {
        "dataset": "ml-100k"
    }


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory):
    """Return a folder with ratings, a refitted run of a model that is not trained, and its export."""
    folder = tmp_path_factory.mktemp("trained")
    columns = (toy.users.decode(toy.user_id), toy.items.decode(toy.item_id), toy.ratings, toy.timestamp)
    lines = [f"{user},{item},{rating:g},{when}" for user, item, rating, when in zip(*columns, strict=True)]
    text = "\n".join(["user_id,item_id,rating,time", *lines]) + "\n"
    (folder / "ratings.csv").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        options = [part for setting in SETTINGS for part in ("--set", setting)]
        arguments = ["train", "--model", "item-knn", "--data", "ratings.csv", "--time-col", "time", *options]
        assert main([*arguments, "--min-rating", "2", "--seeds", "2"]) == 0
    return folder


@pytest.fixture
def there(trained, monkeypatch):
    monkeypatch.chdir(trained)
    monkeypatch.setenv("COLUMNS", "200")
    return trained


def test_low_ratings_are_left_out(there, toy):
    record = RunRecord.load(there / RUN)
    assert record.recipe["filter"]["min_rating"] == 2
    client = LocalClient(there / "saved_models/item-knn-ratings/1")
    user = int(toy.user_id[(toy.ratings < 2).argmax()])
    rows = toy.user_id == user
    assert set(toy.ratings[rows] >= 2) == {True, False}
    # What the filter left out is known of the user as well as what was trained, validated and tested on.
    known = set(toy.items.decode(toy.item_id[rows]).tolist())
    listed = client.recommend(int(toy.users.decode([user])[0]), k=100).item_ids
    assert not known & set(listed)
    assert len(listed) == toy.num_items - len(known)


def test_the_benchmark_of_serving_asks_the_run_for_what_its_export_recommends(there, toy):
    client = LocalClient(there / "saved_models/item-knn-ratings/1")
    for user in toy.users.ids[:3].tolist():
        found = client.recommend(user, k=5)
        assert len(set(found.scores)) == 5  # No ties, which either may order as it likes.
        assert serving_latency._with_keras(there / RUN, user, 5)() == list(found.item_ids)


def test_parts_that_cannot_be_measured_are_refused(there, capsys):
    for command in (["evaluate", "--run", RUN], ["compare", RUN, RUN]):
        assert main([*command, "--part", "tset"]) == 2
        assert re.search(r"no part 'tset' to measure\. Did you mean 'test'", capsys.readouterr().err)
        assert main([*command, "--part", "validation"]) == 2
        assert "trained on the validation part too" in capsys.readouterr().err


def test_compare_takes_seeds_that_there_are(there, capsys):
    assert main(["compare", RUN, RUN, "--seed", "-1"]) == 2
    assert "--seed must be 0 or more. Received -1." in capsys.readouterr().err
    assert main(["compare", RUN, RUN, "--seed", str(2**64)]) == 2
    assert f"--seed must be below 2^32, 4294967296. Received {2**64}." in capsys.readouterr().err


def test_a_file_is_not_taken_for_a_named_data_set(there, tmp_path, capsys):
    RunRecord.load(there / RUN).model_copy(update={"data": {"dataset": "ml-100k"}}).save(tmp_path)
    assert main(["evaluate", "--run", str(tmp_path), "--data", "ratings.csv"]) == 2
    assert "was trained on ml-100k; --data is for runs on data of your own" in capsys.readouterr().err


def test_evaluate_leaves_blank_what_a_record_of_another_version_lacks(there, tmp_path, capsys):
    shutil.copytree(there / RUN, tmp_path / "run")
    record = RunRecord.load(there / RUN)
    figure = record.metrics["test"].pop("ndcg@10")
    record.save(tmp_path / "run")
    assert main(["evaluate", "--run", str(tmp_path / "run")]) == 0
    assert re.search(rf"│ ndcg@10 +│ +│ +{figure:.4f} │", capsys.readouterr().out)


def test_evaluate_finds_the_recorded_figures_of_a_refitted_run_again(there, capsys):
    assert main(["evaluate", "--run", RUN]) == 0
    output = capsys.readouterr().out
    for metric, value in RunRecord.load(there / RUN).metrics["test"].items():
        assert re.search(rf"│ {re.escape(metric)} +│ +{value:.4f} │ +{value:.4f} │", output), metric


def test_results_of_ranked_lists(there, tmp_path, capsys):
    assert main(["results", "runs", "--markdown", str(tmp_path / "RESULTS.md")]) == 0
    first, second = (
        RunRecord.load(there / RUN.replace("seed-0", f"seed-{seed}")).metrics["test"] for seed in (0, 1)
    )
    mean = (first["ndcg@10"] + second["ndcg@10"]) / 2
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert f"{mean:.4f}" in text
    assert "train + validation" in text
    assert "2 seeds" in capsys.readouterr().out


def test_held_out_users_are_not_recommended_what_they_are_known_to_have(there, tmp_path, toy):
    folder = str(tmp_path)
    arguments = ["train", "--model", "item-knn", "--data", "ratings.csv", "--output", folder]
    arguments += ["--export-dir", folder, "--set", "training.refit=false"]
    arguments += ["--set", "split.kind=strong-generalization", "--set", "split.held_out_users=5"]
    assert main(arguments) == 0
    client = LocalClient(tmp_path / "item-knn-ratings/1")
    listed = [len(client.recommend(int(user), k=100).item_ids) for user in toy.users.ids]
    # Every user has 10 of the 20 items.
    assert listed == [10] * 30


def test_a_record_of_another_version_is_one_clear_error(there, tmp_path, capsys):
    record = RunRecord.load(there / RUN)
    changed = {**record.recipe, "split": {**record.recipe["split"], "knid": "random"}}
    record.model_copy(update={"recipe": changed}).save(tmp_path)
    assert main(["evaluate", "--run", str(tmp_path)]) == 2
    assert re.search(r"the record of .*unknown key 'knid' in 'split'", capsys.readouterr().err)


def test_recommend_for_a_history(there, capsys):
    ask = ["recommend", "--model", "item-knn", "--dataset", "ratings", "--k", "4"]
    assert main([*ask, "--history", "film-03,film-07"]) == 0
    output = capsys.readouterr().out
    assert "top 4 for history film-03, film-07" in output
    listed = re.findall(r"│ (film-\d\d) ", output)
    assert len(set(listed)) == 4
    assert not {"film-03", "film-07"} & set(listed)
    assert main([*ask, "--history", "film-03,film-07", "--exclude", listed[0]]) == 0
    assert re.findall(r"│ (film-\d\d) ", capsys.readouterr().out)[:3] == listed[1:]
    assert main([*ask, "--history", "Film-NO"]) == 0
    output = capsys.readouterr().out
    assert "History Film-NO is not in the training data: popular items." in output
    assert "interactions" in output
    assert main([*ask, "--history", ""]) == 0
    output = capsys.readouterr().out
    assert "The history is empty: popular items." in output
    assert "top 4 for an empty history" in output


def test_fewer_recommendations_than_asked_for_are_said(there, capsys):
    ask = ["recommend", "--model", "item-knn", "--dataset", "ratings", "--history", "film-03", "--k", "500"]
    assert main(ask) == 0
    output = capsys.readouterr().out
    listed = len(re.findall(r"│ film-\d\d ", output))
    assert 0 < listed < 500
    assert f"--k 500: only {listed} items are left to recommend." in output
    assert f"top {listed} for" in output
