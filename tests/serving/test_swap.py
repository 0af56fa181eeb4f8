"""Another set of items in an export: lists by sorting, users and what they have seen unchanged."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import build
from tfzoo.data.filters import filter_interactions
from tfzoo.data.splits import Split
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError
from tfzoo.serving.candidates import Candidates
from tfzoo.serving.client import LocalClient
from tfzoo.serving.export import export_saved_model
from tfzoo.serving.index import IndexSettings
from tfzoo.serving.recommender import OTHER_USERS_FILE
from tfzoo.serving.swap import swap_candidates
from tfzoo.tasks import get_task

EXACT, INVERTED = IndexSettings("exact"), IndexSettings("ivf", probes=1000)


@pytest.fixture(scope="module")
def train(toy):
    return toy.take(np.flatnonzero(toy.item_id != 6))


def export(train, folder, index=EXACT, name="gmf", **options):
    """Export a model; return the version and its queries, vectors and offsets by dense id."""
    model = build(name, 3, 0.4, train.num_users, train.num_items)
    task = get_task("implicit" if name == "gmf" else "rating")()
    scorer = task.scorer(model, task.features(model, Split(train, train, train, ""), train))
    version = export_saved_model(
        model, scorer, train, folder, metadata={"model": name}, index=index, **options
    )
    if index is None:
        return version, None, None, None
    factors = scorer.factors()
    queries, offset = factors.queries(tf.range(train.num_users + 1))
    return version, queries.numpy(), factors.vectors.numpy(), offset.numpy()


@pytest.fixture(scope="module", params=[EXACT, INVERTED], ids=["exact", "ivf"])
def swapped(request, train, tmp_path_factory):
    """Keep every second item, add two, and give one a new vector."""
    folder = tmp_path_factory.mktemp("swap") / "gmf-toy"
    version, queries, vectors, offset = export(train, folder, request.param)
    kept = [f"film-{number:02d}" for number in range(1, 20, 2)]
    ids = np.array(["a new film", *kept, "zebra"])
    width = vectors.shape[1]
    random = np.random.default_rng(1)
    given = np.full((len(ids), width), np.nan, np.float32)
    given[[0, 4, -1]] = random.normal(size=(3, width))
    order = random.permutation(len(ids))
    counts = np.where(np.isin(ids, ["zebra"]), 100.0, 1.0)
    new = swap_candidates(version, Candidates(ids[order], given[order], counts[order]))
    expected = np.where(np.isnan(given), vectors[train.items.lookup(ids)], given)
    return version, new, ids, expected, (queries, offset)


def test_the_new_version_stands_beside_the_old_one(swapped):
    version, new, *_ = swapped
    assert (version.name, new.name) == ("1", "2")
    assert sorted(entry.name for entry in version.parent.iterdir()) == ["1", "2"]


def test_lists_are_those_of_sorting_the_new_items(swapped, train):
    _, new, ids, vectors, (queries, offset) = swapped
    client = LocalClient(new)
    for raw in (100, 107, 303):
        dense = int(train.users.lookup([raw])[0])
        # film-05 was not trained and gets no vector: it stays hidden.
        seen = {"film-05", *train.items.decode(train.item_id[train.user_id == dense]).tolist()}
        scores = vectors @ queries[dense] + offset[dense]
        best = [at for at in np.argsort(-scores) if ids[at] not in seen]
        answer = client.recommend(raw, k=50)
        assert answer.known_user
        assert answer.item_ids == ids[best].tolist()
        np.testing.assert_allclose(answer.scores, scores[best], rtol=1e-4, atol=1e-5)
        assert set(client.recommend(raw, k=50, exclude_ids=ids[best][:2].tolist()).item_ids) == set(
            ids[best][2:]
        )


def test_pairs_and_allow_lists_know_the_new_items(swapped, train):
    _, new, _, vectors, (queries, offset) = swapped
    signatures = tf.saved_model.load(str(new)).signatures
    (found,) = signatures["serving_default"](
        user_id=tf.constant([100, 107], tf.int64), item_id=tf.constant(["zebra", "a new film"])
    ).values()
    logits = np.array([vectors[-1] @ queries[1] + offset[1], vectors[0] @ queries[2] + offset[2]])
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), rtol=1e-4)
    answer = signatures["recommend_among"](
        user_id=tf.constant([100], tf.int64),
        k=tf.constant([5]),
        exclude_ids=tf.constant([[""]]),
        allow_ids=tf.constant([["zebra", "film-02", "a new film"]]),
    )
    assert set(answer["item_ids"].numpy()[0].tolist()) - {b""} == {b"zebra", b"a new film"}


def test_unknown_users_get_the_new_popular_items(swapped):
    _, new, ids, *_ = swapped
    answer = LocalClient(new).recommend(5, k=3)
    assert not answer.known_user
    assert answer.item_ids == ["zebra", *sorted(set(ids.tolist()) - {"zebra"})[:2]]
    assert answer.scores == [100, 1, 1]


def test_the_same_items_give_the_same_answers(train, tmp_path):
    version, *_ = export(train, tmp_path / "gmf-toy")
    new = swap_candidates(version, Candidates(train.items.ids))
    before, after = LocalClient(version), LocalClient(new)
    for user in (100, 303, 5):
        assert after.recommend(user, k=50) == before.recommend(user, k=50)
    assert after.titles == before.titles


def test_what_is_known_of_users_without_a_vector_stays(toy, tmp_path):
    train = filter_interactions(replace(toy, rating=np.where(toy.user_id < 4, 1, 5)), min_rating=2)
    version, *_ = export(train, tmp_path / "gmf-toy", known=[toy])
    assert (version / "assets" / OTHER_USERS_FILE).read_text().split() == ["100", "107", "114"]
    new = swap_candidates(version, Candidates(train.items.ids[::2]))
    for user in (1, 3, 30):
        raw = int(toy.users.decode([user])[0])
        rated = set(toy.items.decode(toy.item_id[toy.user_id == user]).tolist())
        answer = LocalClient(new).recommend(raw, k=50)
        assert set(answer.item_ids) == set(train.items.ids[::2].tolist()) - rated
        assert answer.known_user == (user > 3)


def test_a_swap_of_a_swap(swapped):
    version, new, *_ = swapped
    third = swap_candidates(new, Candidates(np.array(["zebra", "film-03"])))
    client = LocalClient(third)
    assert set(client.recommend(5, k=9).item_ids) == {"zebra", "film-03"}
    assert client.metadata["candidates"] == {"from_version": 2, "items": 2}
    size = [sum(f.stat().st_size for f in v.rglob("*") if f.is_file()) for v in (version, third)]
    assert size[1] < size[0]


def test_item_tower_vectors_get_their_offset(train, tmp_path):
    version, queries, vectors, offset = export(train, tmp_path / "mf", name="biased-mf")
    tower = vectors[:, :-1]
    # The last component of the tower's vector is the item's bias: the offset follows from it.
    ids = np.array(["film-03", "new"])
    new = swap_candidates(version, Candidates(ids, np.stack([tower[9], 2 * tower[4]])))
    scores = LocalClient(new).recommend(100, k=5)
    expected = {
        "film-03": vectors[9] @ queries[1] + offset[1],
        "new": 2 * tower[4] @ queries[1][:-1] + 2 * tower[4][-1] + 0.0 + offset[1],
    }
    constant = vectors[4, -1] - tower[4, -1]
    expected["new"] += constant
    for item, score in zip(scores.item_ids, scores.scores, strict=True):
        assert score == pytest.approx(expected[item], abs=1e-4)


def test_titles_and_metadata_follow(train, tmp_path):
    version, _, vectors, _ = export(train, tmp_path / "gmf-toy")
    ids = np.array(["film-03", "new"])
    new = swap_candidates(version, Candidates(ids, vectors[[1, 2]], titles=np.array(["Third", "New film"])))
    client = LocalClient(new)
    assert client.titles == {"film-03": "Third", "new": "New film"}
    assert client.metadata["model"] == "gmf"
    assert client.metadata["index"]["kind"] == "exact"
    text = (new / "assets" / "items.txt").read_text(encoding="utf-8")
    assert text == "film-03\nnew\n"


def test_whole_number_ids_may_be_smaller_than_all_before(toy, tmp_path):
    train = replace(toy, items=Vocabulary(np.arange(20)), item_features={})
    version, _, vectors, _ = export(train, tmp_path / "gmf-toy")
    new = swap_candidates(version, Candidates(np.array([-5, 3, 7]), np.repeat(vectors[2:3], 3, axis=0)))
    client = LocalClient(new)
    assert sorted(client.recommend(5, k=10).item_ids) == [-5, 3, 7]
    assert client.metadata["policy"]["blank_id"] == -6
    assert sorted(client.recommend(5, k=10, exclude_ids=[-5]).item_ids) == [3, 7]


@pytest.mark.parametrize(
    ("candidates", "error"),
    [
        (
            Candidates(np.array(["film-01", "new one", "new two"])),
            r"2 candidates are not in the export.*new one",
        ),
        (Candidates(np.array(["film-01"]), np.ones((1, 5))), r"width 8 or 9. Received 5"),
        (Candidates(np.array(["film-01"]), np.full((1, 9), np.inf)), r"must be finite"),
        (Candidates(np.array(["film-01"]), np.array([[np.nan] + [1.0] * 8])), r"must be finite"),
        (
            Candidates(np.array(["film-01", "film-02", "film-01"])),
            r"1 candidates have an id that occurs before",
        ),
        (Candidates(np.array(["film-05"])), r"None of the candidates was trained"),
        (Candidates(np.array([1, 2])), r"int64 ids; those of the export are string, such as 'film-00'"),
    ],
    ids=["no-vector", "width", "infinite", "half-a-vector", "twice", "untrained", "ids"],
)
def test_candidates_that_cannot_be_used_are_refused_and_nothing_is_written(
    train, tmp_path, candidates, error
):
    version, *_ = export(train, tmp_path / "gmf-toy")
    with pytest.raises(DataError, match=error):
        swap_candidates(version, candidates)
    assert [entry.name for entry in version.parent.iterdir()] == ["1"]


def test_an_export_without_an_index_is_refused(train, tmp_path):
    version, *_ = export(train, tmp_path / "gmf-toy", index=None)
    with pytest.raises(UsageError, match=r"Export with --index exact"):
        swap_candidates(version, Candidates(np.array(["film-01"])))


def test_the_graph_is_the_same_file(swapped):
    version, new, *_ = swapped
    assert (version / "saved_model.pb").read_bytes() == (new / "saved_model.pb").read_bytes()
    assert (
        json.loads((new / "assets.extra" / "tfzoo.json").read_text(encoding="utf-8"))["warmup_requests"] > 0
    )
