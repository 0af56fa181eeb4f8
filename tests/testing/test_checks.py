"""The checks that are shipped for the models of others find what they are for."""

import keras
import pytest
from keras import ops

from tfzoo.errors import UsageError
from tfzoo.layers import embedding_tower
from tfzoo.models import Paper, register_model, registry
from tfzoo.testing import CHECKS, check_model

PAPER = Paper("Nobody", "Nothing", "Nowhere", 2026)


def flawed(num_users, num_items, rating, *, output="rating", width=3):
    """Make a rating model of two towers and a function of their vectors."""
    vectors, inputs = {}, {}
    for side, size in (("user", num_users), ("item", num_items)):
        tower = embedding_tower(side, size, width)
        inputs |= {tensor.name: keras.Input((), dtype="int32", name=tensor.name) for tensor in tower.inputs}
        vectors[side] = tower({key: value for key, value in inputs.items() if key.startswith(side)})
    return keras.Model(inputs, {output: rating(vectors["user"], vectors["item"])}, name="flawed")


def dot(user, item):
    return keras.layers.Activation("linear", dtype="float32", name="out")(ops.sum(user * item, axis=-1))


@pytest.fixture
def registered(monkeypatch):
    """Return a function that registers a builder by the name ``flawed`` for the time of a test."""
    registry.builders()  # All models are there before they are copied.
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))

    def register(builder, **options):
        registry._REGISTRY.pop("flawed", None)
        return register_model("flawed", task="rating", paper=PAPER, **options)(builder)

    return register


def unused(user, item):
    return dot(user, item) + 0.0 * keras.layers.Dense(1, name="unused")(user)[:, 0]


def of_the_batch(user, item):
    score = dot(user, item)
    return score - ops.mean(score)


FLAWS = {
    "contract": (dot, {"output": "stars"}, "the outputs are 'stars'"),
    "no code": (lambda user, item: keras.layers.Lambda(lambda x: x)(dot(user, item)), {}, "Lambda layers"),
    "batch": (of_the_batch, {}, "alone and among three"),
    "smallest": (lambda user, item: ops.log(0.0 * dot(user, item)), {}, "not finite for one user"),
    "gradients": (unused, {}, "the gradient of .*unused.* is 0"),
    "mixed_float16": (lambda user, item: keras.layers.Dense(1)(user)[:, 0], {}, "'rating' is float16"),
}


@pytest.mark.parametrize("check", FLAWS)
def test_a_flaw_is_found_and_said(registered, check):
    rating, options, said = FLAWS[check]

    def builder(num_users: int, num_items: int) -> keras.Model:
        return flawed(num_users, num_items, rating, **options)

    registered(builder)
    with pytest.raises(AssertionError, match=f"^{check}: 'flawed' fails: (.|\n)*{said}"):
        check_model("flawed", only=[check])
    assert keras.config.dtype_policy().name == "float32"


def test_weights_that_no_seed_moves_are_found(registered):
    def builder(num_users: int, num_items: int) -> keras.Model:
        model = flawed(num_users, num_items, dot)
        for weight in model.weights:
            weight.assign(ops.ones_like(weight))
        return model

    registered(builder)
    with pytest.raises(AssertionError, match=r"seed: .*another seed gives the same weights"):
        check_model("flawed", only=["seed"])


def test_a_sound_model_passes_at_the_sizes_of_its_registration(registered):
    def builder(num_users: int, num_items: int, *, embedding_dim: int = 1_000) -> keras.Model:
        assert embedding_dim == 4
        return flawed(num_users, num_items, dot, width=embedding_dim)

    registered(builder, small={"embedding_dim": 4})
    # Rows for 7 users, 5 items and the unknown ones.
    quick = [check for check in CHECKS if check not in ("saved", "export", "xla")]
    check_model("flawed", parameters=(8 + 6) * 4, only=quick)
    with pytest.raises(AssertionError, match="parameters: 'flawed' has 56 trained weights, not 57"):
        check_model("flawed", parameters=57, only=["no code"])


def test_unknown_models_and_checks_are_named():
    with pytest.raises(UsageError, match="Unknown model 'pmff'"):
        check_model("pmff")
    with pytest.raises(UsageError, match=r"There is no check 'batches'. .*batch"):
        check_model("pmf", only=["batches"])


def test_checks_can_be_left_out(registered):
    registered(lambda num_users, num_items: flawed(num_users, num_items, dot, output="stars"))
    check_model("flawed", only=["contract", "no code"], without=["contract"])
