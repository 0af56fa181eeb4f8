"""A small export of a model, asked and compared with the model itself."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.discovery import list_recipes
from tfzoo.experiment import Experiment
from tfzoo.models import ModelInfo, model_info
from tfzoo.serving.click_export import export_click_model, input_names
from tfzoo.serving.export import export_saved_model
from tfzoo.tasks import Task, get_task
from tfzoo.tasks.click_features import FieldScorer
from tfzoo.testing.small import SIZES, randomize
from tfzoo.training.recipe import AUTO, load_recipe
from tfzoo.training.settings import Recipe

USERS, ITEMS, EACH = 30, 20, 6
LISTED = 4
WORDS = np.array(["a", "dull", "film", "with", "a", "good", "end", "and", "loud", "noise"], object)


def small_table() -> Interactions:
    """Return 30 users of 6 of 20 items each, with ratings from 1 to 5, times and texts; one item has none."""
    random = np.random.default_rng(7)
    items = np.concatenate([random.permutation(ITEMS - 1)[:EACH] for _ in range(USERS)]) + 1
    users, rows = np.repeat(np.arange(1, USERS + 1), EACH), np.arange(USERS * EACH)
    text = [
        " ".join(WORDS[[row % 10, item % 10, row * item % 10]]) for row, item in zip(rows, items, strict=True)
    ]
    return Interactions(
        users=Vocabulary(np.arange(USERS) * 7 + 100),
        items=Vocabulary(np.array([f"film-{number:02d}" for number in range(ITEMS)])),
        user_id=users.astype(np.int32),
        item_id=items.astype(np.int32),
        rating=1.0 + (users * 5 + items * 3) % 5,
        timestamp=1_000_000_000 + 3600 * rows,
        text=np.array(text, object),
        rating_scale=(1.0, 5.0),
        name="small",
    )


def check_export(name: str) -> None:
    """Export a small model with random weights, and compare answers with what the model gives.

    Raises:
        AssertionError: an answer differs.
    """
    info = model_info(name)
    task = _task(info)
    train = task.table(small_table())
    sizes = {key: AUTO for key in SIZES if key in info.options}
    builder = {**info.small, **sizes}
    recipe = Recipe(model=name, name="check", builder=builder, task=task.settings.model_dump())
    split = Split(train, train, train, "all rows are in every part")
    experiment = Experiment(recipe, {}, train, split, task, seed=0)
    model = randomize(experiment.build(), scale=0.4)
    scorer = task.scorer(model, experiment.features(model))
    scorer.refresh()
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(scorer, FieldScorer):
            version = export_click_model(model, scorer, train, Path(folder) / name, metadata={"model": name})
            _clicks(model, scorer, train, _load(version))
            return
        version = export_saved_model(model, scorer, train, Path(folder) / name, metadata={"model": name})
        loaded = _load(version)
        _pairs(scorer, train, loaded)
        _lists(scorer, train, loaded)


def _task(info: ModelInfo) -> Task:
    """Return the task with the settings of the model's recipe, as not every model takes the defaults."""
    kind = get_task(info.task)
    named = sorted(list_recipes(info.name), key=lambda name: name != "paper")
    return kind(kind.Settings(**load_recipe(info.name, "small", named[0]).task) if named else None)


def _load(version: Path) -> Any:
    return tf.saved_model.load(str(version))


def _clicks(model: keras.Model, scorer: FieldScorer, train: Any, loaded: Any) -> None:
    names = input_names([*train.categories, *train.numbers])
    raw = [one.vocabulary.ids[one.codes - 1] for one in train.categories.values()]
    raw.extend(train.numbers.values())
    asked = {one: tf.constant(values[:9]) for one, values in zip(names, raw, strict=True)}
    inputs = {key: values[:9] for key, values in scorer.features.inputs_of(train).items()}
    expected = model(inputs, training=False)["click"]
    found = loaded.signatures["serving_default"](**asked)["click"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg="clicks of the export")


def _pairs(scorer: Any, train: Interactions, loaded: Any) -> None:
    """Compare the scores of pairs, unknown users and items among them."""
    users, items = [107, 12345, 303, 100], ["film-03", "film-00", "no such film", "film-05"]
    dense = train.users.lookup(np.array(users)), train.items.lookup(np.array(items))
    expected = scorer.score_pairs(*(tf.constant(ids, tf.int32) for ids in dense))
    answer = loaded.signatures["serving_default"](
        user_id=tf.constant(users, tf.int64), item_id=tf.constant(items)
    )
    found = answer[scorer.output_name]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg="pairs of the export")


def _lists(scorer: Any, train: Interactions, loaded: Any) -> None:
    """Compare the best items of a user, without those that the user has; pairs have the same order."""
    user = 3
    scores = scorer.score_items(tf.constant([user], tf.int32)).numpy()[0]
    some = np.arange(1, train.num_items + 1)
    pairs = scorer.score_pairs(tf.fill([len(some)], user), tf.constant(some, tf.int32)).numpy()
    rising = np.diff(pairs[np.argsort(scores[1:], kind="stable")])
    if rising.min() < -1e-4:
        raise AssertionError(
            f"items in the order of their scores in a list: pairs fall by {-rising.min():.1e}"
        )
    hidden = {0, *train.item_id[train.user_id == user].tolist()}
    if scorer.hides_untrained:
        hidden |= set(np.flatnonzero(train.item_counts() == 0).tolist())
    best = sorted(
        (item for item in some.tolist() if item not in hidden), key=lambda item: (-scores[item], item)
    )
    answer = loaded.signatures["recommend"](
        user_id=tf.constant([train.users.ids[user - 1]], tf.int64),
        k=tf.constant([LISTED]),
        exclude_ids=tf.constant([[""]]),
    )
    listed = train.items.lookup(np.array([one.decode() for one in answer["item_ids"].numpy()[0]]))
    if hidden & set(listed.tolist()):
        raise AssertionError(f"the list of the export has items that it must leave out: {listed}")
    found = answer["scores"].numpy()[0]
    np.testing.assert_allclose(
        found, scores[best[:LISTED]], rtol=1e-4, atol=1e-4, err_msg="list of the export"
    )
    np.testing.assert_allclose(
        found, scores[listed], rtol=1e-4, atol=1e-4, err_msg="scores of the listed items"
    )
