"""From a data frame to a trained model in one call."""

import random
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import tfzoo
from tfzoo.api.keywords import overrides_of
from tfzoo.errors import DataError, DataWarning, UsageError
from tfzoo.experiment import Experiment
from tfzoo.models import model_info
from tfzoo.runs import run
from tfzoo.training.recipe import load_recipe


@pytest.fixture(scope="module")
def frame(toy):
    """The toy data as a user has it: raw ids, columns of his own names, rows in any order."""
    return pd.DataFrame(
        {
            "viewer": toy.users.decode(toy.user_id),
            "movie": toy.items.decode(toy.item_id),
            "stars": toy.ratings,
            "when": toy.timestamp,
        }
    )


@pytest.fixture(scope="module")
def fit(frame):
    """`tfzoo.fit` on the toy data, without words."""

    def call(model, data=frame, **options):
        columns = {"user_col": "viewer", "item_col": "movie", "rating_col": "stars", "time_col": "when"}
        return tfzoo.fit(data, model, verbose=False, **{**columns, **options})

    return call


@pytest.fixture(scope="module")
def ease(fit):
    return fit("ease", l2=3.0)


def test_six_lines_lead_from_a_data_frame_to_ten_recommendations(frame, capsys):
    rec = tfzoo.fit(frame, "ease", user_col="viewer", item_col="movie")
    table = rec.recommend(107, k=10)
    assert list(table.columns) == ["user_id", "item_id", "rank", "score", "known_user"]
    assert set(table.user_id) == {107}
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "300 interactions, 30 users" in captured.err
    assert "300 rows read" in captured.err


def test_dislikes_that_count_as_positive_are_warned_of_where_fit_is_called(fit, frame):
    liked = frame.assign(stars=np.where(frame.stars >= 3, 1, -1))
    with pytest.warns(DataWarning) as caught:
        rec = fit("ease", liked)
    (warning,) = (one for one in caught if one.category is DataWarning)
    train = rec._experiment.split.train
    assert str(warning.message) == (
        f"data: {int((train.ratings < 0).sum())} ratings of the training part are 0 or less and count as "
        "positive like all others; min_rating= says which count"
    )
    with pytest.warns(DataWarning, match="5, count as positive, low ones too; min_rating= says") as caught:
        tfzoo.fit(frame, user_col="viewer", item_col="movie", rating_col="stars", verbose=False)
    assert __file__ in [one.filename for one in caught if one.category is DataWarning]
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        assert fit("ease", liked, min_rating=1)._experiment.split.train.ratings.min() == 1
        fit("pmf", liked, epochs=1, jit_compile=False)


@pytest.mark.parametrize("library", ["pyarrow", "polars"])
def test_frames_of_other_libraries_are_fitted_and_asked_alike(fit, ease, frame, library):
    if library == "polars":
        data = pytest.importorskip("polars").DataFrame(frame.to_dict("list"))
    else:
        data = pa.table(frame)
    rec = fit("ease", data, l2=3.0)
    pd.testing.assert_frame_equal(rec.evaluate(), ease.evaluate())
    pd.testing.assert_frame_equal(rec.recommend(data["viewer"], k=3), ease.recommend(frame.viewer, k=3))
    pairs = {"user_col": "viewer", "item_col": "movie"}
    pd.testing.assert_frame_equal(rec.predict(data, **pairs), ease.predict(frame, **pairs), check_dtype=False)


def test_lists_are_those_of_the_closed_form(ease, frame):
    # EASE by NumPy alone, from the training rows.
    train = ease._experiment.split.train
    rows = np.zeros((train.num_users + 1, train.num_items + 1))
    rows[train.user_id, train.item_id] = 1
    inverse = np.linalg.inv(rows.T[1:] @ rows[:, 1:] + 3.0 * np.eye(train.num_items))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    for raw in (100, 177):
        dense = int(train.users.lookup([raw])[0])
        scores = rows[dense, 1:] @ weights
        scores[rows[dense, 1:] > 0] = -np.inf
        answer = ease.recommend(raw, k=5)
        best = np.argsort(-scores)[:5]
        assert answer.item_id.tolist() == train.items.decode(best + 1).tolist()
        np.testing.assert_allclose(answer.score, scores[best], rtol=1e-4)


def test_the_figures_are_those_of_a_run_from_the_rooms_below(fit, toy):
    settings = {"epochs": 2, "jit_compile": False}
    fitted = fit("pmf", **settings)
    recipe = load_recipe("pmf", "", overrides=["training.epochs=2", "training.jit_compile=false"])
    experiment = Experiment.prepare(recipe, fitted.data, 0)
    record, _ = run(experiment, fitted._folder.parents[1] / "again")
    assert record.metrics == fitted.record.metrics
    assert fit("pmf", seed=1, **settings).record.metrics != record.metrics


def test_all_data_means_every_row(fit, frame):
    held_out, everything = fit("popularity"), fit("popularity", fit_on="all")
    counts = frame.movie.value_counts()
    found = everything.recommend(-1, k=20).set_index("item_id").score
    assert {item: int(score) for item, score in found.items()} == counts.to_dict()
    assert held_out.recommend(-1, k=20).score.sum() < len(frame)
    assert "test" not in everything.record.metrics
    with pytest.raises(UsageError, match="trained on all data"):
        everything.evaluate()


def test_all_data_is_trained_on_for_the_epochs_that_validation_chose(fit):
    fitted = fit("pmf", fit_on="all", epochs=3, jit_compile=False)
    again = [row for row in fitted.record.history if "refit" in row]
    assert len(again) == len(fitted.record.history) == 3, "given epochs are trained as they are"
    chosen = fit(
        "pmf", fit_on="all", training__patience=1, training__learning_rate=0.05, jit_compile=False
    ).record
    again = [row for row in chosen.history if "refit" in row]
    assert 0 < chosen.best_epoch == len(again) < len(chosen.history)
    assert "validation" in chosen.metrics
    assert "test" not in chosen.metrics


def test_models_of_clicks_recommend_nothing(fit):
    with pytest.raises(UsageError, match="'fm' is a model of clicks, which recommends no lists"):
        fit("fm")


def test_ratings_are_needed_where_the_model_learns_from_them(fit, frame):
    with pytest.raises(DataError, match="rating"):
        fit("pmf", frame.drop(columns="stars"), rating_col=None)
    with pytest.raises(DataError, match=r"no column 'star'.*'stars'"):
        fit("ease", rating_col="star")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": 3}, "Unknown setting 'epoch'. Did you mean 'epochs'"),
        ({"trainin__epochs": 3}, "Unknown group of settings 'trainin'.*training"),
        ({"training__epoch": 3}, "unknown key 'epoch'"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": object()}, "must be a number"),
        ({"fit_on": "al"}, "'train' or 'all'"),
        ({"protocol": "leave-one-ou"}, "leave-one-out"),
        ({"recipe": "papr"}, "paper"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_wrong_argument_is_named_with_what_was_meant(fit, options, message):
    with pytest.raises(UsageError, match=message):
        fit("pmf", **options)


def test_a_name_that_several_groups_have_must_say_which():
    info = model_info("sasrec")
    builder = overrides_of(info, {"builder__dropout": 0.5, "epochs": 1})
    assert builder == ["builder.dropout=0.5", "training.epochs=1"]
    shared = {"validation"}  # Of the split; none of these is taken twice by the models of the package.
    assert overrides_of(info, dict.fromkeys(shared, 0.2)) == ["split.validation=0.2"]


def test_the_random_numbers_of_the_caller_go_on(fit):
    random.seed(3)
    np.random.seed(3)
    expected = [(random.random(), np.random.rand()) for _ in range(2)]
    random.seed(3)
    np.random.seed(3)
    drawn = [(random.random(), np.random.rand())]
    fit("popularity")
    drawn.append((random.random(), np.random.rand()))
    assert drawn == expected


def test_columns_may_have_numbers_for_names(frame):
    headless = frame.set_axis(range(frame.shape[1]), axis=1)
    rec = tfzoo.fit(headless, "popularity", user_col=0, item_col=1, rating_col=2, verbose=False)
    assert rec.data.num_users == 30
    assert rec.data.rating is not None


def test_a_column_that_looks_like_ratings_is_not_passed_over_in_silence(frame):
    with pytest.warns(DataWarning, match="column 'stars' is not read.*rating_col='stars'") as caught:
        tfzoo.fit(frame, "popularity", user_col="viewer", item_col="movie", verbose=False)
    assert [one.filename for one in caught if one.category is DataWarning] == [__file__]


def test_what_the_filter_of_a_recipe_leaves_out_is_warned_of(fit, frame):
    low = int((frame.stars < 4).sum())
    with pytest.warns(DataWarning, match=f"the recipe's filter leaves out {low} of 300 rows"):
        fit("cdae", epochs=1, jit_compile=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*leaves out")
        fit("popularity", min_rating=5)


@pytest.mark.parametrize("seed", [1.5, "1", True])
def test_a_seed_is_a_whole_number(fit, seed):
    with pytest.raises(UsageError, match="seed= must be a whole number"):
        fit("popularity", seed=seed)
