"""A search for settings in Python is the search of the command line."""

import sys

import numpy as np
import pandas as pd
import pytest

import tfzoo
from tfzoo.cli.main import main
from tfzoo.errors import TfzooError, UsageError


@pytest.fixture(scope="module")
def frame(toy):
    return pd.DataFrame(
        {
            "viewer": toy.users.decode(toy.user_id),
            "movie": toy.items.decode(toy.item_id),
            "stars": toy.ratings,
        }
    )


COLUMNS = {"user_col": "viewer", "item_col": "movie", "rating_col": "stars"}


@pytest.fixture(scope="module", autouse=True)
def optuna():
    pytest.importorskip("optuna")


@pytest.fixture
def tune(frame):
    def call(model="ease", **options):
        return tfzoo.tune(frame, model, verbose=False, **{**COLUMNS, "trials": 3, **options})

    return call


@pytest.mark.filterwarnings("ignore::tfzoo.errors.DataWarning")
def test_it_tries_what_the_command_tries_and_fit_takes_what_it_finds(tune, frame, tmp_path):
    found = tune(output=tmp_path / "python")
    frame.to_csv(tmp_path / "films.csv", index=False)
    columns = ["--user-col", "viewer", "--item-col", "movie", "--rating-col", "stars"]
    where = ["--data", str(tmp_path / "films.csv"), "--output", str(tmp_path / "command")]
    assert main(["tune", "--model", "ease", *where, *columns, "--trials", "3"]) == 0
    table = pd.read_csv(tmp_path / "command" / "trials.csv")
    pd.testing.assert_frame_equal(found.trials.drop(columns="seconds"), table.drop(columns="seconds"))
    best = table.loc[table["ndcg@10"].idxmax()]
    assert found.settings == {"builder__l2": best["builder.l2"]}
    assert (found.metric, found.value) == ("ndcg@10", best["ndcg@10"])
    assert repr(found).startswith("TunedSettings({'builder__l2': ")
    by_keywords = tfzoo.fit(frame, "ease", verbose=False, **COLUMNS, **found.settings)
    by_file = tfzoo.fit(frame, "ease", verbose=False, **COLUMNS, recipe=found.recipe)
    assert by_keywords.record.metrics == by_file.record.metrics
    assert by_file.record.metrics["validation"]["ndcg@10"] == pytest.approx(found.value)
    assert by_file.record.recipe["budget"]["trials"] == 3


@pytest.mark.filterwarnings("ignore::tfzoo.errors.DataWarning")
def test_a_space_of_keywords_and_a_folder_that_goes_on(tune, frame, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    space, random = {"l2": [2.0, 20.0]}, np.random.get_state()[1].tolist()
    first = tune(space=space, trials=1, output="~/search", name="films")
    assert np.random.get_state()[1].tolist() == random, "those of the caller go on"
    assert set(first.trials["builder.l2"]) <= {2.0, 20.0}
    assert len(tune(space=space, trials=2, output=tmp_path / "search", name="films").trials) == 2
    with pytest.raises(TfzooError, match="holds a search of another space"):
        tune(space={"l2": {"low": 1, "high": 5}}, output=tmp_path / "search", name="films")
    with pytest.raises(TfzooError, match="holds a search on other data: films"):
        tfzoo.tune(frame[1:], "ease", space=space, output="~/search", verbose=False, name="other", **COLUMNS)
    with pytest.raises(UsageError, match="Name a folder"):
        tune(output="")


def test_wrong_spaces_and_a_missing_extra_are_one_message(tune, monkeypatch):
    with pytest.raises(UsageError, match="Unknown setting 'lambda_2'"):
        tune(space={"lambda_2": [1]})
    with pytest.raises(UsageError, match=r"space, 'builder__l2': .*a range needs low and a larger high"):
        tune(space={"l2": {"low": 5}})
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"pip install 'tfzoo\[tune\]'"):
        tune()
