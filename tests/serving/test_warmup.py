"""Warm-up requests: for every signature, answered by the export that carries them."""

import builtins

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import build
from tfzoo.data.splits import Split
from tfzoo.serving.export import export_saved_model
from tfzoo.serving.warmup import WARMUP_FILE, write_warmup
from tfzoo.tasks import get_task

prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")


def read(path):
    """Return signature and inputs of each request."""
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        yield request.model_spec.signature_name, inputs


@pytest.fixture(scope="module")
def version(toy, tmp_path_factory):
    model = build("ease", 3, 0.4, toy.num_users, toy.num_items)
    task = get_task("reconstruction")()
    scorer = task.scorer(model, task.features(model, Split(toy, toy, toy, ""), toy))
    folder = tmp_path_factory.mktemp("warm") / "ease-toy"
    return export_saved_model(model, scorer, toy, folder, metadata={})


def counted(train):
    return (train.users, train.user_counts()), (train.items, train.item_counts())


def test_every_signature_is_asked_alone_and_in_a_batch(version):
    sizes = {}
    for signature, inputs in read(version / "assets.extra" / WARMUP_FILE):
        assert len({len(values) for values in inputs.values()}) == 1
        sizes.setdefault(signature, []).append(len(next(iter(inputs.values()))))
    names = set(tf.saved_model.load(str(version)).signatures) - {"__saved_model_init_op"}
    assert {name: sorted(found) for name, found in sizes.items()} == {name: [1, 8] for name in names}


def test_every_request_is_answered_with_known_ids(version):
    signatures = tf.saved_model.load(str(version)).signatures
    for name, inputs in read(version / "assets.extra" / WARMUP_FILE):
        specs = signatures[name].structured_input_signature[1]
        assert inputs.keys() == specs.keys()
        answer = signatures[name](
            **{key: tf.constant(value, specs[key].dtype) for key, value in inputs.items()}
        )
        assert all(answer.get("known_user", np.array([True])))


def test_the_most_popular_ids_are_asked_for(version, toy):
    counts, users = toy.item_counts(), toy.user_counts()
    for name, inputs in read(version / "assets.extra" / WARMUP_FILE):
        if name == "serving_default" and len(inputs["user_id"]) == 1:
            assert counts[toy.items.lookup(inputs["item_id"][0].decode())] == counts.max()
            assert users[toy.users.lookup(inputs["user_id"][0])] == users.max()


def test_without_the_protocol_buffers_there_is_no_file(toy, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("tensorflow_serving"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert write_warmup(tmp_path, *counted(toy), reads_history=True) == 0
    assert list(tmp_path.iterdir()) == []


def test_fewer_items_than_a_request_has_are_asked_for_again(toy, tmp_path):
    small = toy.take(np.flatnonzero(toy.user_id == 1))
    assert write_warmup(tmp_path, *counted(small), reads_history=False) == 6
    users = [inputs["user_id"] for _, inputs in read(tmp_path / WARMUP_FILE)]
    assert {len(ids) for ids in users} == {1, 8}
