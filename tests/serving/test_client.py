"""The client for exported models in this process."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from tfzoo.data.splits import Split
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import TfzooError, UsageError
from tfzoo.models import create_model
from tfzoo.serving.client import LocalClient
from tfzoo.serving.export import export_saved_model
from tfzoo.tasks import RatingTask, ReconstructionTask
from tfzoo.tasks.pair_features import PairFeatures


def export(train, folder):
    """Export biased MF without factors: the item biases alone rank the items."""
    task = RatingTask()
    model = create_model(
        "biased-mf", train.num_users, train.num_items, embedding_dim=2, initial_stddev=0.0, mean_rating=3.0
    )
    biases = model.get_layer("item_tower").get_layer("item_bias").embeddings
    biases.assign(np.linspace(0, 1, train.num_items + 1)[:, None])
    scorer = task.scorer(model, PairFeatures.of(model, train))
    return export_saved_model(model, scorer, train, folder, metadata={"model": "biased-mf"})


@pytest.fixture(scope="module")
def client_folder(toy, tmp_path_factory):
    return export(toy, tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="module")
def client(client_folder):
    return LocalClient(client_folder)


def export_historian(toy, folder, **options):
    """Export a model that recommends, after item i, item i + 1 with score 1 and item i + 2 with 1/2."""
    model = create_model("ease", toy.num_users, toy.num_items)
    weights = np.eye(21, k=1) + np.eye(21, k=2) / 2
    weights[0] = 0
    model.get_layer("item_weights").kernel.assign(weights)
    task = ReconstructionTask()
    scorer = task.scorer(model, task.features(model, Split(toy, toy, toy, ""), toy))
    version = export_saved_model(model, scorer, toy, folder, metadata={"model": "ease"}, **options)
    return LocalClient(version)


@pytest.fixture(scope="module")
def historian(toy, tmp_path_factory):
    return export_historian(toy, tmp_path_factory.mktemp("historian"))


@pytest.fixture(scope="module")
def numbers(toy, tmp_path_factory):
    train = replace(toy, items=Vocabulary(np.arange(20) - 3), item_features={})
    return LocalClient(export(train, tmp_path_factory.mktemp("numbers")))


@pytest.fixture
def version(client_folder, tmp_path):
    """Return a copy of an export's version, to be damaged."""
    return shutil.copytree(client_folder, tmp_path / "model" / "7")


def test_a_folder_can_be_given_as_text(version):
    assert LocalClient(str(version)).model == "biased-mf"


def test_the_folder_of_a_model_is_told_from_that_of_a_version(version, tmp_path):
    with pytest.raises(UsageError, match=rf"folder of a version\. Its newest version is {version}"):
        LocalClient(str(tmp_path / "model"))
    with pytest.raises(UsageError, match=r"no SavedModel in nowhere, expected the folder of a version\.$"):
        LocalClient("nowhere")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("saved_model.pb", b"\xff", "cannot be loaded: .* Export it again"),
        ("variables/variables.index", b"", "cannot be loaded: .* Export it again"),
        ("assets.extra/tfzoo.json", b"{", "is no export of this library"),
        ("assets.extra/tfzoo.json", b"[]", "tfzoo.json holds a list, expected an object"),
        ("assets.extra/titles.json", b"\xff", "titles.json cannot be read: .* Export the model again"),
    ],
)
def test_a_damaged_export_is_one_message(version, file, content, message):
    (version / file).write_bytes(content)
    with pytest.raises(TfzooError, match=message) as error:
        LocalClient(version)
    assert len(str(error.value).splitlines()) == 1


def unseen(toy, user):
    """Return the raw ids that dense user ``user`` has not rated, best first: the biases rise with the id."""
    seen = set(toy.item_id[toy.user_id == user].tolist())
    return [f"film-{item - 1:02d}" for item in range(toy.num_items, 0, -1) if item not in seen]


def test_the_best_items_of_a_known_user(client, toy):
    answer = client.recommend(100, k=3)
    assert answer.known_user is True
    assert answer.item_ids == unseen(toy, 1)[:3]
    expected = [3 + (int(item[-2:]) + 1) / 20 for item in answer.item_ids]
    assert answer.scores == pytest.approx(expected, abs=1e-5)
    assert all(type(score) is float for score in answer.scores)


def test_ten_items_unless_told_otherwise(client, toy):
    assert client.recommend(100).item_ids == unseen(toy, 1)[:10]


def test_excluded_items(client, toy):
    best = unseen(toy, 1)
    answer = client.recommend(100, k=2, exclude_ids=[best[0], best[2], "film-no"])
    assert answer.item_ids == [best[1], best[3]]


def test_blanks_are_left_out(client, toy):
    answer = client.recommend(100, k=1000)
    assert answer.item_ids == unseen(toy, 1)
    assert len(answer.scores) == len(answer.item_ids)
    for k in (0, -2):
        with pytest.raises(UsageError, match=rf"k must be at least 1\. Received {k}\."):
            client.recommend(100, k=k)


def test_an_unknown_user_gets_popular_items_and_their_counts(client, toy):
    answer = client.recommend(5, k=20)
    counts = toy.item_counts()
    order = sorted(range(1, 21), key=lambda item: (-counts[item], item))
    assert answer.known_user is False
    assert answer.item_ids == toy.items.decode(order).tolist()
    assert answer.scores == counts[order].tolist()


@pytest.mark.parametrize("raw", [None, float("nan"), True, ["film-03"], 1.5])
def test_what_is_no_id_is_no_unknown_one(client, raw):
    # The users of this export are whole numbers, its items texts.
    with pytest.raises(UsageError, match="user ids of this data set are whole numbers"):
        client.recommend(raw)
    with pytest.raises(UsageError, match="'exclude_ids': an id is a text or a whole number"):
        client.recommend(100, exclude_ids=["film-03", raw])
    assert client.recommend(np.float32(107), k=3) == client.recommend(107, k=3)


def test_a_whole_number_may_be_given_as_text(client):
    assert client.recommend("107", k=3) == client.recommend(107, k=3)


@pytest.mark.parametrize("user", ["ann", "1.5", ""])
def test_a_text_where_the_data_has_whole_numbers_is_refused(client, user):
    with pytest.raises(UsageError, match=r"user ids of this data set are whole numbers"):
        client.recommend(user)


def test_a_number_too_large_for_an_id_is_refused_or_unknown(client):
    try:
        answer = client.recommend("99999999999999999999", k=1)
    except UsageError:
        return
    assert not answer.known_user


def test_whole_number_items_and_negative_ids(numbers, toy):
    answer = numbers.recommend(100, k=1000)
    expected = [int(item[-2:]) - 3 for item in unseen(toy, 1)]
    assert answer.item_ids == expected
    assert all(type(item) is int for item in answer.item_ids)
    assert numbers.recommend(100, k=2, exclude_ids=[str(expected[0])]).item_ids == expected[1:3]
    assert -1 in numbers.recommend(5, k=20).item_ids
    with pytest.raises(UsageError, match=r"item ids of this data set are whole numbers"):
        numbers.recommend(100, exclude_ids=["film-01"])


def test_a_history_is_scored_by_its_items_and_leaves_them_out(historian):
    answer = historian.recommend_from_history(["film-03", "film-04", "film-09"], k=4)
    assert answer.known_user is True
    assert answer.item_ids == ["film-05", "film-10", "film-06", "film-11"]
    assert answer.scores == [1.5, 1.0, 0.5, 0.5]
    again = historian.recommend_from_history(
        ["film-no", "film-04", "film-09", "film-03", "film-03"], k=2, exclude_ids=["film-05"]
    )
    assert again.item_ids == ["film-10", "film-06"]


def test_the_items_of_a_history_can_be_kept(toy, historian, tmp_path):
    kept = export_historian(toy, tmp_path, exclude_seen=False)
    history = ["film-03", "film-04"]
    assert kept.recommend_from_history(history, k=3).item_ids == ["film-05", "film-04", "film-06"]
    assert historian.recommend_from_history(history, k=2).item_ids == ["film-05", "film-06"]
    among = kept.recommend_among_from_history(history, ["film-04", "film-06"], k=2)
    assert among.item_ids == ["film-04", "film-06"]
    assert kept.recommend_from_history(history, k=2, exclude_ids=["film-05"]).item_ids == [
        "film-04",
        "film-06",
    ]


@pytest.mark.parametrize("history", [["film-no"], []])
def test_a_history_without_a_known_item_gets_popular_items(historian, toy, history):
    counts = toy.item_counts()
    order = sorted(range(1, 21), key=lambda item: (-counts[item], item))
    answer = historian.recommend_from_history(history, k=5)
    assert answer.known_user is False
    assert answer.item_ids == toy.items.decode(order[:5]).tolist()
    assert answer.scores == counts[order[:5]].tolist()


def test_a_model_with_a_vector_for_each_user_cannot_score_a_history(client):
    with pytest.raises(UsageError, match=r"'biased-mf' learns a vector for each user.*id of a user"):
        client.recommend_from_history(["film-03"])


def test_metadata_and_titles(client, numbers):
    assert client.metadata["model"] == "biased-mf"
    assert client.titles["film-04"] == "Film 4"
    assert numbers.titles == {}
