"""The benchmark of LazyAdam on tables that are small enough for a test."""

import json

import pytest

from benchmarks import lazy_adam
from benchmarks.lazy_adam import WAYS, make_block, measure
from tfzoo.training.lazy_optimizers import LazyAdam


def test_figures_are_ratios_within_one_run():
    rows = measure([60, 200], repeats=1, steps=8, ways_to_compile=(False,))
    assert [(row["rows"], row["optimizer"]) for row in rows] == [(n, way) for n in (60, 200) for way in WAYS]
    fastest = {(row["rows"], row["optimizer"]): row["fastest_ms"] for row in rows}
    for row in rows:
        assert row["growth"] == pytest.approx(row["fastest_ms"] / fastest[60, row["optimizer"]])
        assert row["gain"] == pytest.approx(fastest[row["rows"], "Adam"] / row["fastest_ms"])


def test_the_figures_are_written_into_a_new_folder(tmp_path, monkeypatch, capsys):
    names = ("rows", "fastest_ms", "median_ms", "growth", "gain")
    row = {**dict.fromkeys(names, 1.5), "optimizer": "LazyAdam", "xla": True}
    monkeypatch.setattr(lazy_adam, "measure", lambda tables, repeats: [{**row, "rows": tables[0]}])
    monkeypatch.setattr(
        "sys.argv", ["lazy_adam", "--tables", "9", "--output", str(tmp_path / "new" / "a.json")]
    )
    lazy_adam.main()
    assert json.loads((tmp_path / "new" / "a.json").read_text(encoding="utf-8"))["rows"] == [
        {**row, "rows": 9}
    ]
    assert "| 9 | LazyAdam | yes | 1.50 | 1.50 | 1.50 | 1.5 |" in capsys.readouterr().out


def test_only_rows_in_use_are_looked_up():
    optimizer = LazyAdam(learning_rate=0.01)
    make_block(30, 10, optimizer, 4, xla=False)()
    moved = optimizer._velocities[0].numpy().any(axis=1)
    # 1,024 draws from ten rows leave none out.
    assert moved.tolist() == [True] * 10 + [False] * 20
