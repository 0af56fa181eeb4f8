"""Sparse rows against SciPy."""

import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf

from tfzoo.data import rows as module
from tfzoo.data.rows import DenseRows, SparseRows


def random_matrix(seed, shape=(9, 7), density=0.4):
    """Return a SciPy matrix with two empty rows and its coordinates in random order."""
    random = np.random.default_rng(seed)
    dense = random.uniform(1, 5, shape) * (random.random(shape) < density)
    dense[0] = dense[shape[0] // 2] = 0
    row, column = np.nonzero(dense)
    order = random.permutation(len(row))
    row, column = row[order], column[order]
    value = dense[row, column].astype(np.float32)
    return scipy.sparse.csr_array((value, (row, column)), shape=shape), (row, column, value)


def sparse_rows(seed):
    matrix, entries = random_matrix(seed)
    return matrix.toarray(), SparseRows(*entries, matrix.shape)


@pytest.mark.parametrize("seed", range(5))
def test_all_rows_equal_scipy(seed):
    expected, rows = sparse_rows(seed)
    found = rows.dense(tf.range(9))
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(), (1,), (6,), (2, 3), (2, 2, 2), (0,)])
def test_any_leading_shape(shape):
    expected, rows = sparse_rows(11)
    ids = np.random.default_rng(0).integers(0, 9, shape).astype(np.int32)
    found = rows.dense(tf.constant(ids))
    assert found.shape == (*shape, 7)
    np.testing.assert_array_equal(found, expected[ids])


def test_repeated_rows_and_rows_in_any_order():
    expected, rows = sparse_rows(3)
    ids = [8, 1, 8, 8, 0, 2]
    np.testing.assert_array_equal(rows.dense(tf.constant(ids)), expected[ids])


@pytest.mark.parametrize("shape", [(40,), (5, 8)])
def test_masked_cells_are_zero_and_no_others(shape):
    expected, rows = sparse_rows(5)
    random = np.random.default_rng(1)
    ids = random.integers(0, 9, shape).astype(np.int32)
    masked = random.integers(0, 7, shape).astype(np.int32)
    hidden = expected[ids].copy()
    np.put_along_axis(hidden, masked[..., None], 0, axis=-1)
    assert (hidden != expected[ids]).any()
    np.testing.assert_array_equal(rows.dense(tf.constant(ids), tf.constant(masked)), hidden)
    np.testing.assert_array_equal(rows.dense(tf.constant(ids)), expected[ids])


def test_empty_rows_and_an_empty_matrix():
    expected, rows = sparse_rows(7)
    assert not expected[0].any()
    np.testing.assert_array_equal(rows.dense(tf.constant([0, 4])), np.zeros((2, 7)))
    none = np.array([], int)
    empty = SparseRows(none, none, none.astype(np.float32), (3, 2))
    np.testing.assert_array_equal(empty.dense(tf.range(3)), np.zeros((3, 2)))


def test_entries_are_those_of_scipy():
    matrix, entries = random_matrix(13)
    rows = SparseRows(*entries, matrix.shape)
    ids = [3, 0, 3, 7]
    at, column, value = rows.entries(tf.constant(ids))
    expected = matrix[ids].tocoo()
    np.testing.assert_array_equal(at, expected.row)
    np.testing.assert_array_equal(column, expected.col)
    np.testing.assert_array_equal(value, expected.data)


def test_the_same_inside_a_graph_with_unknown_batch_size():
    expected, rows = sparse_rows(17)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)])
    def dense(ids):
        return rows.dense(ids)

    ids = np.array([[1, 0, 5], [8, 8, 2]], np.int32)
    np.testing.assert_array_equal(dense(ids), expected[ids])


def test_arrays_are_tracked_and_not_trained():
    _, rows = sparse_rows(0)
    assert {variable.name.partition(":")[0] for variable in rows.variables} == {
        f"rows_{name}" for name in ("splits", "columns", "values")
    }
    assert not rows.trainable_variables


# Written out


@pytest.mark.parametrize("shape", [(), (0,), (40,), (5, 8)])
@pytest.mark.parametrize("mask", [False, True])
def test_rows_in_memory_are_the_same(shape, mask):
    _, rows = sparse_rows(6)
    random = np.random.default_rng(2)
    ids = tf.constant(random.integers(0, 9, shape), tf.int32)
    masked = tf.constant(random.integers(0, 7, shape), tf.int32) if mask else None
    written = rows.in_memory()
    assert isinstance(written, DenseRows)
    found = written.dense(ids, masked)
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, rows.dense(ids, masked))
    compiled = tf.function(lambda ids: written.dense(ids, masked))
    np.testing.assert_array_equal(compiled(ids), found)


def test_masking_leaves_the_rows_in_memory_alone():
    expected, rows = sparse_rows(7)
    written = rows.in_memory()
    masked = written.dense(tf.repeat(tf.range(9), 7), tf.tile(tf.range(7), [9])).numpy().reshape(9, 7, 7)
    np.testing.assert_array_equal(masked, expected[:, None] * (1 - np.eye(7)))
    np.testing.assert_array_equal(written.dense(tf.range(9)), expected)


def test_large_matrices_stay_sparse(monkeypatch):
    _, rows = sparse_rows(1)
    monkeypatch.setattr(module, "DENSE_CELLS", 9 * 7 - 1)
    assert rows.in_memory() is rows
