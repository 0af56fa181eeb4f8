"""Exports of models of clicks: raw values by name in, the probability that Keras gives out."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.serving.served import ask, serving
from tfzoo.data.click_log import Category, ClickLog
from tfzoo.data.splits import Split
from tfzoo.errors import TfzooError, UsageError
from tfzoo.models import create_model
from tfzoo.serving.click_export import export_click_model, input_names
from tfzoo.serving.client import LocalClient
from tfzoo.tasks.clicks import ClickTask

SITES, HOURS = np.array(["a", "b", "c"]), np.array([7, 8])
PRICES = np.array([1.0, np.nan, 3.0, 5.0], np.float32)
NAME = "clicks"


def log():
    rows = np.arange(12)
    columns = {"the site": Category.of(SITES[rows % 3]), "hour": Category.of(HOURS[rows % 2])}
    return ClickLog(rows % 2, columns, {"price": PRICES[rows % 4]})


def model_of(train, **sizes):
    keras.utils.set_random_seed(0)
    options = {"embedding_dim": 3, "hidden_units": (5,), "initial_stddev": 1.0, **sizes}
    model = create_model("deepfm-click", 1, 1, **options)
    task = ClickTask()
    return model, task.scorer(model, task.features(model, Split(train, train, train, ""), train))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    train = log()
    model, scorer = model_of(train, field_sizes=(4, 3), dense_size=2)
    folder = tmp_path_factory.mktemp("models") / NAME
    return model, export_click_model(model, scorer, train, folder, metadata={"model": "deepfm-click"})


# Of values that training lacks, and of none, all have row 0; so do missing numbers, which are marked.
REQUEST = {"the_site": ["a", "c", "new", ""], "hour": [8, 7, 99, 7], "price": [3.0, 5.0, np.nan, np.inf]}
FIELDS = [[1, 2], [3, 1], [0, 0], [0, 1]]


def expected(model):
    known = np.array([1, 3, 5])
    scaled = [(price - known.mean()) / known.std() for price in (3.0, 5.0)]
    dense = np.array([[scaled[0], 0], [scaled[1], 0], [0, 1], [0, 1]], np.float32)
    return model({"fields": np.array(FIELDS), "dense": dense})["click"].numpy()


def test_raw_values_have_the_output_of_keras(exported):
    model, version = exported
    found = LocalClient(version).predict("serving_default", REQUEST)
    np.testing.assert_allclose(found["click"], expected(model), rtol=1e-5)
    assert np.ptp(found["click"]) > 1e-3


def test_the_signature_names_types_and_columns(exported):
    signature = LocalClient(exported[1]).signatures["serving_default"]
    assert {name: info.dtype for name, info in signature.inputs.items()} == {
        "the_site": "string",
        "hour": "int64",
        "price": "float32",
    }
    described = json.loads((exported[1] / "assets.extra" / "tfzoo.json").read_text())
    assert [one["column"] for one in described["fields"]] == ["the site", "hour", "price"]
    assert [one["input"] for one in described["fields"]] == ["the_site", "hour", "price"]
    assert set(LocalClient(exported[1]).signatures) == {"serving_default"}


def test_the_server_answers_rows_and_columns(exported):
    model, version = exported
    rows = [dict(zip(REQUEST, values, strict=True)) for values in zip(*REQUEST.values(), strict=True)]
    with serving(version.parents[1]) as (address, _):
        path = f"/v1/models/{NAME}:predict"
        for body, key in (({"instances": rows}, "predictions"), ({"inputs": REQUEST}, "outputs")):
            status, answer = ask(address, "POST", path, json.dumps(body))
            assert status == 200
            np.testing.assert_allclose(answer[key], expected(model), rtol=1e-5)
        status, answer = ask(address, "POST", path, json.dumps({"instances": [{"hour": 7}]}))
        assert status == 400


def test_warm_up_requests_are_of_the_training_part(exported):
    pytest.importorskip("tensorflow_serving")
    from tensorflow_serving.apis import prediction_log_pb2

    path = str(exported[1] / "assets.extra" / "tf_serving_warmup_requests")
    requests = [
        prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        for record in tf.data.TFRecordDataset(path).as_numpy_iterator()
    ]
    sites = [tf.make_ndarray(request.inputs["the_site"]).tolist() for request in requests]
    assert sites == [[b"a"], [b"a", b"b", b"c", b"a", b"b", b"c", b"a", b"b"]]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"the_site": ["a"], "hour": [7]}, "takes hour, price, the_site"),
        ({**REQUEST, "hour": [7]}, "same number of rows"),
        ({**REQUEST, "hour": ["x"] * 4}, "'hour' takes whole numbers of type int64. Received 'x'"),
    ],
)
def test_wrong_requests_are_told_what_is_expected(exported, inputs, message):
    with pytest.raises(UsageError, match=message):
        LocalClient(exported[1]).predict("serving_default", inputs)


def test_there_are_no_lists(exported):
    with pytest.raises(UsageError, match="no signature 'recommend'"):
        LocalClient(exported[1]).recommend(1)


@pytest.mark.parametrize("kind", ["categories", "numbers"])
def test_a_log_may_have_columns_of_one_kind(tmp_path, kind):
    train = replace(log(), **{kind: {}})
    sizes = {"field_sizes": (), "dense_size": 2} if kind == "categories" else {"field_sizes": (4, 3)}
    model, scorer = model_of(train, **sizes)
    version = export_click_model(model, scorer, train, tmp_path / NAME, metadata={})
    client = LocalClient(version)
    asked = {name: REQUEST[name] for name in client.signatures["serving_default"].inputs}
    (given,) = model.input
    dense = (
        scorer.features.scale_numbers(tf.constant(REQUEST["price"])[:, tf.newaxis])
        if given == "dense"
        else None
    )
    truth = model({given: np.array(FIELDS) if dense is None else dense})["click"]
    np.testing.assert_allclose(client.predict("serving_default", asked)["click"], truth, rtol=1e-5)


def test_weights_that_are_no_numbers_are_not_exported(tmp_path):
    train = log()
    model, scorer = model_of(train, field_sizes=(4, 3), dense_size=2)
    model.get_layer("bias").bias.assign([np.nan])
    with pytest.raises(TfzooError, match="not finite"):
        export_click_model(model, scorer, train, tmp_path / NAME, metadata={})
    assert not (tmp_path / NAME).exists()


def test_names_of_columns_become_names_of_inputs():
    columns = ["site", "the site", "the-site", "Site", "1", "größe", "_x"]
    names = input_names(columns)
    assert names == ["site", "the_site", "the_site_2", "Site_2", "field_1", "gr__e", "field__x"]
    assert len({name.lower() for name in names}) == len(columns)
