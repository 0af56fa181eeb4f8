"""Lazy Adam and Adagrad against loops over numbers and against Keras on dense gradients."""

import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzoo.data.splits import Split
from tfzoo.errors import UsageError
from tfzoo.layers import IdEmbedding
from tfzoo.models import create_model
from tfzoo.tasks import ImplicitSettings, ImplicitTask, RatingTask
from tfzoo.tasks.pair_features import PairFeatures
from tfzoo.training.lazy_optimizers import LazyAdagrad, LazyAdam
from tfzoo.training.optimizers import build_optimizer
from tfzoo.training.settings import TrainingSettings, parse
from tfzoo.training.trainer import Trainer

PAIRS = [(LazyAdam, keras.optimizers.Adam), (LazyAdagrad, keras.optimizers.Adagrad)]
KINDS = [LazyAdam, LazyAdagrad]
ROWS, WIDTH = 6, 3
STEPS = [[1, 3, 1], [0, 0, 0], [3, 2, 1], [1, 1, 4]]


def table(seed=1, shape=(ROWS, WIDTH)):
    return keras.Variable(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def slices(rows, values, num_rows=ROWS):
    values = np.asarray(values, np.float32)
    return tf.IndexedSlices(tf.constant(values), tf.constant(rows, tf.int32), [num_rows, *values.shape[1:]])


def random_steps(steps=STEPS, seed=0):
    random = np.random.default_rng(seed)
    return [(rows, random.normal(size=(len(rows), WIDTH)).astype(np.float32)) for rows in steps]


def apply_all(optimizer, variable, steps, jit_compile):
    """Apply steps inside of one compiled program."""
    optimizer.build([variable])

    @tf.function(jit_compile=jit_compile)
    def run():
        for rows, values in steps:
            optimizer.apply([slices(rows, values)], [variable])

    run()


def added(rows, values):
    """Return the gradient of each row, in double precision."""
    sums = {}
    for row, value in zip(rows, values, strict=True):
        sums[row] = sums.get(row, 0) + value.astype(np.float64)
    return sums


def adam_by_hand(weights, steps, rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False):
    weights = weights.astype(np.float64)
    first, second, largest = (np.zeros_like(weights) for _ in range(3))
    for t, (rows, values) in enumerate(steps, start=1):
        for row, gradient in added(rows, values).items():
            first[row] = beta_1 * first[row] + (1 - beta_1) * gradient
            second[row] = beta_2 * second[row] + (1 - beta_2) * gradient**2
            largest[row] = np.maximum(largest[row], second[row])
            below = largest[row] if amsgrad else second[row]
            correction = np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
            weights[row] -= rate * correction * first[row] / (np.sqrt(below) + epsilon)
    return weights


def adagrad_by_hand(weights, steps, rate, start=0.1, epsilon=1e-7):
    weights = weights.astype(np.float64)
    sums = np.full_like(weights, start)
    for rows, values in steps:
        for row, gradient in added(rows, values).items():
            sums[row] += gradient**2
            weights[row] -= rate * gradient / np.sqrt(sums[row] + epsilon)
    return weights


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_changes_looked_up_rows_as_by_hand(amsgrad, jit_compile):
    weights, steps = table(), random_steps()
    expected = adam_by_hand(weights.numpy(), steps, 0.05, amsgrad=amsgrad)
    apply_all(LazyAdam(learning_rate=0.05, amsgrad=amsgrad), weights, steps, jit_compile)
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_adagrad_changes_looked_up_rows_as_by_hand(jit_compile):
    weights, steps = table(), random_steps()
    expected = adagrad_by_hand(weights.numpy(), steps, 0.3)
    apply_all(LazyAdagrad(learning_rate=0.3), weights, steps, jit_compile)
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_first_step_of_adam_in_numbers():
    # The two gradients of row 2 make 1 + 2; the first step has the length of the rate.
    weights = keras.Variable(np.zeros((3, 1), np.float32))
    optimizer = LazyAdam(learning_rate=0.1)
    optimizer.apply([slices([2, 2], [[1.0], [2.0]], 3)], [weights])
    np.testing.assert_allclose(weights.numpy(), [[0], [0], [-0.1]], rtol=1e-5)
    np.testing.assert_allclose(optimizer._momentums[0].numpy(), [[0], [0], [0.3]], rtol=1e-6)
    np.testing.assert_allclose(optimizer._velocities[0].numpy(), [[0], [0], [0.009]], rtol=1e-4)


def test_the_correction_counts_all_steps_not_those_of_the_row():
    weights = keras.Variable(np.zeros((2, 1), np.float32))
    optimizer = LazyAdam(learning_rate=0.1)
    for _ in range(9):
        optimizer.apply([slices([0], [[1.0]], 2)], [weights])
    optimizer.apply([slices([1], [[1.0]], 2)], [weights])
    expected = -0.1 * np.sqrt(1 - 0.999**10) / (1 - 0.9**10) * 0.1 / np.sqrt(0.001)
    np.testing.assert_allclose(weights.numpy()[1], expected, rtol=1e-4)


@pytest.mark.parametrize(("lazy", "dense"), PAIRS)
@hypothesis.given(data=st.data())
def test_where_every_row_is_looked_up_the_step_is_that_of_keras(lazy, dense, data):
    random = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    extra = st.lists(st.integers(0, ROWS - 1), max_size=8)
    steps = []
    for more in data.draw(st.lists(extra, min_size=1, max_size=4)):
        rows = random.permutation([*range(ROWS), *more])
        scale = data.draw(st.sampled_from([1e-3, 1.0, 30.0]))
        steps.append((rows, scale * random.normal(size=(len(rows), WIDTH)).astype(np.float32)))
    one, other = table(), table()
    lazy, dense = lazy(learning_rate=0.05), dense(learning_rate=0.05)
    for rows, values in steps:
        lazy.apply([slices(rows, values)], [one])
        dense.apply([tf.convert_to_tensor(slices(rows, values))], [other])
    np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6, atol=1e-6)


def test_adagrad_is_keras_adagrad_wherever_rows_are_looked_up():
    one, other = table(), table()
    lazy, dense = LazyAdagrad(learning_rate=0.3), keras.optimizers.Adagrad(learning_rate=0.3)
    for rows, values in random_steps():
        lazy.apply([slices(rows, values)], [one])
        dense.apply([tf.convert_to_tensor(slices(rows, values))], [other])
    np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_other_rows_keep_weights_and_slots_bit_for_bit(kind, jit_compile):
    weights, optimizer = table(), kind(learning_rate=0.1)
    apply_all(optimizer, weights, random_steps(), jit_compile)
    state = [weights, *(slot for slot in optimizer.variables if slot.shape == weights.shape)]
    assert len(state) == (3 if kind is LazyAdam else 2)
    before = [variable.numpy() for variable in state]
    apply_all(optimizer, weights, random_steps([[4, 2, 4]], seed=5), jit_compile)
    for old, variable in zip(before, state, strict=True):
        np.testing.assert_array_equal(variable.numpy()[[0, 1, 3, 5]], old[[0, 1, 3, 5]])
        assert (variable.numpy()[[2, 4]] != old[[2, 4]]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_lookup_of_nothing_changes_nothing(kind):
    weights, optimizer = table(), kind()
    optimizer.apply([slices([], np.zeros((0, WIDTH)))], [weights])
    np.testing.assert_array_equal(weights.numpy(), table().numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_tables_without_width_and_indices_of_64_bits(kind):
    wide, flat = keras.Variable(np.zeros((4, 1), np.float32)), keras.Variable(np.zeros(4, np.float32))
    rows, values = tf.constant([2, 0, 2], tf.int64), tf.constant([1.0, 2.0, 3.0])
    kind().apply([tf.IndexedSlices(values[:, None], rows)], [wide])
    kind().apply([tf.IndexedSlices(values, rows)], [flat])
    np.testing.assert_array_equal(flat.numpy(), wide.numpy()[:, 0])
    assert (flat.numpy()[[0, 2]] < 0).all()


@pytest.mark.parametrize(("lazy", "dense"), PAIRS)
def test_dense_gradients_take_the_step_of_keras(lazy, dense):
    one, other = table(), table()
    lazy, dense = lazy(learning_rate=0.05), dense(learning_rate=0.05)
    for seed in range(3):
        gradient = tf.constant(table(seed + 10).numpy())
        lazy.apply([gradient], [one])
        dense.apply([gradient], [other])
    np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_a_scaled_loss_takes_the_same_steps(kind):
    results = []
    for scale in (None, 1024.0):
        weights, kernel = table(), table(2)
        optimizer = kind(learning_rate=0.05, loss_scale_factor=scale)
        for rows, values in random_steps():
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.gather(weights.value, rows) * values) + tf.reduce_sum(kernel**2)
                loss = optimizer.scale_loss(loss)
            gradients = tape.gradient(loss, [weights, kernel])
            assert isinstance(gradients[0], tf.IndexedSlices)
            optimizer.apply(gradients, [weights, kernel])
        assert optimizer.loss_scale_factor == scale
        results.append((weights.numpy(), kernel.numpy()))
    # 1024 is a power of two: scaling loses nothing.
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "option",
    [
        {"weight_decay": 0.1},
        {"clipnorm": 1.0},
        {"clipvalue": 1.0},
        {"global_clipnorm": 1.0},
        {"gradient_accumulation_steps": 2},
    ],
    ids=str,
)
def test_options_that_need_whole_tables_are_refused(kind, option):
    name = next(iter(option))
    with pytest.raises(ValueError, match=rf"{kind.__name__} .*`{name}`.*keras\.optimizers\.Ada"):
        kind(**option)


def two_lookups():
    """Return a model that looks the same table up twice and has a kernel."""
    inputs = {key: keras.Input((None,), dtype="int32", name=key) for key in ("left", "right")}
    embed = IdEmbedding(50, 4)
    vectors = [keras.ops.mean(embed(ids), axis=1) for ids in inputs.values()]
    return keras.Model(inputs, keras.layers.Dense(1, dtype="float32")(vectors[0] * vectors[1]))


def batch(seed=0):
    random = np.random.default_rng(seed)
    ids = {key: random.integers(1, 20, size=(16, 5)).astype(np.int32) for key in ("left", "right")}
    return ids, random.normal(size=(16, 1)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_precision_with_a_scaled_loss(kind):
    keras.config.set_dtype_policy("mixed_float16")
    keras.utils.set_random_seed(0)
    model = two_lookups()
    # Gradients are small here: sums that start from 0.1 would hold Adagrad still.
    options = {} if kind is LazyAdam else {"initial_accumulator_value": 1e-9}
    model.compile(kind(learning_rate=0.1, **options), "mse", jit_compile=False)
    before = model.weights[0].numpy()
    losses = [model.train_on_batch(*batch()) for _ in range(10)]
    after = model.weights[0]
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert after.dtype == "float32"
    assert losses[-1] < 0.9 * losses[0]
    np.testing.assert_array_equal(after.numpy()[20:], before[20:])
    assert (after.numpy()[1:20] != before[1:20]).any(axis=1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_goes_on_as_if_it_had_not_been_saved(kind, tmp_path):
    model = two_lookups()
    model.compile(kind(learning_rate=0.07, epsilon=1e-5), "mse", jit_compile=False)
    model.train_on_batch(*batch())
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again.optimizer) is kind
    assert again.optimizer.get_config() == model.optimizer.get_config()
    assert again.optimizer.epsilon == 1e-5
    for each in (model, again):
        each.train_on_batch(*batch(1))
    for one, other in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def trainer_of(toy, name, optimizer, *, jit_compile, weight_seed=0, epochs=4):
    keras.utils.set_random_seed(weight_seed)
    model = create_model(name, toy.num_users, toy.num_items)
    task = ImplicitTask(ImplicitSettings(loss="bce")) if name == "gmf" else RatingTask()
    features = (
        task.features(model, Split(toy, toy, toy, ""), toy) if name == "gmf" else PairFeatures.of(model, toy)
    )
    settings = {"learning_rate": 0.02, "batch_size": 64, "epochs": epochs, "checkpoint_seconds": 0}
    chosen = TrainingSettings(optimizer=optimizer, jit_compile=jit_compile, **settings)
    return Trainer(model, task, features, toy, chosen, seed=0)


@pytest.mark.parametrize("optimizer", ["lazy-adam", "lazy-adagrad"])
def test_training_that_was_interrupted_ends_as_the_unbroken_one(toy, tmp_path, optimizer):
    unbroken = trainer_of(toy, "biased-mf", optimizer, jit_compile=False)
    state = unbroken.fit(None)
    assert state.history[-1]["loss"] < state.history[0]["loss"]
    checkpoint = tmp_path / "checkpoint.npz"
    trainer_of(toy, "biased-mf", optimizer, jit_compile=False).fit(None, epochs=2, checkpoint=checkpoint)
    resumed = trainer_of(toy, "biased-mf", optimizer, jit_compile=False, weight_seed=9)
    resumed.fit(None, checkpoint=checkpoint, resume=True)
    for one, other in zip(resumed.model.variables, unbroken.model.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_training_with_xla_ends_as_without(toy):
    found = []
    for jit_compile in (False, True):
        trainer = trainer_of(toy, "gmf", "lazy-adam", jit_compile=jit_compile, epochs=2)
        start = [weight.numpy() for weight in trainer.model.trainable_weights]
        trainer.fit(None)
        found.append([weight.numpy() for weight in trainer.model.trainable_weights])
        assert all((one != other).any() for one, other in zip(start, found[-1], strict=True))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_trained_tables_keep_the_rows_that_no_example_has(toy):
    trainer = trainer_of(toy, "biased-mf", "lazy-adam", jit_compile=False, epochs=1)
    tables = [weight for weight in trainer.model.trainable_weights if weight.shape[0] == toy.num_users + 1]
    assert tables
    before = [weight.numpy() for weight in tables]
    trainer.fit(None)
    for old, weight in zip(before, tables, strict=True):
        np.testing.assert_array_equal(weight.numpy()[0], old[0])
        assert (weight.numpy()[1:] != old[1:]).any(axis=-1).all()


@pytest.mark.parametrize(("name", "kind"), [("lazy-adam", LazyAdam), ("lazy-adagrad", LazyAdagrad)])
def test_settings_name_them_and_refuse_weight_decay(name, kind):
    optimizer = build_optimizer(TrainingSettings(optimizer=name, learning_rate=0.02), steps=3)
    assert type(optimizer) is kind
    assert float(optimizer.learning_rate) == pytest.approx(0.02)
    with pytest.raises(UsageError, match=rf"own\.yaml: .*{name} takes no weight_decay.*adamw"):
        parse(TrainingSettings, {"optimizer": name, "weight_decay": 0.1}, "own.yaml")


def test_a_lookup_reads_rows_not_the_table():
    embed = IdEmbedding(50, 4)
    embed.build(None)
    program = tf.function(embed).get_concrete_function(tf.TensorSpec([3], tf.int32))
    kinds = {operation.type for operation in program.graph.get_operations()}
    assert "ResourceGather" in kinds
    assert "GatherV2" not in kinds


@pytest.mark.slow
def test_other_backends_take_the_dense_step():
    program = """
import importlib.util, sys
from unittest.mock import MagicMock

if importlib.util.find_spec("jax") is None:
    # Keras' NumPy backend borrows convolution and FFT from JAX; nothing here needs them.
    for name in ("jax", "keras.src.backend.jax", "keras.src.backend.jax.math"):
        sys.modules[name] = MagicMock()

import keras, numpy as np
from tfzoo.training.lazy_optimizers import LazyAdagrad, LazyAdam
for lazy, dense in ((LazyAdam, keras.optimizers.Adam), (LazyAdagrad, keras.optimizers.Adagrad)):
    found = []
    for kind in (lazy, dense):
        weight = keras.Variable(np.ones((3, 2), "float32"))
        optimizer = kind(learning_rate=0.1, loss_scale_factor=2.0 if kind is lazy else None)
        for step in range(3):
            gradient = np.arange(6, dtype="float32").reshape(3, 2) - step
            optimizer.apply([gradient * (2.0 if kind is lazy else 1.0)], [weight])
        found.append(keras.ops.convert_to_numpy(weight))
    np.testing.assert_array_equal(*found)
    assert (found[0] != 1).any()
print(keras.backend.backend())
"""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "KERAS_BACKEND": "numpy", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "numpy"), done.stderr
