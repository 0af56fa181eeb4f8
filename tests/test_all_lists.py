"""The lists of all users are those that each would be answered."""

import numpy as np
import pandas as pd
import pytest

import tfzoo
from tfzoo.all_lists import all_lists, users_of
from tfzoo.errors import UsageError

pytestmark = pytest.mark.filterwarnings("ignore::tfzoo.errors.DataWarning")
QUICK = {"epochs": 1, "embedding_dim": 4, "jit_compile": False}


@pytest.fixture(scope="module", params=["ease", "biased-mf", "gmf"])
def fitted(toy, request):
    options = {} if request.param == "ease" else QUICK
    return tfzoo.fit(toy, request.param, verbose=False, **options)


def alike(found, expected):
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-5)


def test_they_are_the_answers_to_single_questions(fitted):
    found = fitted.recommend_all(k=4)
    users = fitted.data.users.ids.tolist()
    assert found.user_id.drop_duplicates().tolist() == users
    alike(found, pd.concat([fitted.recommend(user, k=4) for user in users], ignore_index=True))


def test_they_hide_what_users_have_and_what_is_excluded(fitted):
    barred = ["film-03", "no such film"]
    found = fitted.recommend_all(k=100, exclude=barred)
    data = fitted.data
    known = set(zip(data.users.decode(data.user_id), data.items.decode(data.item_id), strict=True))
    listed = set(zip(found.user_id, found.item_id, strict=True))
    assert not listed & known
    assert "film-03" not in set(found.item_id)
    everything = {(user, item) for user in data.users.ids for item in data.items.ids if item != "film-03"}
    assert listed == everything - known


def test_blocks_change_nothing(fitted):
    train = fitted._experiment.split.train
    users = users_of(fitted._experiment)
    frames = [
        pd.concat(
            [t.to_pandas() for t in all_lists(fitted._recommender, users, train.items, 3, block=block)],
            ignore_index=True,
        )
        for block in (1, 7, 1000)
    ]
    for frame in frames[1:]:
        alike(frame, frames[0])


def test_users_that_training_lacks_are_among_all(toy):
    few = set(toy.users.ids[:4].tolist())
    # Three of the ten interactions of each of them.
    parts = [np.flatnonzero(toy.user_id == user)[: 3 if user <= 4 else None] for user in range(1, 31)]
    rows = np.concatenate(parts)
    fitted = tfzoo.fit(toy.take(rows), "ease", min_user_interactions=4, verbose=False)
    found = fitted.recommend_all(k=2)
    assert set(found.user_id) == set(toy.users.ids.tolist())
    assert set(found.user_id[~found.known_user]) == few, "they get what is popular, and none that they have"
    alike(found, fitted.recommend(found.user_id.drop_duplicates(), k=2))


@pytest.mark.parametrize("k", [0, -3, 1.5])
def test_k_is_a_positive_number(fitted, k):
    with pytest.raises(UsageError, match="k must be"):
        fitted.recommend_all(k)


def test_as_many_as_there_are_is_no_error(fitted):
    alike(fitted.recommend_all(k=10**12), fitted.recommend_all(k=20))
    assert np.isfinite(fitted.recommend_all(k=20).score).all()
