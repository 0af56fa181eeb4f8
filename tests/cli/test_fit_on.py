"""``tfzoo train --fit-on all``: a model for use, trained on every interaction and measured on none."""

import numpy as np
import pandas as pd
import pytest

from tfzoo.cli import main
from tfzoo.serving.client import LocalClient


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    random = np.random.default_rng(5)
    pairs = np.unique(random.integers(0, (12, 15), (120, 2)), axis=0)
    frame = pd.DataFrame(pairs, columns=["user_id", "item_id"]).assign(rating=1 + pairs.sum(1) % 5)
    frame.to_csv("log.csv", index=False)
    return frame


def test_the_export_has_counted_every_row(here, tmp_path, capsys):
    assert main(["train", "--model", "popularity", "--data", "log.csv", "--fit-on", "all"]) == 0
    assert "Trained on all data: nothing is held out" in capsys.readouterr().out
    version = next((tmp_path / "saved_models" / "popularity-log").glob("1"))
    answer = LocalClient(version).recommend(-1, 15)
    counts = here.item_id.value_counts()
    assert dict(zip(answer.item_ids, map(int, answer.scores), strict=True)) == counts.to_dict()

    run = str(next((tmp_path / "runs").glob("*/seed-0")))
    assert main(["evaluate", "--run", run]) == 2
    assert "trained on all data: nothing is held out" in capsys.readouterr().err.replace("\n", " ")
    # Neither a table nor another export is led astray by a record without test figures.
    assert main(["results"]) == 0
    assert main(["export", "--run", run]) == 0


def test_given_epochs_are_trained_as_they_are(here, tmp_path):
    options = ["--fit-on", "all", "--set", "training.epochs=2", "--set", "training.jit_compile=false"]
    assert main(["train", "--model", "pmf", "--data", "log.csv", "--no-export", *options]) == 0
    record = pd.read_json(next((tmp_path / "runs").glob("*/seed-0/record.json")), typ="series")
    assert [sorted(row) for row in record.history] == [["loss", "refit"]] * 2
    assert record.metrics == {}
