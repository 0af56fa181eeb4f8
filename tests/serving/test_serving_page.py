"""What docs/serving.md says of single models is true of all of them."""

import re
from pathlib import Path

from tests.serving.keras_truth import HISTORY_TASKS, features_of, small_model
from tests.zoo import task_of
from tfzoo.models import list_models

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def named_after(words):
    """Return the names in the brackets that follow some words."""
    inside = PAGE.partition(words)[2].partition(")")[0]
    return re.findall(r"`([a-z0-9-]+)`", inside)


def test_the_page_names_the_models_that_read_histories():
    of_the_tasks = [name for name in list_models() if task_of(name) in HISTORY_TASKS]
    assert named_after("those that rank for a history (") == of_the_tasks


def test_the_page_names_the_models_whose_scores_are_inner_products(train):
    found = []
    for name in list_models():
        model = small_model(name, train)
        task, features = features_of(name, model, train)
        found += [name] if task.scorer(model, features).factors() is not None else []
    assert named_after("Where scores are inner products (") == found
