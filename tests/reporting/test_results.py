"""Summaries over seeds, by hand; tables; collected records."""

import itertools
import json
import math

import pytest

from tfzoo.errors import TfzooError, UsageError
from tfzoo.reporting.results import markdown, metric_rows, tables_of
from tfzoo.reporting.summary import CURVE_EPOCHS, collect, load_records, short_history, summarise
from tfzoo.reporting.verdicts import lines
from tfzoo.training.recipe import load_recipe
from tfzoo.training.record import RunRecord
from tfzoo.training.settings import Recipe

RECIPE = {"model": "pmf", "name": "paper", "task": {}, "training": {"epochs": 2}}
RANKS = ("rank", "", *"123456789")
PAPER = {"source": "Table 5", "metrics": {"rmse": 0.9}, "remark": "The paper leaks.", "settings": "same"}


def record(seed=0, rmse=1.0, **changes):
    values = {
        "model": "pmf",
        "task": "rating",
        "dataset": "ml-100k",
        "data": {"dataset": "ml-100k"},
        "protocol": f"random 70/15/15, seed {seed}",
        "recipe": RECIPE,
        "seed": seed,
        "fingerprint": f"print-{seed}",
        "parameters": 12345,
        "metrics": {
            "train": {"rmse": 0.25},
            "validation": {"rmse": 0.5},
            "test": {"rmse": rmse, "mae": rmse / 2, "rmse_unclipped": rmse + 0.125},
        },
        "headline": "rmse is clipped",
        "best_epoch": 1,
        "paper": PAPER,
        "history": [{"loss": 1.0}],
        "timing": {"train_seconds": 10.0 * (seed + 1)},
        "peak_memory_mb": 100.0,
        "precision": "float32",
        "hardware": {"machine": "x86_64"},
        "versions": {"keras": "3.15.0"},
        "commit": None,
    }
    return RunRecord(**{**values, **changes})


def ranking_record(seed=0, model="gmf", **changes):
    """Return a record of ranked lists, with a variant of the test part."""
    test = {"hr@10": 0.5, "ndcg@10": 0.25 + seed / 4, "precision@10": 0.125, "recall@10": 0.4, "map@10": 0.2}
    values = {
        "model": model,
        "task": "implicit",
        "protocol": f"given split two: stored negatives, seed {seed}, sampled-99 ranking",
        "recipe": {"model": model, "name": "own", "task": {"cutoffs": [10]}},
        "metrics": {
            "validation": {"ndcg@10": 0.75},
            "test": {**test, "mrr@10": 0.0625},
            "test without fakes": {key: value / 2 for key, value in test.items()},
            "found": {"kl_cap": 0.3},
        },
        "headline": "recall and map are divided by all relevant items",
        "paper": {"source": "Table 1", "metrics": {"ndcg@10": 0.1357, "hr@10": 0.4}, "settings": "same"},
    }
    return record(seed, **{**values, **changes})


def cells(text, first):
    """Return the cells of the table row that starts with ``first``, or has it behind its rank."""
    # The rows of what was not run are those of no table.
    lines = [line for line in text.partition("## Not yet")[0].splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    (found,) = [row for row in rows if first == row[0] or (row[0] in RANKS and first == row[1])]
    return found


def test_mean_and_deviation_by_hand():
    (summary,) = summarise([record(2, 0.9), record(0, 1.0), record(1, 0.95)])
    assert [run.seed for run in summary.records] == [0, 1, 2]
    assert summary.mean("rmse") == pytest.approx(0.95)
    # Deviations -0.05, 0, 0.05 over n - 1 = 2.
    assert summary.deviation("rmse") == pytest.approx(math.sqrt(2 * 0.05**2 / 2))
    assert summary.text("rmse") == "0.9500 ± 0.0500"
    assert summary.mean("rmse", "validation") == 0.5
    assert summary.reported("rmse") == 0.9
    assert summary.reported("mae") is None
    assert summary.protocol == "random 70/15/15"


def test_one_seed_has_no_deviation():
    (summary,) = summarise([record(3, 0.8)])
    assert summary.deviation("rmse") is None
    assert summary.text("rmse") == "0.8000"


def test_groups_are_data_set_model_and_recipe():
    tuned = {**RECIPE, "name": "tuned"}
    records = [
        record(0),
        record(1),
        record(0, model="edrs"),
        record(0, dataset="ml-1m"),
        record(0, recipe=tuned),
    ]
    summaries = summarise(records)
    found = [(s.first.dataset, s.first.model, s.recipe, len(s.records)) for s in summaries]
    assert found == [
        ("ml-100k", "edrs", "paper", 1),
        ("ml-100k", "pmf", "paper", 2),
        ("ml-100k", "pmf", "tuned", 1),
        ("ml-1m", "pmf", "paper", 1),
    ]
    assert summarise([]) == []


def test_records_of_one_name_with_other_settings_are_rows_of_their_own():
    other = {**RECIPE, "training": {"epochs": 3}}
    summaries = summarise([record(0), record(1, recipe=other), record(0, 0.5, recipe=other)])
    assert [len(summary.records) for summary in summaries] == [1, 2]
    # Neither has the settings that the package has today.
    assert [summary.recipe for summary in summaries] == ["paper*", "paper*"]
    assert [summary.changes["training.epochs"] for summary in summaries] == [2, 3]
    assert len({summary.label for summary in summaries}) == 2


def test_changed_settings_are_a_summary_of_their_own_that_says_what_was_changed():
    changed = load_recipe("pmf", "ml-100k", overrides=["training.epochs=3"]).model_dump(mode="json")
    plain = load_recipe("pmf", "ml-100k").model_dump(mode="json")
    summaries = summarise([record(0, recipe=plain), record(0, recipe=changed), record(1, recipe=changed)])
    found = [(summary.recipe, summary.changes, len(summary.records)) for summary in summaries]
    assert found == [("paper", {}, 1), ("paper*", {"training.epochs": 3}, 2)]
    text = markdown(summaries)
    assert "`training.epochs=3`" in text
    assert text.count("| paper* ") == 1
    assert {line.recipe for line in lines(summaries[1])} == {"paper*"}
    command = next(lines(summaries[1])).command
    assert command.endswith("--recipe paper --set training.epochs=3 --seeds 2")
    one, other = (record(0, recipe=recipe).run_name for recipe in (plain, changed))
    assert (one, other[: len(one)]) == ("pmf-ml-100k-paper", one)
    assert one != other


def test_figures_of_another_split_are_not_compared_with_the_papers():
    changed = load_recipe("pmf", "ml-100k", overrides=["split.cold=drop"]).model_dump(mode="json")
    (summary,) = summarise([record(0, recipe=changed)])
    assert summary.incomparable == "The printed figures are of other settings."


def test_other_data_of_the_same_name_is_another_row_in_another_table():
    files = ({"file": "/a/ratings.csv"}, {"file": "/b/ratings.csv"})
    summaries = summarise([record(0, dataset="ratings", data=data, paper=None) for data in files])
    assert [summary.dataset for summary in summaries] == ["ratings (1)", "ratings (2)"]
    assert len(tables_of(summaries)) == 2


def test_settings_that_a_record_lacks_are_todays_defaults():
    full = Recipe(**RECIPE, description="other words").model_dump(mode="json")
    (summary,) = summarise([record(0), record(1, recipe=full)])
    assert summary.settings["split"]["kind"] == "random"
    assert "description" not in summary.settings


def test_a_record_with_settings_of_another_version_is_one_clear_error():
    with pytest.raises(UsageError, match=r"ml-100k pmf.*unknown key 'new'"):
        summarise([record(0, recipe={**RECIPE, "new": 1})])


def test_the_same_record_twice_counts_once():
    (summary,) = summarise([record(0), record(0)])
    assert len(summary.records) == 1


def test_metric_rows_show_the_gap_to_the_paper():
    (summary,) = summarise([record(0, 1.0), record(1, 0.9)])
    assert metric_rows(summary) == [
        ("rmse", "0.900", "0.9500 ± 0.0707", "+0.0500"),
        ("mae", "", "0.4750 ± 0.0354", ""),
        ("rmse_unclipped", "", "1.0750 ± 0.0707", ""),
    ]
    (summary,) = summarise([record(0, 0.8, paper=None)])
    assert metric_rows(summary)[0] == ("rmse", "", "0.8000", "")
    (summary,) = summarise([ranking_record()])
    rows = {row[0]: row[1:] for row in metric_rows(summary)}
    assert rows["ndcg@10"] == ("0.1357", "0.2500", "+0.1143")
    assert rows["hr@10"] == ("0.400", "0.5000", "+0.1000")
    assert rows["mrr@10"] == ("", "0.0625", "")


def test_metrics_that_a_seed_lacks_are_left_out():
    tests = [{"rmse": 1.0, "mae": 0.5}, {"rmse": 0.9, "rmse_user_mean": 0.7}]
    records = [record(seed, metrics={"test": test}) for seed, test in enumerate(tests)]
    records[0].metrics["test without fakes"] = {"rmse": 0.8}
    (summary,) = summarise(records)
    assert metric_rows(summary) == [("rmse", "0.900", "0.9500 ± 0.0707", "+0.0500")]
    assert [line.metric for line in lines(summary)] == ["rmse"]
    table = markdown([summary])
    figures = dict(zip(cells(table, "model"), cells(table, "pmf"), strict=True))
    assert (figures["rmse ours"], figures["mae"]) == ("0.9500 ± 0.0707", "")


def test_the_markdown_table_has_the_figures():
    text = markdown(summarise([record(0, 1.0), record(1, 0.9), record(0, model="edrs", paper=None)]))
    assert "## ml-100k: random 70/15/15" in text
    assert "Protocol: random 70/15/15." in text
    assert "Metrics: rmse is clipped." in text
    figures = dict(zip(cells(text, "model"), cells(text, "pmf"), strict=True))
    assert figures == {
        "model": "pmf",
        "recipe": "paper",
        "trained on": "train",
        "seeds": "2",
        "rmse printed": "0.900",
        "rmse ours": "0.9500 ± 0.0707",
        "mae": "0.4750 ± 0.0354",
        "rmse_unclipped": "1.0750 ± 0.0707",
        "verdict": "not reproduced",
        "parameters": "12,345",
        "seconds": "15",
    }
    assert len(cells(text, "edrs")) == len(figures)
    assert cells(text, "edrs")[4] == cells(text, "edrs")[8] == ""
    assert text.endswith("\n")


def test_ranked_lists_have_their_own_columns_and_variants_their_own_rows():
    text = markdown(summarise([ranking_record(0), ranking_record(1), record(0)]))
    assert "## ml-100k: given split two" in text
    assert "Protocol: given split two: stored negatives, sampled-99 ranking." in text
    part = text[text.index("given split two") : text.index("## Not yet")]
    header = next(line for line in part.splitlines() if line.startswith("| model |"))
    columns = [cell.strip() for cell in header.strip("|").split("|")]
    expected = ["model", "recipe", "trained on", "seeds", "hr@10 printed", "hr@10 ours", "ndcg@10 printed"]
    expected += ["ndcg@10 ours", "precision@10", "recall@10", "map@10", "verdict", "parameters", "seconds"]
    assert columns == expected
    full = dict(zip(columns, cells(part, "gmf"), strict=True))
    variant = dict(zip(columns, cells(part, "gmf (test without fakes)"), strict=True))
    assert full["ndcg@10 printed"] == "0.1357"
    assert full["hr@10 printed"] == "0.400"
    assert full["ndcg@10 ours"] == "0.3750 ± 0.1768"
    # The paper's figure is of the whole test part.
    assert variant["ndcg@10 printed"] == variant["hr@10 printed"] == ""
    # Two seeds: two standard errors of either metric are wider than its gap, or there is no gap beyond them.
    assert (full["verdict"], variant["verdict"]) == ("above the printed figure", "")
    assert variant["hr@10 ours"] == "0.2500 ± 0.0000"
    assert "kl_cap" not in text
    assert "0.75" not in part


def test_a_table_is_for_one_data_set_protocol_and_definition():
    refitted = ranking_record(
        model="ease",
        protocol="given split two: stored negatives, seed 0, refitted with validation, sampled-99 ranking",
    )
    others = [
        ranking_record(model="mlp", protocol="full ranking of all", paper=None),
        ranking_record(model="neumf", dataset="ml-1m"),
        ranking_record(model="bmf", headline="another definition"),
    ]
    summaries = summarise([ranking_record(), refitted, *others])
    text = markdown(summaries)
    assert text.partition("## Not yet")[0].count("| model |") == 4
    # Trained on validation too, but measured alike: one table.
    assert cells(text, "ease")[2] == "train + validation"
    assert cells(text, "gmf")[2] == "train"
    tables = text.partition("## Not yet")[0].split("## ")
    (together,) = [table for table in tables if "| gmf |" in table]
    assert "| ease |" in together
    (full,) = [table for table in tables if "| mlp |" in table]
    assert "hr@10 printed" not in full
    assert "hr@10 printed" in together
    assert text.index("## ml-100k") < text.index("## ml-1m")


def test_the_reason_for_a_gap_is_printed_once_from_the_recipe_of_today_or_else_the_record():
    own = {**RECIPE, "name": "own"}
    text = markdown(summarise([record(0, recipe=own), record(1, recipe=own)]))
    assert text.count("The paper leaks.") == 1
    shipped = load_recipe("pmf", "ml-100k", "paper").reported.remark
    text = markdown(summarise([record(0), record(1)]))
    assert shipped
    assert text.count(shipped) == 1
    assert "The paper leaks." not in text


def test_collect_drops_the_history_and_nothing_else(tmp_path):
    original = record(4)
    path = collect(original, tmp_path / "results")
    assert path == tmp_path / "results" / "pmf-ml-100k-paper" / "seed-4.json"
    assert list(path.parent.iterdir()) == [path]
    found = RunRecord.load(path)
    assert found.history == []
    assert found == original.model_copy(update={"history": []})
    assert original.history == [{"loss": 1.0}]


def long_record(epochs, **changes):
    """Return a record of seed 0 with all that a training measures, and a refit."""
    history = [
        {"loss": 1 / 3 + epoch, "val_rmse": 2 / 3 + epoch, "val_mae": 0.5} for epoch in range(1, epochs + 1)
    ]
    return record(0, history=[*history, {"loss": 9.0, "refit": 1.0}], best_epoch=epochs - 1, **changes)


def test_the_first_seed_keeps_a_short_curve(tmp_path):
    original = long_record(3)
    found = RunRecord.load(collect(original, tmp_path))
    assert found.history == [
        {"epoch": epoch, "loss": round(1 / 3 + epoch, 5), "val_rmse": round(2 / 3 + epoch, 5)}
        for epoch in (1, 2, 3)
    ]
    assert found.model_copy(update={"history": []}) == original.model_copy(update={"history": []})
    # What was collected can be collected once more.
    assert short_history(found) == found.history


@pytest.mark.parametrize("epochs", [40, 41, 500, 1999])
def test_long_curves_are_thinned_and_small(tmp_path, epochs):
    path = collect(long_record(epochs), tmp_path / "with")
    without = collect(long_record(epochs).model_copy(update={"history": []}), tmp_path / "without")
    assert path.stat().st_size - without.stat().st_size < 4096
    numbers = [row["epoch"] for row in RunRecord.load(path).history]
    assert {1, epochs - 1, epochs} <= set(numbers)
    assert numbers == sorted(set(numbers))
    assert min(epochs, 20) <= len(numbers) <= CURVE_EPOCHS + 3
    gaps = [later - former for former, later in itertools.pairwise(numbers)]
    assert max(gaps) <= -(-epochs // CURVE_EPOCHS)


def test_a_model_that_validation_did_not_choose_has_the_curve_of_its_refit():
    again = record(0, history=[{"loss": 2.0, "refit": 1.0}, {"loss": 1.0, "refit": 1.0}], best_epoch=2)
    assert short_history(again) == [{"epoch": 1, "loss": 2}, {"epoch": 2, "loss": 1}]


def test_epochs_without_validation_are_left_out_first():
    history = [
        {"loss": float(epoch), **({"val_rmse": 1.0} if epoch % 5 == 0 else {})} for epoch in range(1, 101)
    ]
    kept = short_history(record(0, history=history, best_epoch=50))
    assert [row["epoch"] for row in kept] == [1, *range(5, 101, 5)]
    assert all("val_rmse" in row for row in kept[1:])
    assert kept[0] == {"epoch": 1, "loss": 1}


def test_records_of_a_file_are_not_collected(tmp_path):
    own = record(0, data={"file": "/home/someone/ratings.csv", "user_col": "user"})
    with pytest.raises(UsageError, match="Only records of named data sets"):
        collect(own, tmp_path / "results")
    assert list(tmp_path.iterdir()) == []


def test_records_are_found_in_runs_in_collections_and_as_files(tmp_path):
    runs, results = tmp_path / "runs", tmp_path / "results"
    for seed in (1, 0):
        record(seed).save(runs / "pmf-ml-100k-paper" / f"seed-{seed}")
        collect(record(seed), results)
    assert [r.seed for r in load_records([runs])] == [0, 1]
    assert [r.seed for r in load_records([results])] == [0, 1]
    assert [r.seed for r in load_records([results / "pmf-ml-100k-paper" / "seed-1.json"])] == [1]
    assert len(load_records([runs, results])) == 4


def test_folders_without_records_are_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="No run records below"):
            load_records([folder])


def test_a_damaged_record_is_named(tmp_path):
    path = tmp_path / "pmf-ml-100k-paper" / "seed-0.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"model": "pmf"}), encoding="utf-8")
    with pytest.raises(TfzooError, match=r"seed-0.json is not a run record"):
        load_records([tmp_path])


def test_rows_of_older_gradients_are_named():
    old, new = (record(timing={"train_seconds": 1.0, "epochs": 3}) for _ in range(2))
    new = new.model_copy(update={"gradients": "per row"})
    closed = record(timing={"train_seconds": 0.0, "epochs": 0})
    texts = [markdown(summarise([one])) for one in (old, new, closed)]
    named = ["Not trained again since" in text for text in texts]
    assert named == [True, False, False]
