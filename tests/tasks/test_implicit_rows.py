"""The implicit task with models that read rows: inputs, graded labels, scores."""

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from tests.zoo import build, table
from tfzoo.data.splits import Split
from tfzoo.errors import DataError, UsageError
from tfzoo.tasks import ImplicitSettings, ImplicitTask
from tfzoo.tasks.implicit import InteractionFeatures

USERS, ITEMS = 4, 6
RATINGS = np.array([5.0, 3.0, 4.0, 1.0, 2.0, 5.0], np.float32)
TRAIN = table([1, 1, 2, 3, 4, 4], [2, 3, 2, 1, 4, 5], RATINGS, num_users=USERS, num_items=ITEMS)
DENSE = np.zeros((USERS + 1, ITEMS + 1))
DENSE[TRAIN.user_id, TRAIN.item_id] = RATINGS


def dmf():
    return build("dmf", num_users=USERS, num_items=ITEMS, user_units=(5, 3), item_units=(4, 3))


def epoch(**settings):
    task, model = ImplicitTask(ImplicitSettings(negatives=2, **settings)), dmf()
    features = InteractionFeatures.of(model, TRAIN)
    dataset = task.train_dataset(features, TRAIN, batch_size=18, seed=0)
    return next(dataset.as_numpy_iterator())


@pytest.mark.parametrize("masked", [True, False])
def test_positives_are_left_out_of_the_rows_of_their_example(masked):
    inputs, labels, weight = epoch(mask_target=masked)
    user, item, label = inputs["user_row"][0], inputs["item_row"][0], labels["label"][0]
    assert weight.sum() == 18
    assert label.sum() == 6
    # In all rows of all positives, exactly the ratings of the positives are missing.
    whole = sum(DENSE[u].sum() for u in TRAIN.user_id)
    assert user[label > 0].sum() == pytest.approx(whole - masked * RATINGS.sum())
    whole = sum(DENSE[:, i].sum() for i in TRAIN.item_id)
    assert item[label > 0].sum() == pytest.approx(whole - masked * RATINGS.sum())
    # Negatives have nothing to leave out: each user's row once for each of two negatives a positive.
    whole = sum(DENSE[u].sum() for u in TRAIN.user_id)
    assert user[label == 0].sum() == pytest.approx(2 * whole)


def test_labels_are_ratings_divided_by_the_highest():
    _, labels, _ = epoch(labels="rating")
    found = np.sort(labels["label"][0])
    np.testing.assert_allclose(found, np.sort([*RATINGS / 5, *[0] * 12]), rtol=1e-6)


def test_the_scale_of_the_data_says_what_the_highest_rating_is():
    data = table([1, 1, 2], [1, 2, 2], [2.0, 3.0, 1.0], num_users=2, num_items=6, rating_scale=(1.0, 4.0))
    task = ImplicitTask(ImplicitSettings(labels="rating", negatives=0))
    features = InteractionFeatures(("user_id", "item_id"), data)
    _, labels, _ = next(task.train_dataset(features, data, batch_size=3, seed=0).as_numpy_iterator())
    assert sorted(labels["label"][0]) == [0.25, 0.5, 0.75]


def test_data_without_ratings_gives_rows_of_ones_and_no_graded_labels():
    data = table([1, 1, 2], [1, 2, 2], num_users=USERS, num_items=ITEMS)
    features = InteractionFeatures.of(dmf(), data)
    np.testing.assert_array_equal(
        features.side("user", tf.constant([1]))["user_row"], [[0, 1, 1, 0, 0, 0, 0]]
    )
    with pytest.raises(DataError, match="ratings"):
        ImplicitTask(ImplicitSettings(labels="rating")).check(data)


def test_scores_are_those_of_the_model():
    model, task = dmf(), ImplicitTask()
    scorer = task.scorer(model, InteractionFeatures.of(model, TRAIN))
    assert not scorer.supports_jit
    users = tf.constant([1, 4, 0])
    catalogue = scorer.score_items(users).numpy()
    rows = {
        "user_row": np.repeat(DENSE[users.numpy()], ITEMS + 1, axis=0),
        "item_row": np.tile(DENSE.T, (3, 1)),
    }
    pairs = {key: tf.constant(value, tf.float32) for key, value in rows.items()}
    expected = model(pairs)["score"].numpy().reshape(3, -1)
    np.testing.assert_allclose(1 / (1 + np.exp(-catalogue)), expected, rtol=1e-3, atol=1e-6)
    candidates = tf.constant([[1, 2], [0, 6], [3, 3]])
    listed = scorer.score_candidates(users, candidates).numpy()
    np.testing.assert_allclose(listed, np.take_along_axis(catalogue, candidates.numpy(), 1), rtol=1e-5)
    alone = scorer.score_pairs(users, tf.constant([1, 2, 3])).numpy()
    np.testing.assert_allclose(alone, expected[np.arange(3), [1, 2, 3]], rtol=1e-4, atol=1e-6)


def test_pairwise_loss_needs_ids():
    task = ImplicitTask(ImplicitSettings(loss="bpr"))
    with pytest.raises(UsageError, match=r"bpr.*dmf.*user_row"):
        task.features(dmf(), Split(TRAIN, TRAIN, TRAIN, "all"), TRAIN)
    with pytest.raises(ValidationError, match="labels"):
        ImplicitSettings(loss="bpr", labels="rating")
