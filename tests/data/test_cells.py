"""Order of cells, and that the same seeds divide data as they did before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.zoo import table
from tfzoo.data.cells import first_of_cells, sorted_cells
from tfzoo.data.splits import shuffled_rows

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=40)


@given(pairs=PAIRS, wide=st.booleans())
def test_cells_are_in_order_and_entries_of_one_cell_keep_theirs(pairs, wide):
    row, column = np.array(pairs, np.int32).reshape(-1, 2).T
    # So wide a matrix leaves no room for the position in the same number.
    width = 2**59 if wide else 7
    order, first = sorted_cells(row, column, width)
    assert order.tolist() == np.lexsort((column, row)).tolist()
    cells = [pairs[position] for position in order]
    assert first.tolist() == [at == 0 or cells[at] != cells[at - 1] for at in range(len(cells))]
    _, expected = np.unique(row.astype(np.int64) * 7 + column, return_index=True)
    assert first_of_cells(row, column, width).tolist() == expected.tolist()


@pytest.mark.parametrize("repeated", [False, True])
def test_the_random_order_of_a_seed_is_a_permutation_of_the_sorted_rows(repeated):
    random = np.random.default_rng(1)
    cells = random.choice(400, 150, replace=repeated)
    data = table(cells // 20 + 1, cells % 20 + 1, random.integers(1, 6, 150), num_users=20, num_items=20)
    canonical = np.lexsort((data.rating, data.item_id, data.user_id))
    expected = canonical[np.random.default_rng([7]).permutation(150)]
    assert shuffled_rows(data, 7).tolist() == expected.tolist()
