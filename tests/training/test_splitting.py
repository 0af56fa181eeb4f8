"""From the settings of a recipe to the parts of the data."""

from dataclasses import replace

import numpy as np
import pytest

from tfzoo.data.splits import Split
from tfzoo.errors import DataError, UsageError
from tfzoo.training import splitting as module
from tfzoo.training.settings import FilterSettings, SplitSettings
from tfzoo.training.splitting import apply_filter, make_split, with_validation


def pairs(part):
    return set(zip(part.user_id.tolist(), part.item_id.tolist(), strict=True))


def test_a_random_split_covers_the_data_once(toy):
    split = make_split(toy, SplitSettings(kind="random", ratios=(0.8, 0.1, 0.1)), seed=0)
    parts = [split.train, split.validation, split.test]
    assert [len(part) for part in parts] == [240, 30, 30]
    assert set().union(*map(pairs, parts)) == pairs(toy)
    assert "80/10/10" in split.protocol
    other = make_split(toy, SplitSettings(kind="random", ratios=(0.8, 0.1, 0.1)), seed=1)
    assert pairs(other.test) != pairs(split.test)


def test_the_folds_of_a_k_fold_split_are_disjoint_and_cover_the_data(toy):
    tests = []
    for fold in range(3):
        split = make_split(toy, SplitSettings(kind="k-fold", folds=3, fold=fold, validation=0.2), seed=0)
        assert not pairs(split.train) & pairs(split.test)
        assert [len(part) for part in (split.train, split.validation, split.test)] == [160, 40, 100]
        assert f"fold {fold}" in split.protocol
        tests.append(pairs(split.test))
    assert set().union(*tests) == pairs(toy)
    assert sum(map(len, tests)) == len(toy)


def test_without_a_fold_the_seeds_are_the_folds_of_one_partition(toy):
    settings = SplitSettings(kind="k-fold", folds=3)
    by_seed = [make_split(toy, settings, seed=seed) for seed in range(6)]
    for seed, split in enumerate(by_seed):
        named = SplitSettings(kind="k-fold", folds=3, fold=seed % 3)
        same = make_split(toy, named, seed=seed // 3)
        assert pairs(split.test) == pairs(same.test)
        assert pairs(split.validation) == pairs(same.validation)
        assert split.protocol == same.protocol
    for first in (0, 3):
        tests = [pairs(split.test) for split in by_seed[first : first + 3]]
        assert set().union(*tests) == pairs(toy)
        assert sum(map(len, tests)) == len(pairs(toy))
    assert pairs(by_seed[0].test) != pairs(by_seed[3].test)


def test_the_parts_of_a_given_split_are_filtered(toy, monkeypatch):
    rows = np.arange(len(toy))
    published = Split(toy.take(rows[:200]), toy.take(rows[200:250]), toy.take(rows[250:]), "published")

    def find(source, *_, **__):
        assert len(source) == len(toy)
        return published

    monkeypatch.setattr(module, "given_split_of", find)
    chosen = FilterSettings(min_rating=4, min_user_interactions=4)
    kept = apply_filter(toy, chosen)
    split = make_split(toy, SplitSettings(kind="given", name="u1"), 0, chosen)
    assert split.protocol == "published, then filtered"
    expected = set(zip(kept.users.decode(kept.user_id), kept.items.decode(kept.item_id), strict=True))
    found = []
    for part, whole in (
        (split.train, rows[:200]),
        (split.validation, rows[200:250]),
        (split.test, rows[250:]),
    ):
        assert part.ratings.min() >= 4
        assert (part.users, part.items) == (kept.users, kept.items)
        raw = set(zip(part.users.decode(part.user_id), part.items.decode(part.item_id), strict=True))
        source = toy.take(whole)
        assert raw == expected & set(
            zip(source.users.decode(source.user_id), source.items.decode(source.item_id), strict=True)
        )
        found += raw
    assert set(found) == expected
    assert len(found) == len(kept) < len(toy)
    # Where nothing is dropped, the parts are the published ones.
    assert make_split(toy, SplitSettings(kind="given", name="u1"), 0, FilterSettings()) is published


def test_a_given_split_is_asked_for_by_name(toy, monkeypatch):
    rows = np.arange(len(toy))
    published = Split(toy.take(rows[:200]), toy.take(rows[200:250]), toy.take(rows[250:]), "published")
    asked = []

    def given_split_of(interactions, name, *, seed, validation):
        asked.append((interactions.name, name, seed, validation))
        return published

    monkeypatch.setattr(module, "given_split_of", given_split_of)
    split = make_split(toy, SplitSettings(kind="given", name="u1", validation=0.2), seed=3)
    assert asked == [("toy", "u1", 3, 0.2)]
    assert split is published


def test_a_given_split_needs_a_name_and_a_data_set_that_has_it(toy):
    with pytest.raises(UsageError, match=r"split\.name"):
        make_split(toy, SplitSettings(kind="given"), seed=0)
    with pytest.raises(UsageError, match="'toy' has no published split"):
        make_split(toy, SplitSettings(kind="given", name="u1"), seed=0)
    with pytest.raises(UsageError, match="Unknown split 'u9'"):
        make_split(replace(toy, name="ml-100k"), SplitSettings(kind="given", name="u9"), seed=0)


@pytest.mark.parametrize(
    ("settings", "protocol"),
    [
        ({"kind": "chronological", "ratios": (0.6, 0.2, 0.2)}, "per user chronological 60/20/20"),
        ({"kind": "per-user", "ratios": (0.6, 0.2, 0.2)}, "per user random 60/20/20, seed 4"),
        ({"kind": "leave-out", "leave": 2}, "leave 2 out per user, latest row before for validation"),
    ],
)
def test_splits_by_user_give_every_user_of_ten_rows_his_share(toy, settings, protocol):
    split = make_split(toy, SplitSettings(**settings), seed=4)
    assert split.protocol == protocol
    parts = (split.train, split.validation, split.test)
    sizes = (7, 1, 2) if settings["kind"] == "leave-out" else (6, 2, 2)
    for part, size in zip(parts, sizes, strict=True):
        assert (part.user_counts()[1:] == size).all()
    assert set().union(*map(pairs, parts)) == pairs(toy)
    again = make_split(toy, SplitSettings(**settings), seed=5)
    assert (pairs(again.test) != pairs(split.test)) == (settings["kind"] == "per-user")
    if settings["kind"] != "per-user":
        for user in range(1, 31):
            first, second = (part.timestamp[part.user_id == user] for part in parts[1:])
            assert split.train.timestamp[split.train.user_id == user].max() < first.min()
            assert first.max() < second.min()


def test_a_leave_out_split_draws_negatives_where_that_is_asked_for(toy):
    split = make_split(toy, SplitSettings(kind="leave-out", negatives=5), seed=4)
    assert set(split.negatives) == {"validation", "test"}
    for negatives in split.negatives.values():
        assert negatives.item_id.shape == (30, 5)
        drawn = {(u, i) for u, row in zip(negatives.user_id, negatives.item_id, strict=True) for i in row}
        assert not drawn & pairs(toy)
    assert "5 drawn negatives" in split.protocol
    full = make_split(toy, SplitSettings(kind="leave-out"), seed=4)
    assert full.negatives == {}
    assert pairs(full.test) == pairs(split.test)


@pytest.mark.parametrize(("held_out", "expected"), [(4, 4), (None, 3)])
def test_strong_generalization_holds_out_users(toy, held_out, expected):
    split = make_split(toy, SplitSettings(kind="strong-generalization", held_out_users=held_out), seed=0)
    groups = [set(part.user_id.tolist()) for part in (split.train, split.validation, split.test)]
    assert [len(group) for group in groups] == [30 - 2 * expected, expected, expected]
    assert set(split.fold_in.user_id.tolist()) == groups[1] | groups[2]
    assert not groups[0] & (groups[1] | groups[2])


def test_a_sessions_split_holds_out_the_latest_sessions(toy):
    sessions = replace(toy, timestamp=1000 * toy.user_id + np.arange(300) % 10)
    settings = SplitSettings(kind="sessions", test_seconds=2500, validation=0.25)
    split = make_split(sessions, settings, seed=0)
    users = [sorted(set(part.user_id.tolist())) for part in (split.train, split.validation, split.test)]
    # A quarter of the 27 earlier ones is 7.
    assert users == [list(range(1, 21)), list(range(21, 28)), [28, 29, 30]]


def test_cold_rows_are_kept_or_dropped(toy):
    settings = {"ratios": (0.2, 0.4, 0.4)}
    kept = make_split(toy, SplitSettings(**settings), seed=0)
    dropped = make_split(toy, SplitSettings(cold="drop", **settings), seed=0)
    known = set(kept.train.user_id.tolist())
    assert set(kept.test.user_id.tolist()) - known
    assert not set(dropped.test.user_id.tolist()) - known
    assert pairs(dropped.test) < pairs(kept.test)
    assert "cold users and items dropped" in dropped.protocol


def test_oversampling_leaks(toy):
    split = make_split(toy, SplitSettings(oversample=3), seed=0)
    assert len(split.train) == 630
    assert pairs(split.train) & pairs(split.test)


def test_ratios_that_do_not_add_up_and_empty_parts_are_refused(toy):
    with pytest.raises(UsageError, match="add up to 1"):
        make_split(toy, SplitSettings(ratios=(0.5, 0.1, 0.1)), seed=0)
    with pytest.raises(DataError, match="part is empty"):
        make_split(toy.take(np.arange(2)), SplitSettings(), seed=0)


def test_filters_are_applied_before_the_split(toy):
    kept = apply_filter(toy, FilterSettings(min_rating=4, min_user_interactions=3, iterate=True))
    assert kept.ratings.min() >= 4
    assert kept.user_counts()[1:].min() >= 3
    assert kept.num_users < toy.num_users
    assert apply_filter(toy, FilterSettings()).num_users == toy.num_users
    with pytest.raises(DataError, match="no interaction is left"):
        apply_filter(toy, FilterSettings(min_rating=6))


def test_data_without_ratings_has_nothing_to_choose_from(toy):
    plain = replace(toy, rating=None)
    assert pairs(apply_filter(plain, FilterSettings(min_rating=4))) == pairs(toy)


def test_a_refit_trains_on_train_and_validation_and_tests_on_the_same(toy):
    text = np.array([f"review {row}" for row in range(len(toy))], object)
    split = make_split(replace(toy, text=text), SplitSettings(kind="leave-out", negatives=5), seed=0)
    both = with_validation(split)
    assert len(both.train) == len(split.train) + len(split.validation)
    assert pairs(both.train) == pairs(split.train) | pairs(split.validation)
    assert both.test is split.test
    assert both.validation is split.validation
    assert both.negatives is split.negatives
    assert both.protocol == split.protocol + ", refitted with validation"
    rows = {(u, i): row for row, (u, i) in enumerate(zip(toy.user_id, toy.item_id, strict=True))}
    for row in (0, len(split.train), len(both.train) - 1):
        at = rows[both.train.user_id[row], both.train.item_id[row]]
        assert both.train.rating[row] == toy.rating[at]
        assert both.train.timestamp[row] == toy.timestamp[at]
        assert both.train.text[row] == f"review {at}"


def test_a_refit_does_not_go_with_held_out_users(toy):
    split = make_split(toy, SplitSettings(kind="strong-generalization"), seed=0)
    with pytest.raises(UsageError, match=r"training.refit=false"):
        with_validation(split)
