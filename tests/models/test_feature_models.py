"""Wide & Deep and DeepFM: their parts by hand, their limits, and their side features in an export."""

import itertools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import NUM_ITEMS, NUM_USERS, build, call, random_inputs, table
from tfzoo.data.splits import Split
from tfzoo.inputs import Known, automatic_value
from tfzoo.layers import feature_head, feature_tower
from tfzoo.models import create_model
from tfzoo.serving.export import export_saved_model
from tfzoo.tasks import RatingTask

FEATURES = {"user_features": 4, "item_features": 3}
SIZES = {"embedding_dim": 5, "hidden_units": (6, 4)}
EACH = [("deepfm", {}), ("deepfm", FEATURES), ("wide-deep", {}), ("wide-deep", FEATURES)]


def rate(model, inputs):
    return model({name: inputs[name] for name in model.input}, training=False)["rating"].numpy()


def some_inputs(batch, seed=0):
    """Return ids and features; the first example has no features."""
    random = np.random.default_rng(seed)
    inputs = {
        "user_id": random.integers(0, NUM_USERS + 1, batch),
        "item_id": random.integers(0, NUM_ITEMS + 1, batch),
        "user_features": random.integers(0, 2, (batch, 4)),
        "item_features": random.integers(0, 2, (batch, 3)),
    }
    inputs["user_features"][0] = inputs["item_features"][0] = 0
    types = {"user_id": tf.int32, "item_id": tf.int32}
    return {name: tf.constant(value, types.get(name, tf.float32)) for name, value in inputs.items()}


def weights_of(model, side, name):
    return model.get_layer(f"{side}_tower").get_layer(f"{side}_{name}").get_weights()[0]


def active(model, inputs, row, part):
    """Return the rows of a table (``embedding`` or ``bias``) of all that is 1 in an example."""
    found = []
    for side in ("user", "item"):
        found.append(weights_of(model, side, part)[inputs[f"{side}_id"][row]])
        if f"{side}_features" in model.input:
            columns = np.flatnonzero(inputs[f"{side}_features"][row])
            found += list(weights_of(model, side, f"features_{part}")[columns])
    return found


@pytest.mark.parametrize("features", [{}, {"user_features": 4}, {"item_features": 3}, FEATURES])
def test_the_factorisation_machine_is_the_double_sum(features):
    model = build("deepfm", scale=0.5, embedding_dim=5, hidden_units=(), mean_rating=3.0, **features)
    inputs = some_inputs(20)
    assert sorted(model.input) == sorted(["user_id", "item_id", *features])
    expected = []
    for row in range(20):
        pairs = itertools.combinations(active(model, inputs, row, "embedding"), 2)
        linear = sum(float(weight[0]) for weight in active(model, inputs, row, "bias"))
        expected.append(3.0 + linear + sum(float(one @ other) for one, other in pairs))
    np.testing.assert_allclose(rate(model, inputs), expected, rtol=1e-4, atol=1e-5)


def network(model, hidden):
    head = model.get_layer("head")
    dense = [layer for layer in head.layers if isinstance(layer, keras.layers.Dense)]
    *layers, unit = [layer for layer in dense if layer.name != "crosses"]
    for layer in layers:
        kernel, bias = layer.get_weights()
        hidden = np.maximum(hidden @ kernel + bias, 0)
    kernel, bias = unit.get_weights()
    return hidden @ kernel[:, 0] + bias[0]


def fields(model, inputs):
    found = []
    for side in ("user", "item"):
        found.append(weights_of(model, side, "embedding")[inputs[f"{side}_id"]])
        if f"{side}_features" in model.input:
            found.append(inputs[f"{side}_features"] @ weights_of(model, side, "features_embedding"))
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize("features", [{}, FEATURES])
def test_deepfm_is_its_machine_plus_a_network_on_the_same_embeddings(features):
    model = build("deepfm", **SIZES, **features)
    machine = build("deepfm", embedding_dim=5, hidden_units=(), **features)
    for side in ("user", "item"):
        machine.get_layer(f"{side}_tower").set_weights(model.get_layer(f"{side}_tower").get_weights())
    inputs = some_inputs(20)
    expected = rate(machine, inputs) + network(model, fields(model, inputs))
    np.testing.assert_allclose(rate(model, inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("features", [{}, FEATURES])
def test_wide_and_deep_by_hand(features):
    model = build("wide-deep", **SIZES, mean_rating=3.0, **features)
    inputs = some_inputs(20)
    wide = np.array([sum(weight[0] for weight in active(model, inputs, row, "bias")) for row in range(20)])
    if features:
        (crosses,) = model.get_layer("head").get_layer("crosses").get_weights()
        for user, item in itertools.product(range(4), range(3)):
            both = inputs["user_features"].numpy()[:, user] * inputs["item_features"].numpy()[:, item]
            wide = wide + crosses[user, item] * both
    deep = network(model, fields(model, inputs))
    np.testing.assert_allclose(rate(model, inputs), 3.0 + wide + deep, rtol=1e-4, atol=1e-5)
    plain = build("wide-deep", 1, **SIZES, mean_rating=3.0, wide=False, **features)
    for side in ("user", "item"):
        for name in ("embedding", *(["features_embedding"] if features else [])):
            layer = plain.get_layer("user_tower" if side == "user" else "item_tower").get_layer(
                f"{side}_{name}"
            )
            layer.set_weights([weights_of(model, side, name)])
    head = [layer for layer in model.get_layer("head").layers if layer.name != "crosses" and layer.weights]
    own = [layer for layer in plain.get_layer("head").layers if layer.weights]
    for layer, other in zip(own, head, strict=True):
        layer.set_weights(other.get_weights())
    np.testing.assert_allclose(rate(plain, inputs), 3.0 + deep, rtol=1e-4, atol=1e-5)


def test_wide_alone_is_linear():
    model = build("wide-deep", hidden_units=(), **FEATURES)
    inputs = some_inputs(1, seed=3)
    for side in ("user", "item"):
        names = {layer.name for layer in model.get_layer(f"{side}_tower").layers if layer.weights}
        assert names == {f"{side}_bias", f"{side}_features_bias"}
    zero = {**inputs, "item_features": tf.zeros((1, 3))}
    one = {**inputs, "item_features": tf.constant([[1.0, 0, 0]])}
    two = {**inputs, "item_features": tf.constant([[0, 1.0, 0]])}
    both = {**inputs, "item_features": tf.constant([[1.0, 1.0, 0]])}
    total = rate(model, one) + rate(model, two) - rate(model, zero)
    np.testing.assert_allclose(rate(model, both), total, rtol=1e-4)


def test_a_machine_of_two_ids_is_biased_mf():
    machine, mf = build("deepfm", embedding_dim=5, hidden_units=()), build("biased-mf", 1, embedding_dim=5)
    inputs = random_inputs(mf, 20)
    for side in ("user", "item"):
        for name in (f"{side}_embedding", f"{side}_bias"):
            layer = machine.get_layer(f"{side}_tower").get_layer(name)
            layer.set_weights(mf.get_layer(f"{side}_tower").get_layer(name).get_weights())
    np.testing.assert_allclose(rate(machine, inputs), rate(mf, inputs), rtol=1e-5, atol=1e-6)


def dense(*widths):
    return sum(a * b + b for a, b in itertools.pairwise(widths))


@pytest.mark.parametrize("features", [{}, FEATURES])
def test_the_number_of_parameters(features):
    rows, fields = 944 + 1683 + sum(features.values()), 2 + len(features)
    deepfm = create_model("deepfm", 943, 1682, **features)
    assert deepfm.count_params() == 11 * rows + dense(10 * fields, 400, 400, 400, 1)
    wide_deep = create_model("wide-deep", 943, 1682, **features)
    crosses = 12 if features else 0
    assert wide_deep.count_params() == 33 * rows + crosses + dense(32 * fields, 1024, 512, 256, 1)


def test_the_number_of_parameters_of_a_library():
    # BARS' log of MovielensLatest: 90,239 rows in three fields, and batch normalisation.
    logged, normalisation = 1_328_630, 2 * 1200
    assert 90_239 * 11 + dense(30, 400, 400, 400, 1) == logged - normalisation


@pytest.mark.parametrize(("name", "features"), EACH)
def test_penalties_charge_what_is_looked_up(name, features):
    model = build(name, **SIZES, lookup_l2=0.1, **features)
    inputs = some_inputs(3)
    inputs["user_id"], inputs["item_id"] = tf.constant([2, 0, 2]), tf.constant([1, 0, 4])
    for part in ("user_features", "item_features"):
        inputs[part] = tf.concat([inputs[part][:1], tf.zeros_like(inputs[part][:1]), inputs[part][2:]], 0)
    model({key: inputs[key] for key in model.input}, training=True)
    rows = [
        vector
        for row in (0, 2)
        for part in ("embedding", "bias")
        for vector in active(model, inputs, row, part)
    ]
    expected = 0.1 * sum(np.sum(vector**2) for vector in rows) / 2
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["deepfm", "wide-deep"])
def test_models_with_features_are_saved_compiled_and_lowered_in_precision(name, tmp_path):
    model, inputs = build(name, **SIZES, **FEATURES), some_inputs(9)
    expected = rate(model, inputs)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(rate(keras.saving.load_model(tmp_path / "model.keras"), inputs), expected)
    compiled = tf.function(model, jit_compile=True)(inputs)["rating"]
    np.testing.assert_allclose(compiled, expected, rtol=1e-4, atol=1e-5)
    keras.config.set_dtype_policy("mixed_float16")
    np.testing.assert_allclose(rate(build(name, **SIZES, **FEATURES), inputs), expected, atol=0.01)
    assert rate(model, {key: value[:0] for key, value in inputs.items()}).shape == (0,)


@pytest.mark.parametrize("name", ["deepfm", "wide-deep"])
def test_data_with_features_is_rated_and_exported(name, tmp_path):
    users, items = np.divmod(np.arange(24), 4)
    genres = {"genres": np.array(["", "Comedy|Drama", "Drama", "War", ""])}
    ages = {"age": np.array([0, 20, 30, 20, 30, 40, 40]), "gender": np.array(["", *"FMFMFM"])}
    data = {"item_features": genres, "user_features": ages, "num_users": 6, "num_items": 4}
    train = table(users + 1, items + 1, users % 5 + 1.0, rating_scale=(1, 5), **data)
    task = RatingTask()
    chosen = {key: automatic_value(key, Known((train,))) for key in ("user_features", "item_features")}
    assert chosen == {"user_features": 5, "item_features": 3}
    model = build(name, num_users=6, num_items=4, **SIZES, **chosen)
    features = task.features(model, Split(train, train, train, ""), train)
    found = task.predictor(model, features)(train)
    inputs = features.inputs(tf.constant(train.user_id), tf.constant(train.item_id))
    np.testing.assert_allclose(found, call(model, inputs)["rating"], rtol=1e-5, atol=1e-5)
    version = export_saved_model(model, task.scorer(model, features), train, tmp_path / name, metadata={})
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    raw = {"user_id": tf.constant(train.users.decode(train.user_id))}
    raw["item_id"] = tf.constant(train.items.decode(train.item_id))
    np.testing.assert_allclose(served(**raw)["rating"], found, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: create_model("wide-deep", 2, 2, wide=False, hidden_units=()), "Without `wide` at least one"),
        (lambda: feature_head((3, 0), 2, crosses=True), "Crosses need features of both sides"),
        (lambda: feature_head((0, 0), 2, linear=False), "A rating needs a linear part"),
    ],
)
def test_what_makes_no_rating_is_refused(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_initial_weights_differ_between_tables():
    keras.utils.set_random_seed(0)
    tower = feature_tower("user", 6, 7, 4)
    tables = [
        tower.get_layer(f"user_{name}").get_weights()[0] for name in ("embedding", "features_embedding")
    ]
    assert not np.allclose(*tables)
