"""What Python calls raise names their keyword arguments, never options of the command line."""

import pandas as pd
import pytest

import tfzoo
from tfzoo.api.wording import as_keywords
from tfzoo.errors import TfzooError


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("--seed must be 0 or more.", "seed= must be 0 or more."),
        ("Give --set builder.user_bias=null, or", "Give builder__user_bias=None, or"),
        ("are 3 and above; --min-rating says otherwise", "are 3 and above; min_rating= says otherwise"),
        ("which it is with --time-unit", "which it is with time_unit= of tfzoo.from_dataframe"),
        ("Models of click logs: tfzoo list --task click.", "Models of click logs: tfzoo list --task click."),
        ("a -- b, c--d", "a -- b, c--d"),
    ],
)
def test_options_become_keywords(said, told):
    assert as_keywords(said) == told


@pytest.fixture(scope="module")
def frame():
    pairs = [(user, item) for user in range(10) for item in range(10)]
    rows = [(user, item, 1.0 if (user + item) % 3 else -1.0) for user, item in pairs]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "rating"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed= must be 0 or more"),
        ({"model": "edrs"}, "Give builder__rating_activation=None"),
        ({"model": "pmf", "data": "pairs"}, r"rating_col="),
        ({"data": "twice"}, r"\(duplicates=\)"),
        ({"model": "deepconn", "rating_col": "stars"}, "stars"),
    ],
)
def test_what_fit_raises_names_keywords(frame, options, message):
    frames = {"pairs": frame.drop(columns="rating"), "twice": pd.concat([frame, frame])}
    options = {"model": "ease", "verbose": False, **options, "data": frames.get(options.get("data"), frame)}
    with pytest.raises(TfzooError, match=message) as caught:
        tfzoo.fit(**options)
    assert "--" not in str(caught.value)


def test_tune_speaks_alike(frame):
    pytest.importorskip("optuna")
    for options, message in (
        ({"trials": 0}, "trials= must be at least 1"),
        ({"folds": 1, "model": "pmf"}, "folds= must be at least 2"),
        ({"model": "popularity"}, "nothing to search for"),
    ):
        with pytest.raises(TfzooError, match=message) as caught:
            tfzoo.tune(frame, verbose=False, **options)
        assert "--" not in str(caught.value)
