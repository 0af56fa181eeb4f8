"""A recipe applied to data: what is fixed before training."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.zoo import table
from tfzoo.errors import DataError, UsageError
from tfzoo.experiment import Experiment
from tfzoo.tasks import get_task
from tfzoo.training.recipe import load_recipe

# Without XLA, which takes longer to compile than these runs take.
FAST = ["training.epochs=3", "training.batch_size=64", "training.jit_compile=false"]
FAST += ["training.learning_rate=0.01", "training.checkpoint_seconds=0"]


def prepare(interactions, *overrides, model="pmf", seed=0):
    recipe = load_recipe(model, interactions.name, overrides=[*FAST, *overrides])
    return Experiment.prepare(recipe, interactions, seed)


def pairs(part):
    return set(zip(part.user_id.tolist(), part.item_id.tolist(), strict=True))


@pytest.mark.parametrize("seed", [-1, 2**32, 2**64])
def test_a_seed_that_no_generator_takes_is_refused(toy, seed):
    with pytest.raises(UsageError, match=f"--seed must be .* Received {seed}"):
        prepare(toy, seed=seed)


def test_the_fingerprint_changes_with_all_that_matters(toy):
    base = prepare(toy)
    ratings = toy.ratings.copy()
    first = base.split.train
    ratings[(toy.user_id == first.user_id[0]) & (toy.item_id == first.item_id[0])] += 0.5
    others = [
        prepare(toy, seed=1),
        prepare(toy, "training.epochs=4"),
        prepare(toy, "builder.embedding_dim=11"),
        prepare(toy, "task.loss=mae"),
        prepare(toy, model="biased-mf"),
        prepare(replace(toy, rating=ratings)),
        prepare(toy.take(np.arange(299))),
    ]
    prints = [base.fingerprint(), *(other.fingerprint() for other in others)]
    assert len(set(prints)) == len(prints)
    assert prepare(toy).fingerprint() == base.fingerprint()
    described = base.recipe.model_copy(update={"description": "other words", "reported": None})
    assert replace(base, recipe=described).fingerprint() == base.fingerprint()


def test_the_fingerprint_changes_with_held_out_ratings(toy):
    # The best epoch is chosen on the validation part: a resumed run must not see another one.
    base = prepare(toy)
    held_out = pairs(base.split.validation)
    ratings = toy.ratings.copy()
    for row, pair in enumerate(zip(toy.user_id.tolist(), toy.item_id.tolist(), strict=True)):
        if pair in held_out:
            ratings[row] = 6 - ratings[row]
    assert prepare(replace(toy, rating=ratings)).fingerprint() != base.fingerprint()


def test_the_fingerprint_changes_with_times_and_texts(toy):
    # Sessions are put in order by time, and documents are made of texts.
    base = prepare(toy).fingerprint()
    text = np.array(["good"] * len(toy), object)
    changed = np.array(["good"] * (len(toy) - 1) + ["bad"], object)
    prints = {
        base,
        prepare(replace(toy, timestamp=toy.timestamp[::-1])).fingerprint(),
        prepare(replace(toy, text=text)).fingerprint(),
        prepare(replace(toy, text=changed)).fingerprint(),
    }
    assert len(prints) == 4


def test_the_fingerprint_changes_with_negatives_and_known_histories(toy):
    def ranking(*overrides):
        return prepare(toy, *overrides, model="ease")

    base = ranking("split.kind=leave-out", "split.negatives=5")
    held_out = ranking("split.kind=strong-generalization", "split.held_out_users=3")
    drawn = base.split.negatives["test"]
    other = {"test": replace(drawn, item_id=drawn.item_id[:, ::-1])}
    fold_in = held_out.split.fold_in
    experiments = [
        base,
        replace(base, split=replace(base.split, negatives=other)),
        replace(base, split=replace(base.split, variants={"test, half": base.split.test})),
        held_out,
        replace(held_out, split=replace(held_out.split, fold_in=fold_in.take(np.arange(5)))),
        prepare(toy, "split.kind=leave-out", "split.negatives=5", "filter.min_rating=3", model="ease"),
    ]
    assert len({experiment.fingerprint() for experiment in experiments}) == len(experiments)


def test_what_is_filtered_is_gone_from_data_and_vocabularies(toy):
    experiment = prepare(toy, "filter.min_rating=4", "filter.min_item_interactions=3", model="ease")
    kept = experiment.interactions
    assert kept.ratings.min() >= 4
    assert kept.item_counts()[1:].min() >= 3
    assert "filter" in kept.notes[-1]
    parts = (experiment.split.train, experiment.split.validation, experiment.split.test)
    assert sum(map(len, parts)) == len(kept) < len(toy)
    model = experiment.build()
    assert model.output["scores"].shape == (None, kept.num_items + 1)


def test_data_that_lacks_what_the_task_needs_is_refused(toy):
    with pytest.raises(DataError, match="no ratings"):
        prepare(replace(toy, rating=None))
    with pytest.raises(DataError, match="no review texts"):
        prepare(toy, model="deepconn")
    assert prepare(replace(toy, rating=None), model="gmf").task.name == "implicit"


def test_the_experiment_of_the_final_model(toy):
    experiment = prepare(toy, model="ease")
    assert experiment.refitted() is experiment
    refit = prepare(toy, "training.refit=true", model="ease")
    final = refit.refitted()
    assert pairs(final.split.train) == pairs(refit.split.train) | pairs(refit.split.validation)
    assert final.split.test is refit.split.test
    held_out = prepare(toy, "training.refit=true", "split.kind=strong-generalization", model="ease")
    with pytest.raises(UsageError, match="held-out users"):
        held_out.refitted()


def test_solved_weights_come_from_the_training_part_alone(toy):
    experiment = prepare(toy, model="popularity")
    train = experiment.split.train
    scores = experiment.build()({"user_row": np.zeros((1, 21), np.float32)})["scores"].numpy()[0]
    assert scores.tolist() == train.item_counts().tolist()
    assert scores.sum() < len(toy)


def test_a_model_is_built_with_the_recipes_options_and_with_changes(toy):
    experiment = prepare(toy, "builder.mean_rating=auto", "builder.embedding_dim=3")
    train = experiment.split.train
    assert experiment.builder_options()["mean_rating"] == pytest.approx(train.ratings.mean())
    assert experiment.build().get_layer("user_tower").output_shape == (None, 3)
    assert experiment.build(embedding_dim=5).get_layer("user_tower").output_shape == (None, 5)
    one, other = (experiment.build().get_weights() for _ in range(2))
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)


def test_building_keeps_the_precision(toy):
    keras.config.set_dtype_policy("mixed_bfloat16")
    prepare(toy).build()
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


def test_the_interaction_matrix_has_each_pair_once():
    data = table([1, 1, 1, 3], [2, 2, 4, 1], num_users=4, num_items=5)
    matrix = get_task("implicit")().matrix(data)
    assert (matrix.shape, matrix.dtype, matrix.nnz) == ((5, 6), np.float32, 3)
    expected = np.zeros((5, 6))
    expected[[1, 1, 3], [2, 4, 1]] = 1
    np.testing.assert_array_equal(matrix.toarray(), expected)


def test_the_evaluator_is_the_tasks(toy):
    for model, parts in (("pmf", ("train", "validation", "test")), ("ease", ("validation", "test"))):
        experiment = prepare(toy, model=model)
        assert experiment.evaluator(experiment.build()).parts == parts


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        ("gmf", "strong-generalization", r"'implicit' know a user by the id alone.* such as per-user"),
        (
            "item-knn",
            "sessions",
            r"Of no user of the validation part an interaction.*such as session-cooccurrence",
        ),
    ],
)
def test_users_of_whom_nothing_is_known_are_refused(toy, model, kind, message):
    seconds = ["split.test_seconds=600"] if kind == "sessions" else []
    recipe = load_recipe(model, "toy", overrides=[f"split.kind={kind}", *seconds])
    with pytest.raises(UsageError, match=message):
        Experiment.prepare(recipe, toy, 0)
    if kind == "strong-generalization":
        held_out = load_recipe("item-knn", "toy", protocol=kind, overrides=["filter.min_rating=2"])
        assert Experiment.prepare(held_out, toy, 0).refitted().split.fold_in is not None
