"""Exports that find items through an index: the answers of the export that scores all items."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.zoo import build, models_of, quick
from tfzoo.data.splits import Split
from tfzoo.errors import UsageError
from tfzoo.serving.client import LocalClient
from tfzoo.serving.export import export_saved_model
from tfzoo.serving.index import IndexSettings
from tfzoo.tasks import get_task

# One model for each kind of head, and one whose answer for a pair is a probability.
MODELS = quick(["pmf", "biased-mf", "dcf", "gmf", "bmf", "bpr-mf"], ("biased-mf", "gmf"))
USERS, UNKNOWN = [100, 107, 303], 5


@pytest.fixture(scope="module")
def train(toy):
    return toy.take(np.flatnonzero(toy.item_id != 6))


def export(name, train, folder, index):
    model = build(name, 3, 0.4, train.num_users, train.num_items)
    task = get_task("rating" if name in models_of("rating") else "implicit")()
    scorer = task.scorer(model, task.features(model, Split(train, train, train, ""), train))
    return export_saved_model(model, scorer, train, folder, metadata={"model": name}, index=index)


def signatures_of(version):
    return tf.saved_model.load(str(version)).signatures


@pytest.fixture(scope="module", params=MODELS)
def both(request, train, tmp_path_factory):
    """Return the signatures of an export without and of one with an exact index."""
    folder = tmp_path_factory.mktemp(request.param)
    plain, indexed = (
        export(request.param, train, folder / "m", kind) for kind in (None, IndexSettings("exact"))
    )
    return signatures_of(plain), signatures_of(indexed)


def ask(signatures, name="recommend", *, users, k, exclude, **more):
    return {
        key: value.numpy()
        for key, value in signatures[name](
            user_id=tf.constant(users, tf.int64),
            k=tf.constant(k, tf.int32),
            exclude_ids=tf.reshape(tf.constant(exclude, tf.string), [len(users), -1]),
            **more,
        ).items()
    }


def assert_same(found, expected):
    np.testing.assert_array_equal(found["item_ids"], expected["item_ids"])
    np.testing.assert_array_equal(found["known_user"], expected["known_user"])
    np.testing.assert_allclose(found["scores"], expected["scores"], rtol=1e-5, atol=1e-5)


def test_the_signatures_are_the_same(both):
    described = [
        {name: (s.structured_input_signature, s.structured_outputs) for name, s in signatures.items()}
        for signatures in both
    ]
    assert described[0] == described[1]


def test_pairs_have_the_same_scores(both):
    pairs = {
        "user_id": tf.constant([107, UNKNOWN, 303, 100], tf.int64),
        "item_id": tf.constant(["film-19", "film-00", "no such film", "film-03"]),
    }
    (plain,), (indexed,) = (signatures["serving_default"](**pairs).values() for signatures in both)
    np.testing.assert_allclose(indexed, plain, rtol=1e-5, atol=1e-5)
    assert np.ptp(plain.numpy()) > 1e-3


@given(
    users=st.lists(st.sampled_from([*USERS, UNKNOWN]), max_size=4),
    k=st.integers(-1, 25),
    excluded=st.lists(st.sampled_from(["", "film-01", "film-07", "film-19", "no such film"]), max_size=3),
)
def test_lists_are_the_same(both, users, k, excluded):
    options = {"users": users, "k": [k + n for n in range(len(users))], "exclude": [excluded] * len(users)}
    assert_same(*(ask(signatures, **options) for signatures in both))
    allowed = tf.constant([["film-07", "film-02", "film-02", "film-05", "film-11"]] * len(users), tf.string)
    allowed = tf.reshape(allowed, [len(users), 5])
    among = [ask(signatures, "recommend_among", **options, allow_ids=allowed) for signatures in both]
    assert_same(*among)


@pytest.mark.slow
def test_a_factorisation_machine_on_reviews_is_an_inner_product(train, tmp_path):
    words = np.array(["a", "dull", "film", "with", "good", "end", "loud"], object)
    chosen = zip(train.user_id % 7, train.item_id % 7, train.user_id * train.item_id % 7, strict=True)
    reviews = replace(train, text=np.array([" ".join(words[list(three)]) for three in chosen], object))
    model = build("deepconn", 3, 0.4, train.num_users, train.num_items)
    task = get_task("review-rating")()
    scorer = task.scorer(model, task.features(model, Split(reviews, reviews, reviews, ""), reviews))
    plain, indexed = (
        signatures_of(
            export_saved_model(model, scorer, reviews, tmp_path / "deepconn", metadata={}, index=index)
        )
        for index in (None, IndexSettings("exact"))
    )
    options = {"users": [*USERS, UNKNOWN], "k": [20] * 4, "exclude": [[]] * 4}
    assert_same(ask(indexed, **options), ask(plain, **options))


def test_an_inverted_file_lists_a_part_with_the_right_scores(train, tmp_path):
    index = IndexSettings("ivf", partitions=4, probes=1)
    served = signatures_of(export("gmf", train, tmp_path / "gmf", index))
    plain = signatures_of(export("gmf", train, tmp_path / "plain", None))
    everything = {"users": USERS, "k": [20] * 3, "exclude": [[]] * 3}
    found, expected = ask(served, **everything), ask(plain, **everything)
    for number in range(3):
        truth = dict(zip(expected["item_ids"][number], expected["scores"][number], strict=True))
        shown = found["item_ids"][number][found["item_ids"][number] != b""]
        assert 0 < len(shown) < len(truth) - 1
        assert len(set(shown)) == len(shown)
        scores = found["scores"][number][: len(shown)]
        np.testing.assert_allclose(scores, [truth[item] for item in shown], rtol=1e-5, atol=1e-5)
        assert (np.diff(scores) <= 0).all()
    all_probes = IndexSettings("ivf", partitions=4, probes=4)
    complete = signatures_of(export("gmf", train, tmp_path / "all", all_probes))
    assert_same(ask(complete, **everything), expected)


def test_an_unknown_user_gets_popular_items_past_many_excluded_ones(both, train):
    excluded = [f"film-{number:02d}" for number in range(17)]
    options = {"users": [UNKNOWN, 100], "k": [5, 5], "exclude": [excluded, [""] * 17]}
    found = ask(both[1], **options)
    assert set(found["item_ids"][0]) == {b"film-17", b"film-18", b"film-19", b""}
    assert_same(found, ask(both[0], **options))


def test_the_metadata_names_the_index(train, tmp_path):
    version = export("gmf", train, tmp_path / "gmf", IndexSettings("ivf", partitions=3, probes=2))
    index = LocalClient(version).metadata["index"]
    assert len(index.pop("item_offset")) == 9
    assert index == {"kind": "ivf", "partitions": 3, "probes": 2}
    assert "index" not in LocalClient(export("gmf", train, tmp_path / "gmf", None)).metadata


def test_the_weights_of_the_item_side_are_not_stored_twice(train, tmp_path):
    version = export("gmf", train, tmp_path / "gmf", IndexSettings("exact"))
    shapes = [shape for _, shape in tf.train.list_variables(str(version / "variables" / "variables"))]
    assert sum(shape[:1] == [train.num_items + 1] and len(shape) == 2 for shape in shapes) == 1


@pytest.mark.parametrize("name", ["edrs", "mlp", "neumf"])
def test_hidden_layers_have_no_index(train, tmp_path, name):
    with pytest.raises(UsageError, match=rf"'{name}' are not inner products.*without --index"):
        export(name, train, tmp_path / name, IndexSettings("exact"))
    assert list(tmp_path.iterdir()) == []
