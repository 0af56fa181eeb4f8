"""The gRPC client, against a service that answers as TensorFlow Serving's does, and a real one.

A real one is asked when ``TFZOO_TF_SERVING_GRPC=host:port`` names its gRPC interface and
``TFZOO_TF_SERVING_MODEL`` a model's folder, as in `test_rest_client`.
"""

import builtins
import os
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from tests.patience import PATIENCE
from tests.serving.served import LARGE, NUMBERS, TEXTS, export_numbers, export_texts
from tests.serving.test_rest_client import ask_both
from tfzoo.errors import TfzooError, UsageError
from tfzoo.serving.client import LocalClient
from tfzoo.serving.export import latest_version
from tfzoo.serving.grpc_client import GrpcClient


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers `Predict` and `GetModelMetadata` of version 1 of the models of a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.loaded = {name: tf.saved_model.load(str(folder / name / "1")) for name in (TEXTS, NUMBERS)}

    def GetModelMetadata(self, request, context):
        self._check(request, context)
        name = request.model_spec.name
        saved = saved_model_pb2.SavedModel.FromString((self.folder / name / "1/saved_model.pb").read_bytes())
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for key, signature in saved.meta_graphs[0].signature_def.items():
            signatures.signature_def[key].CopyFrom(signature)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.name = name
        answer.model_spec.version.value = 1
        answer.metadata["signature_def"].Pack(signatures)
        return answer

    def Predict(self, request, context):
        self._check(request, context)
        if self.folder is None:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too busy")
        ask = self.loaded[request.model_spec.name].signatures[request.model_spec.signature_name]
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        answer = predict_pb2.PredictResponse()
        for name, tensor in ask(**inputs).items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(tensor))
        return answer

    def _check(self, request, context):
        spec = request.model_spec
        if spec.name not in self.loaded or (spec.HasField("version") and spec.version.value != 1):
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {spec.name}")


@pytest.fixture(scope="module")
def service(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("grpc")
    export_texts(toy, folder)
    export_numbers(toy, folder)
    return Service(folder)


@pytest.fixture(scope="module")
def address(service):
    server = grpc.server(futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


@pytest.fixture(params=[TEXTS, NUMBERS])
def both(request, service, address):
    with GrpcClient(address, request.param) as client:
        yield client, LocalClient(service.folder / request.param / "1")


def test_every_question_is_answered_as_in_this_process(both):
    remote, local = both
    assert remote.signatures == local.signatures
    items = local.recommend(100, 20).item_ids
    for user in (100, "107", 5):
        for k in (1, 3, 1000):
            assert remote.recommend(user, k, items[:2]) == local.recommend(user, k, items[:2])
    assert remote.recommend_among(100, items[3:6], 2) == local.recommend_among(100, items[3:6], 2)
    assert remote.recommend_among(100, []).item_ids == []
    np.testing.assert_array_equal(
        remote.score([100] * len(items), items), local.score([100] * len(items), items)
    )
    ask_both(remote, local)


def test_histories(service, address):
    remote, local = GrpcClient(address, TEXTS, version=1), LocalClient(service.folder / TEXTS / "1")
    for history in ([], ["film-03"], ["film-05", "no such film", "film-01"]):
        assert remote.recommend_from_history(history, 20) == local.recommend_from_history(history, 20)
        among = (history, ["film-09", "film-10"])
        assert remote.recommend_among_from_history(*among) == local.recommend_among_from_history(*among)
    batch = {
        "history": [["film-01"], [], ["film-02", "film-03"]],
        "k": [1, 2, 3],
        "exclude_ids": [[], [], []],
    }
    found = remote.predict("recommend_from_history", batch)
    for name, array in local.predict("recommend_from_history", batch).items():
        np.testing.assert_array_equal(found[name], array)
    with pytest.raises(UsageError, match=rf"'{NUMBERS}' learns a vector for each user"):
        GrpcClient(address, NUMBERS).recommend_from_history([1])


def test_a_large_batch(service, address):
    """The answer has more than the 4 MiB that gRPC lets through by default."""
    rows = 30_000
    batch = {"user_id": [100] * rows, "k": [20] * rows, "exclude_ids": [[LARGE[0]]] * rows}
    answer = GrpcClient(address, NUMBERS, timeout=PATIENCE).predict("recommend", batch)
    assert answer["item_ids"].shape[0] == rows
    assert sum(array.nbytes for array in answer.values()) > 6 * 2**20


def test_without_rows(address):
    assert GrpcClient(address, NUMBERS).score([], []).shape == (0,)
    assert GrpcClient(address, TEXTS).score([], []).shape == (0,)


def test_a_model_or_version_that_is_not_there(address):
    with pytest.raises(UsageError, match=r"model 'no': NOT_FOUND: Servable not found for request: no"):
        GrpcClient(address, "no")
    with pytest.raises(UsageError, match="NOT_FOUND"):
        GrpcClient(address, TEXTS, version=2)


def test_an_error_of_the_server(service, address, monkeypatch):
    client = GrpcClient(address, TEXTS)
    monkeypatch.setattr(service, "folder", None)
    with pytest.raises(TfzooError, match="RESOURCE_EXHAUSTED: too busy") as caught:
        client.score([1], ["a"])
    assert not isinstance(caught.value, UsageError)


def test_nobody_there():
    with pytest.raises(TfzooError, match=r"127\.0\.0\.1:1, model 'm': UNAVAILABLE"):
        GrpcClient("127.0.0.1:1", "m", timeout=PATIENCE)


@pytest.mark.parametrize("missing", ["grpc", "tensorflow_serving.apis"])
def test_without_the_extra(monkeypatch, missing):
    found = builtins.__import__

    def without(name, *arguments):
        if name == missing:
            raise ModuleNotFoundError(name)
        return found(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'tfzoo\[grpc\]'"):
        GrpcClient("127.0.0.1:1", "m")


@pytest.mark.skipif(
    "TFZOO_TF_SERVING_GRPC" not in os.environ,
    reason="needs a TensorFlow Serving; set TFZOO_TF_SERVING_GRPC (see above)",
)
def test_a_real_tensorflow_serving():
    served = Path(os.environ["TFZOO_TF_SERVING_MODEL"])
    ask_both(
        GrpcClient(os.environ["TFZOO_TF_SERVING_GRPC"], served.name), LocalClient(latest_version(served))
    )
