"""The review-rating task: documents, what must not leak into them, predictions and scores."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from tfzoo.data.interactions import Interactions
from tfzoo.data.pipelines import BatchPlan
from tfzoo.data.splits import Split
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError
from tfzoo.models import create_model
from tfzoo.problems.review_rating import ReviewRatingSettings
from tfzoo.tasks.review_rating import ReviewRatingTask

LENGTH = 8
SMALL = {"embedding_dim": 6, "document_length": LENGTH, "filters": 5, "latent_dim": 4, "fm_factors": 2}

# user, item, rating, review; user 4 and item 3 have no training review.
TRAIN = [
    (1, 1, 5, "Loud amp"),
    (1, 2, 4, "quiet strings, loud"),
    (2, 2, 3, "dull strings"),
    (2, 1, 2, "dull amp dull"),
    (3, 1, 1, ""),
]
VALIDATION = [(3, 2, 2, "secret validation words"), (4, 1, 5, "amp")]
TEST = [(1, 3, 4, "secret test words"), (2, 3, 1, "dull")]


def interactions(rows, timestamp=None):
    user, item, rating, text = zip(*rows, strict=True)
    return Interactions(
        Vocabulary(np.arange(4)),
        Vocabulary(np.arange(3)),
        np.array(user),
        np.array(item),
        np.array(rating),
        timestamp,
        text=np.array(text, dtype=object),
        rating_scale=(1, 5),
    )


def split_of(train=TRAIN, validation=VALIDATION, test=TEST):
    return Split(*(interactions(rows) for rows in (train, validation, test)), "by hand")


def prepare(split=None, seed=0, builder=None, **settings):
    """Return task, model with random weights, features, and the words by id."""
    split = split or split_of()
    task = ReviewRatingTask(ReviewRatingSettings(**settings))
    size = task.builder_arguments(split.train)["vocabulary_size"]
    model = create_model("deepconn", 4, 3, vocabulary_size=size, **SMALL, **(builder or {}))
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(scale=0.5, size=weight.shape) for weight in model.weights])
    words = ["", "?", *task.vocabulary(split.train).words]
    return task, model, task.features(model, split, split.train), words


def spell(tokens, words):
    return [" ".join(words[word] for word in row if word) for row in np.asarray(tokens)]


def training_inputs(split=None, **settings):
    """Return rating -> (user document, item document) of the training examples."""
    split = split or split_of()
    task, _, features, words = prepare(split, **settings)
    dataset = task.train_dataset(features, split.train, BatchPlan(batch_size=8, seed=0))
    ((inputs, labels, weight),) = dataset.take(1).as_numpy_iterator()
    assert weight.tolist() == [[1, 1, 1, 1, 1, 0, 0, 0]]
    assert not inputs["user_tokens"][0, 5:].any()
    assert not inputs["item_tokens"][0, 5:].any()
    documents = zip(
        spell(inputs["user_tokens"][0], words), spell(inputs["item_tokens"][0], words), strict=True
    )
    return dict(list(zip(labels["rating"][0].astype(int).tolist(), documents, strict=True))[:5])


def evaluation_inputs(split=None, **settings):
    """Return the documents of users 0..4 and of items 0..3."""
    _, _, features, words = prepare(split or split_of(), **settings)
    return tuple(
        spell(features.side(side, tf.range(count))[f"{side}_tokens"], words)
        for side, count in (("user", 5), ("item", 4))
    )


def test_blocks_have_the_contract_shapes():
    task, _, features, _ = prepare()
    dataset = task.train_dataset(features, split_of().train, BatchPlan(batch_size=2, seed=0, block=3))
    ((inputs, labels, weight),) = dataset.take(1).as_numpy_iterator()
    assert {name: (value.shape, value.dtype) for name, value in inputs.items()} == {
        "user_tokens": ((3, 2, LENGTH), np.int32),
        "item_tokens": ((3, 2, LENGTH), np.int32),
    }
    assert (labels["rating"].shape, weight.shape, weight.sum()) == ((3, 2), (3, 2), 5)


def test_ids_come_with_the_documents_where_the_model_has_such_inputs():
    task, split = ReviewRatingTask(), split_of()
    options = {name: value for name, value in SMALL.items() if name not in ("latent_dim", "fm_factors")}
    model = create_model("adrs", 4, 3, vocabulary_size=7, **options)
    features = task.features(model, split, split.train)
    dataset = task.train_dataset(features, split.train, BatchPlan(batch_size=8, seed=0))
    ((inputs, labels, _),) = dataset.take(1).as_numpy_iterator()
    assert {name: value.shape for name, value in inputs.items()} == {
        "user_tokens": (1, 8, LENGTH),
        "user_id": (1, 8),
        "item_tokens": (1, 8, LENGTH),
        "item_id": (1, 8),
    }
    ids = zip(inputs["user_id"][0], inputs["item_id"][0], labels["rating"][0], strict=True)
    assert sorted(ids) == sorted([row[:3] for row in TRAIN] + [(0, 0, labels["rating"][0, -1])] * 3)
    # The documents are those that a model without ids gets.
    plain_dataset = task.train_dataset(prepare()[2], split.train, BatchPlan(batch_size=8, seed=0))
    ((plain, _, _),) = plain_dataset.take(1).as_numpy_iterator()
    for name, tokens in plain.items():
        np.testing.assert_array_equal(inputs[name], tokens)
    # Who has no training review gets the bias of the average user, not the one of the start.
    bias = model.get_layer("user_tower").get_layer("user_bias")
    bias.set_weights([np.array([[9], [1], [2], [6], [9]], np.float32)])
    task.finish(model, split.train)
    assert bias.get_weights()[0].ravel().tolist() == [3, 1, 2, 6, 3]
    users, items = tf.constant([1, 4, 0]), tf.constant([2, 3, 0])
    found = task.predictor(model, features)(interactions([(1, 2, 1, ""), (4, 3, 1, ""), (0, 0, 1, "")]))
    np.testing.assert_allclose(found, model(features.inputs(users, items))["rating"], rtol=1e-6)


def test_training_documents_lack_the_target_review():
    assert training_inputs() == {
        5: ("quiet strings loud", "dull amp dull"),
        4: ("loud amp", "dull strings"),
        3: ("dull amp dull", "quiet strings loud"),
        2: ("dull strings", "loud amp"),
        1: ("", "loud amp dull amp dull"),
    }


def test_training_documents_have_the_target_review_where_asked_to():
    user_1, user_2 = "loud amp quiet strings loud", "dull strings dull amp dull"
    item_1, item_2 = "loud amp dull amp dull", "quiet strings loud dull strings"
    assert training_inputs(drop_target_review=False) == {
        5: (user_1, item_1),
        4: (user_1, item_2),
        3: (user_2, item_2),
        2: (user_2, item_1),
        1: ("", item_1),
    }


def test_evaluation_documents_are_all_training_reviews():
    users, items = evaluation_inputs()
    assert users == ["", "loud amp quiet strings loud", "dull strings dull amp dull", "", ""]
    assert items == ["", "loud amp dull amp dull", "quiet strings loud dull strings", ""]


def test_held_out_reviews_are_read_nowhere():
    other = split_of(
        validation=[(*row[:3], "loud dull amp " * 3) for row in VALIDATION],
        test=[(*row[:3], "changed altogether") for row in TEST],
    )
    assert training_inputs(other) == training_inputs()
    assert evaluation_inputs(other) == evaluation_inputs()
    for drop in (True, False):
        assert training_inputs(other, drop_target_review=drop) == training_inputs(drop_target_review=drop)
    task = ReviewRatingTask()
    assert task.vocabulary(other.train).words == task.vocabulary(split_of().train).words


def test_a_target_review_does_not_change_its_own_input_but_those_of_others():
    changed = [row if row[2] != 4 else (*row[:3], "loud strings loud") for row in TRAIN]
    before, after = training_inputs(), training_inputs(split_of(train=changed))
    assert after[4] == before[4]
    assert after[5] == ("loud strings loud", "dull amp dull")
    assert after[3] == ("dull amp dull", "loud strings loud")
    assert (after[2], after[1]) == (before[2], before[1])


def test_leaking_documents_hold_every_review_and_the_words_of_training_only():
    users, items = evaluation_inputs(documents_from="all")
    assert users == [
        "",
        "loud amp quiet strings loud ? ? ?",
        "dull strings dull amp dull dull",
        "? ? ?",
        "amp",
    ]
    assert items[3] == "? ? ? dull"
    found = training_inputs(documents_from="all", drop_target_review=True)
    assert found[5] == ("quiet strings loud ? ? ?", "dull amp dull amp")


def test_reviews_are_read_in_time_order():
    split = split_of()
    parts = {
        name: replace(part, timestamp=np.arange(len(part))[::-1])
        for name, part in (("train", split.train), ("validation", split.validation), ("test", split.test))
    }
    users, _ = evaluation_inputs(Split(**parts, protocol="by hand"))
    assert users[1:3] == ["quiet strings loud loud amp", "dull amp dull dull strings"]


def test_reviews_can_be_cut():
    users, items = evaluation_inputs(review_length=1)
    assert (users[1], items[2]) == ("loud quiet", "quiet dull")


def test_rare_words_are_unknown():
    users, _ = evaluation_inputs(max_words=2)
    # dull occurs four times; loud and amp three times each.
    assert users[1] == "? amp ? ? ?"
    assert users[2] == "dull ? dull amp dull"


def test_every_epoch_has_another_order_and_a_later_one_can_be_started_from():
    task, _, features, _ = prepare()

    def epochs(first):
        dataset = task.train_dataset(
            features, split_of().train, BatchPlan(batch_size=5, seed=3, first_epoch=first)
        )
        return [element[1]["rating"][0].tolist() for element in dataset.take(3 - first).as_numpy_iterator()]

    assert epochs(1) == epochs(0)[1:]
    assert len({tuple(order) for order in epochs(0)}) > 1


def test_predictions_equal_the_model_called_on_documents_put_together_by_hand():
    task, model, features, words = prepare()
    users = ["loud amp quiet strings loud", "dull strings dull amp dull", "", ""]
    items = ["loud amp dull amp dull", "quiet strings loud dull strings", ""]
    pairs = interactions([(u + 1, i + 1, 1, "") for u in range(4) for i in range(3)])

    def tokens(document):
        ids = [words.index(word) for word in document.split()]
        return ids + [0] * (LENGTH - len(ids))

    inputs = {
        "user_tokens": tf.constant([tokens(users[user - 1]) for user in pairs.user_id]),
        "item_tokens": tf.constant([tokens(items[item - 1]) for item in pairs.item_id]),
    }
    expected = model(inputs)["rating"]
    found = task.predictor(model, features)(pairs)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.std(found) > 0.01
    # A user and an item without reviews are rated like the unknown ones.
    unknown = task.predictor(model, features)(interactions([(0, 0, 1, "")]))
    np.testing.assert_allclose(found[[8, 11]], unknown[0], rtol=1e-6)


def test_all_items_of_a_user_score_as_the_pairs_do():
    task, model, features, _ = prepare()
    scorer = task.scorer(model, features)
    users = tf.constant([1, 2, 0])
    found = scorer.score_items(users)
    assert found.shape == (3, 4)
    for item in range(4):
        np.testing.assert_allclose(
            found[:, item], scorer.score_pairs(users, tf.fill([3], item)), rtol=1e-5, atol=1e-5
        )
    assert (scorer.output_name, scorer.hides_untrained) == ("rating", False)


def test_an_exported_graph_carries_the_documents(tmp_path):
    task, model, features, _ = prepare()
    scorer = task.scorer(model, features)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(scorer)
    ids = tf.TensorSpec([None], tf.int32)
    archive.add_endpoint("rate", tf.function(scorer.score_pairs, input_signature=[ids, ids]))
    archive.write_out(str(tmp_path / "model"), verbose=False)
    users, items = tf.constant([1, 2, 4, 0]), tf.constant([2, 1, 3, 0])
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded.rate(users, items), scorer.score_pairs(users, items), rtol=1e-6)
    tracked = {id(variable) for variable in scorer.variables}
    documents = [features.providers[f"{side}_tokens"].documents for side in ("user", "item")]
    assert all(id(one.tokens) in tracked for one in documents)


def test_training_finds_the_word_that_decides():
    random = np.random.default_rng(0)
    user, item = np.divmod(np.arange(24 * 6), 6)
    good = random.random(24) < 0.5
    text = [f"{'splendid' if good[u] else 'awful'} {random.choice(['amp', 'case'])}" for u in user]
    rating = np.where(good[user], 5.0, 1.0)
    rows = list(zip(user + 1, item + 1, rating, text, strict=True))
    train = Interactions(
        Vocabulary(np.arange(24)),
        Vocabulary(np.arange(6)),
        *(np.array(column) for column in list(zip(*rows, strict=True))[:3]),
        text=np.array(text, dtype=object),
    )
    task = ReviewRatingTask()
    keras.utils.set_random_seed(0)
    options = {**task.builder_arguments(train), **SMALL, "dropout": 0.0}
    options.pop("rating_scale")
    model = create_model("deepconn", 24, 6, **options)
    features = task.features(model, Split(train, train, train, "by hand"), train)
    model.compile(optimizer=keras.optimizers.Adam(0.03), loss=task.loss())
    blocks = task.train_dataset(features, train, BatchPlan(batch_size=48, seed=0, block=3))

    @tf.function
    def step(inputs, labels, weight):
        with tf.GradientTape() as tape:
            loss, _ = task.compute_loss(model, inputs, labels, weight, ())
        model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    for inputs, labels, weight in blocks.take(20):
        for number in range(3):
            batch = {name: value[number] for name, value in inputs.items()}
            loss = step(batch, {"rating": labels["rating"][number]}, weight[number])
    assert float(loss) < 0.2 < 0.5 * np.var(rating)
    predict = task.predictor(model, features)
    np.testing.assert_allclose(predict(train), rating, atol=1.0)


def test_word_vectors_are_loaded_before_training(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("dull 1 2 3 4 5 6\nunheard 9 9 9 9 9 9\namp 6 5 4 3 2 1\n", encoding="utf-8")
    task, model, _, words = prepare(word_vectors=path)
    tables = [model.get_layer(f"{side}_tower").get_layer(f"{side}_words") for side in ("user", "item")]
    before = [np.array(table.get_weights()[0]) for table in tables]
    task.prepare(model, split_of(), split_of().train)
    for table, old in zip(tables, before, strict=True):
        new = table.get_weights()[0]
        assert new[words.index("dull")].tolist() == [1, 2, 3, 4, 5, 6]
        assert new[words.index("amp")].tolist() == [6, 5, 4, 3, 2, 1]
        rest = [number for number, word in enumerate(words) if word not in ("dull", "amp")]
        np.testing.assert_array_equal(new[rest], old[rest])


def test_without_word_vectors_nothing_is_loaded():
    task, model, _, _ = prepare()
    before = model.get_weights()
    task.prepare(model, split_of(), split_of().train)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_word_vectors_of_another_width_are_refused(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("dull 1 2 3\n", encoding="utf-8")
    task, model, _, _ = prepare(word_vectors=path)
    with pytest.raises(DataError, match=r"width 3, but builder\.embedding_dim is 6"):
        task.prepare(model, split_of(), split_of().train)


def test_a_word_table_that_is_too_small_is_refused():
    task = ReviewRatingTask()
    model = create_model("deepconn", 4, 3, vocabulary_size=5, **SMALL)
    with pytest.raises(UsageError, match=r"builder\.vocabulary_size must be at least 7, or auto"):
        task.features(model, split_of(), split_of().train)


def test_reviews_and_ratings_are_needed():
    task = ReviewRatingTask()
    task.check(split_of().train)
    with pytest.raises(DataError, match="has no review texts"):
        task.check(replace(split_of().train, text=None))
    with pytest.raises(DataError, match="has no ratings"):
        task.check(replace(split_of().train, rating=None))


def test_automatic_arguments_come_from_the_training_part():
    arguments = ReviewRatingTask().builder_arguments(split_of().train)
    assert set(arguments) == set(ReviewRatingTask.automatic)
    # loud, amp, quiet, strings and dull, and the ids of padding and of unknown words.
    assert (arguments["vocabulary_size"], arguments["mean_rating"]) == (7, 3.0)
    limited = ReviewRatingTask(ReviewRatingSettings(max_words=3))
    assert limited.builder_arguments(split_of().train)["vocabulary_size"] == 5


@pytest.mark.parametrize("wrong", [{"mask_target": True}, {"max_words": 0}, {"documents_from": "test"}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        ReviewRatingSettings(**wrong)


@pytest.mark.parametrize(("loss", "expected"), [("mse", (1 + 4) / 2), ("mae", (1 + 2) / 2)])
def test_the_loss_is_the_mean_over_what_is_not_padding(loss, expected):
    function = ReviewRatingTask(ReviewRatingSettings(loss=loss)).loss()
    truth, prediction = tf.constant([1.0, 2.0, 0.0]), tf.constant([2.0, 4.0, 9.0])
    found = function(truth, prediction, sample_weight=tf.constant([1.0, 1.0, 0.0]))
    assert float(found) == pytest.approx(expected)


def test_lower_error_is_better():
    task = ReviewRatingTask()
    assert (task.name, task.evaluation, task.monitor, task.maximize) == (
        "review-rating",
        "rating",
        "rmse",
        False,
    )
