"""A run that goes on with new interactions keeps what it has learned, and serves who is new."""

import io
import zipfile
from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest

from tests.zoo import sampled, task_of
from tfzoo.data.appending import extend_vocabularies, over, translate, with_features_of
from tfzoo.data.interactions import Interactions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError
from tfzoo.experiment import Experiment
from tfzoo.layers.item_table import ItemTable
from tfzoo.models import list_models, model_info
from tfzoo.runs import load_model, run
from tfzoo.tasks import get_task
from tfzoo.training.averages import arrays
from tfzoo.training.recipe import load_recipe, recorded_recipe
from tfzoo.training.record import RunRecord
from tfzoo.training.start import Start, grown
from tfzoo.updates import extended, of_record, prepare_update, reopened, training_settings

QUICK = ["training.epochs=2", "training.jit_compile=false"]
# Of few data the filters of the papers would leave nothing.
PLAIN = [
    *("filter.min_rating=null", "filter.min_user_interactions=0", "filter.min_item_interactions=0"),
    *("split.kind=leave-out", "split.negatives=null", "split.held_out_users=null"),
]
SOURCE = {"frame": "new"}
# Their tables are of values of fields and of words.
NOT_BY_ID = ("click", "review-rating")


def rows_of(toy, rows):
    """Return some interactions over the users and items that they have, as a reader gives them."""
    part = toy.take(rows)
    users, items = part.users.decode(part.user_id), part.items.decode(part.item_id)
    vocabularies = Vocabulary.from_values(users), Vocabulary.from_values(items)
    return Interactions(
        *vocabularies,
        vocabularies[0].lookup(users),
        vocabularies[1].lookup(items),
        part.rating,
        part.timestamp,
        rating_scale=part.rating_scale,
        name="new",
    )


@pytest.fixture(scope="module")
def past_and_new(toy):
    """Interactions of 26 users with 18 items, and those that brought users and items in between."""
    late = (toy.user_id % 8 == 3) | (toy.item_id % 10 == 4)
    return replace(rows_of(toy, np.flatnonzero(~late)), name="past"), rows_of(toy, np.flatnonzero(late))


@pytest.fixture(scope="module")
def trained(past_and_new, tmp_path_factory):
    """A function that trains a model on what was known first, once a model."""
    done = {}

    def call(model, *settings):
        if (model, settings) not in done:
            small = [f"builder.{key}={value}" for key, value in model_info(model).small.items()]
            small = [one for one in small if "[" not in one and "(" not in one]
            plain = [] if get_task(model_info(model).task).predicts_ratings else PLAIN
            recipe = load_recipe(model, "", overrides=[*QUICK, *plain, *small, *settings])
            experiment = Experiment.prepare(recipe, past_and_new[0], 0)
            record, folder = run(experiment, tmp_path_factory.mktemp(model))
            done[model, settings] = experiment.refitted(), record, folder
        return done[model, settings]

    return call


@pytest.fixture(scope="module")
def updated(trained, past_and_new):
    def call(model, *settings, new=past_and_new[1], **options):
        return prepare_update(*trained(model, *settings), new, SOURCE, **options)

    return call


# Sessions are divided as a whole, which `PLAIN` does not do.
UPDATED = [
    name
    for name in list_models()
    if task_of(name) not in (*NOT_BY_ID, "next-item") and model_info(name).solve is None
]


@pytest.mark.parametrize("name", sampled(UPDATED, ("bpr-mf", "mult-vae", "sasrec")))
def test_tables_grow_and_no_row_of_an_old_id_changes_before_training(trained, updated, name):
    experiment, _, folder = trained(name)
    after = updated(name)
    before, now = experiment.split.train, after.split.train
    assert after.update["new_users"] == now.num_users - before.num_users > 0
    assert after.update["new_items"] == now.num_items - before.num_items > 0
    assert now.users.ids[: before.num_users].tolist() == before.users.ids.tolist()
    old, model = load_model(folder), after.build()
    fresh = arrays(
        replace(after, start=replace(after.start, weights=arrays(after.build().weights))).build().weights
    )
    assert len(fresh) == len(old.weights)
    changed = 0
    built = arrays(model.weights)
    masked = {id(layer.table) for layer in old._flatten_layers() if getattr(layer, "mask_row", False)}
    for old_weight, is_now in zip(old.weights, built, strict=True):
        one = old_weight.numpy()
        changed += one.shape != is_now.shape
        if id(old_weight) in masked:
            np.testing.assert_array_equal(is_now[-1], one[-1])
            one = one[:-1]
        np.testing.assert_array_equal(is_now[tuple(slice(size) for size in one.shape)], one)
    assert changed > 0
    record, place = run(after, folder.parents[1] / "updates", name="second")
    assert record.continues["fingerprint"] == RunRecord.load(folder).fingerprint
    assert place != folder
    assert record.metrics["test"].keys() == RunRecord.load(folder).metrics["test"].keys()


def test_new_rows_are_those_that_the_builder_makes(updated):
    after = updated("biased-mf")
    anew = replace(after, start=None)
    options = dict(after.start.builder)
    fresh, model = anew.build(**options), None
    fresh = {weight.path: weight.numpy() for weight in fresh.weights}
    model = after.build()
    old = len(after.split.train.users) + 1 - after.update["new_users"]
    table = next(weight for weight in model.weights if "user" in weight.path and weight.shape[-1] > 1)
    np.testing.assert_array_equal(table.numpy()[old:], fresh[table.path][old:])
    assert not np.array_equal(table.numpy()[1:old], fresh[table.path][1:old])


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_optimizer_goes_on_where_it_has_slots(trained, updated, schedule):
    settings = ("training.optimizer=adam", f"training.schedule={schedule}")
    _, _, folder = trained("bpr-mf", *settings)
    after = updated("bpr-mf", *settings)
    with zipfile.ZipFile(folder / "model.keras") as archive:
        weights = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(weights) as file:
        group = file["optimizer/vars"]
        saved = [group[str(number)][()] for number in range(len(group))]
    # The step, the learning rate where no schedule gives it, and two slots a weight.
    slots = saved if schedule == "cosine" else [saved[0], *saved[2:]]
    assert slots[0] > 0, "steps were taken"
    assert after.update["kept"] == "weights and optimizer"
    model = after.build()
    model.compile(keras.optimizers.Adam(0.125))
    model.optimizer.build(model.trainable_weights)
    after.start.give_slots(model)
    assert float(model.optimizer.learning_rate) == 0.125, "the rate of the update, not of the earlier run"
    variables = [one for one in model.optimizer.variables if one.name != "learning_rate"]
    for old, now in zip(slots, variables, strict=True):
        np.testing.assert_array_equal(now.numpy()[tuple(slice(size) for size in old.shape)], old)


def test_an_optimizer_without_slots_and_another_one_begin_anew(updated):
    assert updated("bpr-mf", "training.optimizer=sgd").update["kept"] == "weights"
    settings = ("training.optimizer=adam", "training.schedule=constant")
    # Its arrays are as many and of the same shapes as Adam's.
    after = updated("bpr-mf", *settings, training={"optimizer": "adamw"})
    assert after.update["kept"] == "weights"
    assert after.start.slots is None


def test_the_vector_of_hidden_events_stays_behind_the_items():
    def model_of(num_items):
        history = keras.Input((2,), dtype="int32")
        table = ItemTable(num_items, 2, mask_row=True)
        model = keras.Model(history, table(history, look_up=True))
        model.compile("adam")
        model.optimizer.build(model.trainable_weights)
        return model

    old, now = model_of(3), model_of(5)
    table = np.arange(10.0).reshape(5, 2)
    fresh = now.weights[0].numpy()
    start = Start({}, {}, [table], [np.array(7), table + 100, table + 200], None)
    assert old.weights[0].shape == table.shape
    start.give_weights(now, solved=False)
    start.give_slots(now)
    found, momentum = now.weights[0].numpy(), now.optimizer.variables[2].numpy()
    np.testing.assert_array_equal(found, [*table[:4], *fresh[4:6], table[4]])
    np.testing.assert_array_equal(momentum, [*table[:4] + 100, [0, 0], [0, 0], table[4] + 100])


def test_times_of_microseconds_are_translated_without_overflow(toy):
    table = replace(toy, timestamp=toy.timestamp * 10**6, ticks_per_second=10**6)
    np.testing.assert_array_equal(translate(table, table).timestamp, table.timestamp)
    finer = replace(toy, timestamp=toy.timestamp * 10**9 + 1999, ticks_per_second=10**9)
    np.testing.assert_array_equal(translate(finer, table).timestamp, table.timestamp + 1)
    np.testing.assert_array_equal(translate(toy, table).timestamp, table.timestamp)


def test_new_ids_alone_get_the_features_of_new_interactions(toy):
    def with_titles(table, *titles):
        return replace(table, item_features={"title": np.array(["", *titles])})

    known = with_titles(rows_of(toy, np.flatnonzero(toy.item_id <= 2)), "first", "")
    new = with_titles(rows_of(toy, np.flatnonzero((toy.item_id > 1) & (toy.item_id <= 3))), "second", "third")
    table = over(known, *extend_vocabularies(known, new))
    titles = with_features_of(table, new, known).item_features["title"]
    assert titles.tolist() == ["", "first", "", "third"]


def test_grown_fills_the_first_rows_and_columns_alone():
    found = grown(np.ones((2, 2)), np.zeros((3, 4)))
    assert found.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert grown(np.ones((2, 2)), np.zeros((1, 4))) is None
    assert grown(np.ones(2), np.zeros((2, 4))) is None


def test_closed_forms_are_solved_from_all_interactions(updated, tmp_path):
    after = updated("ease", "builder.l2=3.0")
    record, folder = run(after, tmp_path)
    train = after.split.train
    rows = np.zeros((train.num_users + 1, train.num_items + 1))
    rows[train.user_id, train.item_id] = 1
    inverse = np.linalg.inv(rows[:, 1:].T @ rows[:, 1:] + 3.0 * np.eye(train.num_items))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    found = next(weight for weight in load_model(folder).weights if weight.path.endswith("kernel"))
    np.testing.assert_allclose(found.numpy()[1:, 1:], weights, atol=1e-5)
    assert record.continues["kept"] == "nothing: solved anew"


def test_held_out_rows_stay_held_out(trained, updated, toy):
    experiment = trained("biased-mf")[0]
    test = experiment.split.test
    names = test.users.decode(test.user_id), test.items.decode(test.item_id)
    users, items = toy.users.lookup(names[0]), toy.items.lookup(names[1])
    hidden = np.isin(toy.user_id * 100 + toy.item_id, users * 100 + items)
    with pytest.raises(UsageError, match="holds no interaction that the run does not know: nothing would"):
        updated("biased-mf", new=rows_of(toy, np.flatnonzero(hidden)))
    after = updated("biased-mf", new=toy)
    train, held = after.split.train, after.split.test
    assert not set(zip(train.user_id, train.item_id, strict=True)) & set(
        zip(held.user_id, held.item_id, strict=True)
    )
    assert held.users.decode(held.user_id).tolist() == names[0].tolist()


def test_known_events_are_not_trained_on_again_where_pairs_may_repeat(trained, updated, past_and_new, toy):
    past, late = past_and_new
    after = updated("sasrec", new=toy)
    assert after.update["interactions"] == len(late)
    assert len(after.split.train) == len(trained("sasrec")[0].split.train) + len(late)
    repeated = replace(rows_of(past, np.arange(5)), timestamp=past.timestamp[:5] + 10**6)
    assert updated("sasrec", new=repeated).update["interactions"] == 5
    with pytest.raises(UsageError, match="holds no interaction that the run does not know"):
        updated("sasrec", new=past)


def test_without_times_held_out_pairs_are_left_out_where_pairs_may_repeat(trained, past_and_new):
    def untimed(part):
        return replace(part, timestamp=None)

    experiment, past = trained("sasrec")[0], untimed(past_and_new[0])
    split = experiment.split
    parts = {name: untimed(getattr(split, name)) for name in ("train", "validation", "test")}
    untimed_run = replace(experiment, split=replace(split, **parts), interactions=untimed(past.take([])))
    after = extended(untimed_run, past, SOURCE, {})
    # No pair of these data repeats.
    assert after.update["interactions"] == len(past) - len(split.validation) - len(split.test)


def test_a_new_rating_of_a_known_pair_replaces_the_old_one(trained, updated, toy):
    train = trained("biased-mf")[0].split.train
    first = rows_of(train, np.array([0]))
    other = replace(first, rating=6 - first.rating if first.rating[0] != 3 else first.rating - 1, name="new")
    after = updated("biased-mf", new=other)
    assert len(after.split.train) == len(train)
    same = (after.split.train.user_id == train.user_id[0]) & (after.split.train.item_id == train.item_id[0])
    assert after.split.train.rating[same].tolist() == other.rating.tolist()
    with pytest.raises(UsageError, match="does not know"):
        updated("biased-mf", new=first)
    with pytest.raises(DataError, match="the rating 9 lies outside the scale 1 to 5 of 'past'"):
        updated("biased-mf", new=replace(other, rating=[9.0], rating_scale=None))


@pytest.mark.parametrize("name", ["biased-mf", "mult-vae"])
def test_replay_trains_on_a_share_of_the_old(updated, name):
    none, half, whole = (updated(name, replay=share) for share in (0.0, 0.5, 1.0))
    old = len(whole.split.train) - whole.update["interactions"]
    assert len(whole.start.rows) == len(whole.split.train)
    if name == "biased-mf":
        assert len(none.start.rows) == none.update["interactions"]
        assert len(half.start.rows) == none.update["interactions"] + round(old / 2)
    else:
        # Examples are users' rows, which are kept whole.
        ours = np.unique(none.start.rows.user_id)
        assert len(none.start.rows) == np.isin(none.split.train.user_id, ours).sum()
        assert len(ours) < len(np.unique(half.start.rows.user_id)) < whole.split.train.num_users + 1
    assert none.fingerprint() != half.fingerprint() != whole.fingerprint()


def test_an_update_is_reopened_as_it_was_trained(trained, updated, past_and_new, tmp_path):
    after = updated(
        "biased-mf", epochs=3, training=training_settings("biased-mf", ["training.learning_rate=0.01"])
    )
    record, folder = run(after, tmp_path)
    assert len(record.history) == 3
    assert record.recipe["training"]["learning_rate"] == 0.01
    assert record.recipe["changes"]["training.learning_rate"] == 0.01
    record = RunRecord.load(folder)
    before = replace(trained("biased-mf")[0], recipe=recorded_recipe(record.recipe, "the record"))
    again = of_record(reopened(before, [(past_and_new[1], SOURCE)]), record)
    assert again.is_of(record)
    assert not replace(again, update={**again.update, "replay": 0.5}).is_of(record)
    assert again.evaluator(load_model(folder)).evaluate("test") == record.metrics["test"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replay": 1.5}, "--replay must be at least 0 and at most 1"),
        ({"epochs": 0}, "--epochs must be at least 1"),
    ],
)
def test_options_that_make_no_update(updated, options, message):
    with pytest.raises(UsageError, match=message):
        updated("biased-mf", **options)


def test_settings_beside_the_training_are_refused():
    with pytest.raises(UsageError, match="changes settings of the training alone"):
        training_settings("biased-mf", ["builder.embedding_dim=3"])
    with pytest.raises(UsageError, match="Did you mean 'epochs'"):
        training_settings("biased-mf", ["training.epoch=3"])


def test_models_whose_tables_are_not_by_id_say_why(toy, past_and_new, tmp_path):
    reviews = replace(past_and_new[0], text=np.array(["a fine film"] * len(past_and_new[0]), object))
    recipe = load_recipe("deepconn", "", overrides=[*QUICK, "training.epochs=1"])
    experiment = Experiment.prepare(recipe, reviews, 0)
    record, folder = run(experiment, tmp_path)
    with pytest.raises(UsageError, match="'deepconn' cannot be updated: it reads item_tokens, user_tokens"):
        prepare_update(experiment, record, folder, past_and_new[1], SOURCE)
