"""Data sets of lines of items: sessions put together again, sequences in order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfzoo.data.datasets import given_split_of, load_dataset, registry
from tfzoo.data.datasets.sequences import whole_sessions
from tfzoo.errors import DataError, DownloadError, UsageError

FILE = Path("test_cases.txt")
SESSIONS = st.lists(st.lists(st.integers(1, 4), min_size=2, max_size=7), min_size=1, max_size=12)


def cases_of(sessions):
    return [session[:end] for session in sessions for end in range(len(session), 1, -1)]


@pytest.fixture
def any_counts(monkeypatch):
    tiny = {name: replace(dataset, facts={}) for name, dataset in registry._datasets.items()}
    monkeypatch.setattr(registry, "_datasets", tiny)


@given(SESSIONS)
def test_sessions_are_put_together_again(sessions):
    assert whole_sessions(cases_of(sessions), FILE) == sessions


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        ([[1, 2, 3], [1, 3]], "line 2: expected the line before without its last item"),
        ([[1, 2], [1, 2, 3], [4, 5]], "line 3"),
        ([[1, 2, 3]], "truncated"),
    ],
)
def test_cases_out_of_order_are_refused(cases, message):
    with pytest.raises(DataError, match=message):
        whole_sessions(cases, FILE)


@pytest.fixture
def sessions_folder(tmp_path):
    folder = tmp_path / "yoochoose1_64"
    folder.mkdir()
    train = [[30, 10, 10], [20, 30], [10, 20, 30], [30, 20]]
    (folder / "train_sessions.txt").write_text("".join(" ".join(map(str, line)) + "\n" for line in train))
    cases = cases_of([[10, 40, 10], [20, 10]])
    (folder / "test_cases.txt").write_text("".join(" ".join(map(str, line)) + "\n" for line in cases))
    return folder


@pytest.mark.usefixtures("any_counts")
def test_sessions_become_users(sessions_folder):
    data = load_dataset("yoochoose1_64", data_dir=sessions_folder)
    assert data.users.ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert data.items.ids.tolist() == [10, 20, 30, 40]
    assert data.user_id.tolist() == [1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 5, 6, 6]
    decoded = data.items.decode(data.item_id).tolist()
    assert decoded == [30, 10, 10, 20, 30, 10, 20, 30, 30, 20, 10, 40, 10, 20, 10]
    assert (data.rating, data.timestamp) == (None, None)


@pytest.mark.usefixtures("any_counts")
def test_given_sessions(sessions_folder):
    data = load_dataset("yoochoose1_64", data_dir=sessions_folder)
    split = given_split_of(data, "sessions", seed=0, validation=0.5, data_dir=sessions_folder)
    assert np.unique(split.train.user_id).tolist() == [1, 2]
    assert np.unique(split.validation.user_id).tolist() == [3, 4]
    assert np.unique(split.test.user_id).tolist() == [5, 6]
    assert sum(map(len, (split.train, split.validation, split.test))) == len(data)
    with pytest.raises(UsageError, match="must be a share of the sessions"):
        given_split_of(data, "sessions", seed=0, validation="latest", data_dir=sessions_folder)


@pytest.mark.usefixtures("any_counts")
@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train_sessions.txt", "1 2\n\n3 4\n", "line 2 has fewer than 1 numbers"),
        ("train_sessions.txt", "", "it is empty"),
        ("train_sessions.txt", "1 x\n", "lines of whole numbers"),
        ("test_cases.txt", "1 2\n3\n", "line 2 has fewer than 2 numbers"),
    ],
)
def test_damaged_lines_are_refused(sessions_folder, file, content, message):
    (sessions_folder / file).write_text(content)
    with pytest.raises(DataError, match=message):
        load_dataset("yoochoose1_64", data_dir=sessions_folder)


@pytest.mark.usefixtures("any_counts")
def test_sequences_of_users_in_any_order(tmp_path):
    (tmp_path / "Beauty.txt").write_text("7 1 2 3\n3 3 1\n")
    data = load_dataset("beauty", data_dir=tmp_path)
    assert data.users.ids.tolist() == [3, 7]
    assert data.user_id.tolist() == [2, 2, 2, 1, 1]
    assert data.item_id.tolist() == [1, 2, 3, 3, 1]
    (tmp_path / "Beauty.txt").write_text("7 1 2 3\n7 1\n")
    with pytest.raises(DataError, match="more than one line of a user"):
        load_dataset("beauty", data_dir=tmp_path)


def test_a_data_set_without_address_says_where_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.setenv("TFZOO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TFZOO_DATA_DIR", raising=False)
    with pytest.raises(DownloadError, match=r"Get it from the clicks of the RecSys Challenge 2015"):
        load_dataset("yoochoose1_64")


@pytest.mark.data
def test_real_yoochoose():
    data = load_dataset("yoochoose1_64")
    split = given_split_of(data, "sessions", seed=0)

    def next_item_events(*parts):
        return sum(len(part) - len(np.unique(part.user_id)) for part in parts)

    assert next_item_events(split.test) == 55_898
    assert next_item_events(split.train, split.validation) == 369_859
    assert len(split.train) + len(split.validation) == 486_026
    assert len(np.unique(split.train.user_id)) + len(np.unique(split.validation.user_id)) == 116_167
    assert len(np.unique(split.validation.user_id)) == 11_617
    assert len(np.unique(split.test.user_id)) == 15_324


@pytest.mark.data
def test_real_beauty():
    data = load_dataset("beauty")
    assert (len(data), data.num_users, data.num_items) == (198_502, 22_363, 12_101)
    assert data.user_counts()[1:].min() == 5
    assert data.item_id[:5].tolist() == [1, 2, 3, 4, 5]
