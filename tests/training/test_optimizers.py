"""GRU4Rec's Adagrad against a loop over numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzoo.training.optimizers import GRU4RecAdagrad, build_optimizer, gradients_of_rows
from tfzoo.training.settings import TrainingSettings

STEPS = [([1, 3, 1], 0.5), ([0, 0, 0], 2.0), ([3, 2, 1], 0.01), ([1, 1, 4], 1.0)]


def by_hand(start, steps, rate, momentum, epsilon=1e-6):
    """Apply steps, each a dict of rows to gradients, to a table, row by row and number by number."""
    weights = np.array(start, np.float64)
    squares, velocity = np.zeros_like(weights), np.zeros_like(weights)
    for step in steps:
        for row, gradient in step.items():
            for column, g in enumerate(gradient):
                squares[row, column] += g * g
                change = -rate * g / np.sqrt(squares[row, column] + epsilon)
                velocity[row, column] = momentum * velocity[row, column] + change
                weights[row, column] += velocity[row, column]
    return weights


def sparse_steps(seed=0, width=3):
    """Return gradients as index slices with repeated rows, and the same added up by row."""
    random = np.random.default_rng(seed)
    slices, added = [], []
    for rows, scale in STEPS:
        values = scale * random.normal(size=(len(rows), width)).astype(np.float32)
        slices.append(tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant([5, width])))
        by_row = {}
        for row, value in zip(rows, values, strict=True):
            by_row[row] = by_row.get(row, 0) + value.astype(np.float64)
        added.append(by_row)
    return slices, added


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.3])
def test_looked_up_rows_change_as_by_hand(momentum, jit_compile):
    start = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    table = keras.Variable(start)
    optimizer = GRU4RecAdagrad(0.2, momentum)
    optimizer.build([table])
    slices, added = sparse_steps()

    @tf.function(jit_compile=jit_compile)
    def apply(values, rows):
        optimizer.apply([tf.IndexedSlices(values, rows, tf.constant([5, 3]))], [table])

    for gradient in slices:
        apply(gradient.values, gradient.indices)
    np.testing.assert_allclose(table.numpy(), by_hand(start, added, 0.2, momentum), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.3])
def test_dense_gradients_change_all_weights_as_by_hand(momentum):
    random = np.random.default_rng(2)
    start = random.normal(size=(5, 3)).astype(np.float32)
    gradients = random.normal(size=(4, 5, 3)).astype(np.float32)
    table = keras.Variable(start)
    optimizer = GRU4RecAdagrad(0.2, momentum)
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient)], [table])
    steps = [dict(enumerate(gradient.astype(np.float64))) for gradient in gradients]
    np.testing.assert_allclose(table.numpy(), by_hand(start, steps, 0.2, momentum), rtol=1e-5, atol=1e-6)


def test_rows_that_are_not_looked_up_keep_still_even_with_momentum():
    table = keras.Variable(np.ones((5, 3), np.float32))
    optimizer = GRU4RecAdagrad(0.2, 0.9)
    slices, _ = sparse_steps()
    optimizer.apply([slices[0]], [table])
    after_first = table.numpy()
    np.testing.assert_array_equal(after_first[[0, 2, 4]], 1)
    assert (after_first[[1, 3]] != 1).all()
    optimizer.apply([slices[1]], [table])
    np.testing.assert_array_equal(table.numpy()[1:], after_first[1:])


@pytest.mark.parametrize("size", [1e-2, 1.0, 1e3])
def test_sums_start_from_zero_so_the_first_step_has_the_length_of_the_rate(size):
    # A sum that starts from 0.1, as Keras' Adagrad does, would shorten the step of small gradients.
    weight = keras.Variable([0.0])
    GRU4RecAdagrad(0.05).apply([tf.constant([size])], [weight])
    np.testing.assert_allclose(weight.numpy(), [-0.05], rtol=0.01)


def test_epsilon_stands_inside_the_root():
    weight = keras.Variable([0.0])
    GRU4RecAdagrad(1.0, epsilon=9.0).apply([tf.constant([4.0])], [weight])
    np.testing.assert_allclose(weight.numpy(), [-4 / 5], rtol=1e-6)


def test_the_learning_rate_does_not_decay():
    weight = keras.Variable([0.0])
    optimizer = GRU4RecAdagrad(0.1)
    for step in range(1, 51):
        before = weight.numpy()[0]
        optimizer.apply([tf.constant([1.0])], [weight])
        np.testing.assert_allclose(weight.numpy()[0] - before, -0.1 / np.sqrt(step), rtol=1e-3)
    np.testing.assert_allclose(float(optimizer.learning_rate), 0.1, rtol=1e-6)


def test_velocity_goes_on_after_a_gradient():
    weight = keras.Variable([0.0])
    optimizer = GRU4RecAdagrad(0.1, momentum=0.5)
    for gradient, total in [(1.0, -0.1), (0.0, -0.15), (0.0, -0.175)]:
        optimizer.apply([tf.constant([gradient])], [weight])
        np.testing.assert_allclose(weight.numpy(), [total], rtol=1e-5)


def test_biases_are_looked_up_too():
    bias = keras.Variable(np.zeros(4, np.float32))
    gradient = tf.IndexedSlices(tf.constant([1.0, 2.0, 3.0]), tf.constant([2, 0, 2]), tf.constant([4]))
    optimizer = GRU4RecAdagrad(0.1)
    optimizer.apply([gradient], [bias])
    np.testing.assert_allclose(bias.numpy(), [-0.1, 0, -0.1, 0], rtol=1e-4)
    np.testing.assert_allclose(optimizer.variables[2].numpy(), [4, 0, 16, 0])


def test_a_schedule_sets_the_rate():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 2)
    weight = keras.Variable([0.0])
    optimizer = GRU4RecAdagrad(schedule)
    optimizer.apply([tf.constant([1.0])], [weight])
    optimizer.apply([tf.constant([1.0])], [weight])
    np.testing.assert_allclose(weight.numpy(), [-0.1 - 0.05 / np.sqrt(2)], rtol=1e-4)


def test_without_momentum_there_are_no_velocities():
    optimizers = [GRU4RecAdagrad(0.1, momentum) for momentum in (0.0, 0.5)]
    for optimizer in optimizers:
        optimizer.build([keras.Variable(np.zeros((3, 2), np.float32))])
    # Step counter and learning rate come first, then the sums and the marks of the rows.
    assert [len(optimizer.variables) for optimizer in optimizers] == [4, 5]


def test_it_can_be_written_down_and_read_again():
    optimizer = GRU4RecAdagrad(0.07, momentum=0.4, epsilon=1e-5)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, GRU4RecAdagrad)
    assert (float(again.learning_rate), again.momentum, again.epsilon) == (pytest.approx(0.07), 0.4, 1e-5)


@pytest.mark.parametrize("momentum", [-0.1, 1.0])
def test_momentum_out_of_range_is_refused(momentum):
    with pytest.raises(ValueError, match=r"`momentum` must lie in \[0, 1\)"):
        GRU4RecAdagrad(0.1, momentum)


def settings_of_all():
    for name in ("adam", "adamw", "sgd", "adagrad", "rmsprop", "nadam"):
        yield TrainingSettings(optimizer=name, learning_rate=0.1)
    yield TrainingSettings(optimizer="sgd", momentum=0.9, learning_rate=0.1)
    yield TrainingSettings(optimizer="rmsprop", momentum=0.5, learning_rate=0.1)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("settings", list(settings_of_all()), ids=lambda s: f"{s.optimizer}-{s.momentum}")
def test_a_row_that_is_looked_up_twice_has_the_sum_of_its_gradients(settings, scaled):
    start = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    slices, added = sparse_steps()
    tables = []
    for dense in (False, True):
        table = keras.Variable(start)
        optimizer = build_optimizer(settings, 10)
        if scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0)
        optimizer.build([table])
        for gradient, rows in zip(slices, added, strict=True):
            whole = np.zeros((5, 3), np.float32)
            for row, value in rows.items():
                whole[row] = value
            optimizer.apply(
                gradients_of_rows(optimizer, [tf.constant(whole) if dense else gradient]), [table]
            )
        tables.append(table.numpy())
    np.testing.assert_allclose(tables[0], tables[1], rtol=1e-5, atol=1e-6)


def test_plain_sgd_and_optimizers_of_rows_keep_the_rows():
    (gradient, *_), _ = sparse_steps()
    for name in ("sgd", "lazy-adam", "lazy-adagrad", "gru4rec-adagrad"):
        optimizer = build_optimizer(TrainingSettings(optimizer=name), 10)
        assert gradients_of_rows(optimizer, [gradient, None]) == [gradient, None]
