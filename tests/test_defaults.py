"""What the pages tell a new user to run, on a machine that has MovieLens 100K of a package index alone."""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.zoo import sampled
from tfzoo.cli.main import build_parser
from tfzoo.data import download
from tfzoo.data.datasets import load_dataset
from tfzoo.errors import DownloadError
from tfzoo.experiment import Experiment
from tfzoo.models import list_models, model_info
from tfzoo.runs import run
from tfzoo.tasks import get_task
from tfzoo.training.recipe import list_recipes, load_recipe

PAGES = Path(__file__).parents[1] / "docs" / "models"
TRAIN = re.compile(r"^(tfzoo train .*)$", re.MULTILINE)
# What the wheel of the package index has of it, see `tfzoo.data.datasets.movielens`.
FILES = ("u.data", "u.item", "u.user")
USERS = 40
SHORT = ("training.epochs=1", "training.validate_every=1", "training.jit_compile=false")


def _needs_other_data(model):
    needs = get_task(model_info(model).task).needs
    return needs.text or needs.clicks


RECIPES = [
    (model, recipe)
    for model in list_models()
    if not _needs_other_data(model)
    for recipe in list_recipes(model)
]


@pytest.fixture(scope="module")
def ml_100k(tmp_path_factory):
    """MovieLens 100K where no other file is, and nothing can be fetched."""
    cache = tmp_path_factory.mktemp("cache")
    source = Path(os.environ["TFZOO_DATA_DIR"]) / "ml-100k"
    (cache / "ml-100k").mkdir()
    for file in FILES:
        shutil.copy(source / file, cache / "ml-100k")

    def refuse(url, *_, **__):
        raise DownloadError(f"{url}: not of the package index.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFZOO_CACHE_DIR", str(cache))
        patch.setenv("TFZOO_DATA_DIR", str(cache))
        patch.setattr(download, "fetch", refuse)
        yield load_dataset("ml-100k")


def few_users(part):
    return part.take(np.flatnonzero(np.isin(part.user_id, np.unique(part.user_id)[:USERS])))


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(("model", "recipe"), sampled(RECIPES))
def test_every_recipe_trains_on_a_fresh_machine(ml_100k, tmp_path, model, recipe):
    pretrains = load_recipe(model, "ml-100k", recipe).pretraining is not None
    short = (*SHORT, "pretraining.training.epochs=1") if pretrains else SHORT
    settings = load_recipe(model, "ml-100k", recipe, short)
    whole = Experiment.prepare(settings, ml_100k, seed=0)
    # The split is the recipe's own; a few users of each part are enough for a step.
    split = whole.split
    parts = {part: few_users(getattr(split, part)) for part in ("train", "validation", "test")}
    record, _ = run(replace(whole, split=replace(split, **parts)), tmp_path)
    assert record.metrics["test"]


def test_the_pages_name_no_other_recipes_and_data():
    # Their commands are those that are trained above, or name data that has to be fetched.
    commands = [line for page in PAGES.glob("*.md") for line in TRAIN.findall(page.read_text("utf-8"))]
    assert len(commands) > len(list_models())
    for command in commands:
        options = build_parser().parse_args(command.split()[1:])
        other = _needs_other_data(options.model)
        assert (options.model, options.recipe) in RECIPES or other, command
        assert not options.overrides, command
        of_sessions = model_info(options.model).task == "next-item"
        assert (options.dataset == "ml-100k") != other or of_sessions, command
