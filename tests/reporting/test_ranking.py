"""What is ranked: rows of equal training data over the same seeds, and no others."""

import re

import pytest

from tests.reporting.test_results import record
from tfzoo.errors import UsageError
from tfzoo.reporting.ranking import comparisons, rank, seeds_text
from tfzoo.reporting.results import markdown, tables_of
from tfzoo.reporting.summary import summarise
from tfzoo.training.recipe import load_recipe


def rows(model, figures, *, refit=False, **changes):
    """Return the summary of a model with these figures for seeds 0, 1, ...; an own recipe."""
    protocol = "random 70/15/15, seed {}" + (", refitted with validation" if refit else "")
    recipe = {"model": model, "name": "own", "task": {}, "training": {"epochs": 2, "refit": refit}}
    values = {"model": model, "recipe": recipe, "paper": None, **changes}
    (summary,) = summarise(
        [record(seed, rmse, protocol=protocol.format(seed), **values) for seed, rmse in enumerate(figures)]
    )
    return summary


def labels(summaries):
    return [summary.first.model for summary in summaries]


def test_equal_data_and_seeds_are_ranked_by_the_mean():
    table = [rows("pmf", [0.9, 1.0]), rows("edrs", [0.8, 0.9]), rows("svdpp", [0.95, 0.94])]
    assert labels(rank(table, "rmse")) == ["edrs", "svdpp", "pmf"]
    ndcg = {"task": "implicit", "metrics": {"test": {"ndcg@10": 0.5}}}
    best = {"task": "implicit", "metrics": {"test": {"ndcg@10": 0.6}}}
    assert labels(rank([rows("gmf", [1], **ndcg), rows("mlp", [1], **best)], "ndcg@10")) == ["mlp", "gmf"]
    assert rank([], "rmse") == []


@pytest.mark.parametrize(
    ("other", "error"),
    [
        (rows("baseline", [0.8, 0.9], refit=True), r"one was trained on train, the other on train \+ valid"),
        (rows("baseline", [0.8]), r"one has seeds 0 to 1, the other seed 0\. Train the missing seeds"),
        (rows("baseline", [0.8, 0.9], dataset="ml-1m"), r"not measured alike"),
        (rows("baseline", [0.8, 0.9], headline="unclipped"), r"not measured alike"),
        (rows("baseline", [0.8, 0.9], metrics={"test": {"mae": 0.7}}), r"it has no rmse"),
    ],
)
def test_a_mixed_ranking_is_refused(other, error):
    with pytest.raises(UsageError, match=error):
        rank([rows("pmf", [0.9, 1.0]), other], "rmse")


def test_training_rows_of_a_fold_that_only_validate_make_other_data():
    protocols = ["5-fold cross-validation, fold {}, 10 % of the rest for validation"]
    protocols.append(protocols[0].replace("10 %", "2 %"))
    summaries = [
        summarise([record(0, 0.9, model=model, paper=None, protocol=text.format(0))])[0]
        for model, text in zip(("pmf", "svdpp"), protocols, strict=True)
    ]
    assert len(tables_of(summaries)) == 1
    assert [summary.trained_on for summary in summaries] == [
        "train (10 % of the rest for validation)",
        "train (2 % of the rest for validation)",
    ]
    with pytest.raises(UsageError, match="trained on"):
        rank(summaries, "rmse")


def test_a_leak_that_is_measured_is_never_ranked():
    recipe = load_recipe("edrs", "ml-100k", "oversampled").model_dump(mode="json")
    (leaking,) = summarise([record(0, 0.5, model="edrs", recipe=recipe, paper=None)])
    assert leaking.leaks
    with pytest.raises(UsageError, match="edrs oversampled is not ranked: it measures a leak"):
        rank([leaking], "rmse")
    honest = [rows("pmf", [0.9]), rows("svdpp", [0.8])]
    first, apart = comparisons([leaking, *honest], "rmse")
    assert labels(first.summaries) == ["svdpp", "pmf"]
    assert apart.summaries == (leaking,)
    assert {name for name in ("leaking", "paper") if load_recipe("deepconn", "ml-100k", name).leaks} == {
        "leaking"
    }


def test_rows_with_fewer_seeds_or_other_data_stand_apart():
    table = [
        rows("pmf", [0.9, 1.0, 0.8]),
        rows("edrs", [0.7]),
        rows("svdpp", [0.85, 0.9, 0.8]),
        rows("baseline", [0.6, 0.6, 0.6], refit=True),
        rows("biased-mf", [0.5, 0.5], refit=True),
        rows("item-knn-rating", [0.5, 0.4], refit=True),
    ]
    one, two, apart = comparisons(table, "rmse")
    assert labels(one.summaries) == ["svdpp", "pmf"]
    assert one.title == "Trained on train, seeds 0 to 2: ranked by rmse"
    # Alone with three seeds, the baseline has no rival: those with two seeds have each other.
    assert labels(two.summaries) == ["item-knn-rating", "biased-mf"]
    assert labels(apart.summaries) == ["edrs", "baseline"]
    assert apart.metric is None
    text = markdown(summarise([run for summary in table for run in summary.records]))
    ranks = re.findall(r"^\| (\d) \| ([a-z-]+) \|", text, re.MULTILINE)
    assert ranks == [("1", "svdpp"), ("2", "pmf"), ("1", "item-knn-rating"), ("2", "biased-mf")]
    places = [text.index(part) for part in ("| 1 | svdpp |", "Trained on train + validation", "Not ranked")]
    assert places == sorted(places)
    assert min(text.index(f"| {model} | own |") for model in ("baseline", "edrs")) > places[-1]


def test_names_of_seeds():
    assert [seeds_text(seeds) for seeds in ([3], [0, 1, 2], [0, 2])] == [
        "seed 3",
        "seeds 0 to 2",
        "seeds 0, 2",
    ]
