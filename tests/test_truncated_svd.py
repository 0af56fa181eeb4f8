"""The benchmark of truncated decompositions on a matrix whose singular values are known."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from benchmarks import truncated_svd
from benchmarks.truncated_svd import RANKS, draw, trade_off, training_matrix

ROOT = Path(__file__).parents[1]


def known(values):
    """Return a matrix [7, 4] with the given singular values."""
    random = np.random.default_rng(0)
    left, _ = np.linalg.qr(random.normal(size=(7, 4)))
    right, _ = np.linalg.qr(random.normal(size=(4, 4)))
    return sparse.csr_matrix(left * values @ right)


def test_errors_by_hand():
    rows = trade_off(known([4.0, 2.0, 2.0, 1.0]), [1, 2, 3, 4], repeats=1)
    expected = [np.sqrt(square / 25) for square in (9, 5, 1, 0)]
    assert [row["error"] for row in rows] == pytest.approx(expected, abs=1e-12)
    assert [row["left_out"] for row in rows] == pytest.approx(expected, abs=1e-12)
    assert all(row["truncated_s"] > 0 for row in rows[:3])
    # An iterative decomposition cannot give all singular values.
    assert rows[3]["truncated_s"] is None


def test_a_wrong_decomposition_is_not_reported(monkeypatch):
    real = truncated_svd.svds
    monkeypatch.setattr(truncated_svd, "svds", lambda matrix, **options: real(2 * matrix, **options))
    with pytest.raises(AssertionError, match="Rank 2: the two decompositions differ"):
        trade_off(known([4.0, 2.0, 2.0, 1.0]), [2], repeats=1)


def test_the_plot_and_the_page_show_the_committed_figures(tmp_path):
    content = json.loads((ROOT / "benchmarks/results/truncated_svd.json").read_text(encoding="utf-8"))
    assert [row["rank"] for row in content["rows"]] == list(RANKS)
    page = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    for row in content["rows"]:
        assert f"| {row['rank']:,} | {row['error']:.4f} | {row['truncated_s']:.3f} |" in page
    written = draw(content["rows"], "title", tmp_path / "svd")
    assert [path.suffix for path in written] == [".png", ".svg"]
    assert written[0].read_bytes().startswith(b"\x89PNG")


@pytest.mark.data
def test_the_matrix_is_the_published_training_part():
    matrix = training_matrix()
    content = json.loads((ROOT / "benchmarks/results/truncated_svd.json").read_text(encoding="utf-8"))
    assert matrix.shape == (content["users"], content["items"]) == (5107, 1003)
    assert matrix.nnz == content["interactions"]
    assert set(matrix.data) == {1.0}
    (row,) = trade_off(matrix, [10], repeats=1)
    assert row["error"] == pytest.approx(content["rows"][0]["error"], abs=1e-9)
