"""Exports that several files ask."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.patience import PATIENCE
from tests.serving.cpp_replay import CannotCompileError, program
from tests.serving.keras_truth import ID_TYPES, INDEXED, RANKING_MODELS, UNTRAINED, export, small_model
from tests.serving.questions import Served
from tests.serving.served import TEXTS, export_numbers, export_texts
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.serving.grpc_client import GrpcClient
from tfzoo.serving.index import IndexSettings
from tfzoo.serving.rest_client import RestClient


@pytest.fixture(scope="session")
def train(toy):
    part = toy.take(np.flatnonzero((np.arange(len(toy)) < 200) & (toy.item_id != 6)))
    assert toy.items.lookup(UNTRAINED) == 6
    assert (np.delete(part.item_counts()[1:], 5) > 0).all()
    words = np.array(["a", "dull", "film", "with", "a", "good", "end", "and", "loud", "noise"], object)
    chosen = zip(part.user_id % 10, part.item_id % 10, part.user_id * part.item_id % 10, strict=True)
    text = np.array([" ".join(words[list(three)]) for three in chosen], object)
    return replace(part, text=text)


@pytest.fixture(scope="session")
def exported_models(train, model_names, tmp_path_factory):
    """Return models by their names, and the folders of their exports."""
    folder = tmp_path_factory.mktemp("exports")
    models = {name: small_model(name, train) for name in RANKING_MODELS if name in {*model_names, *INDEXED}}
    return models, {name: export(name, model, train, folder / name) for name, model in models.items()}


@pytest.fixture(scope="session")
def compiled_program():
    """Skip where the program cannot be compiled, but never where all tests must run."""
    stop = pytest.fail if os.environ.get("CI") else pytest.skip
    try:
        import tensorflow_serving.apis.prediction_log_pb2  # noqa: F401

        return program()
    except CannotCompileError as error:
        stop(str(error))
    except ImportError:
        stop("tensorflow-serving-api is not installed; there are no messages to ask with.")


@pytest.fixture(scope="session")
def served_models(compiled_program, exported_models, train):
    """Return the exports of `exported_models`."""
    models, folders = exported_models
    return {name: Served(name, models[name], train, folders[name]) for name in models}


@pytest.fixture(scope="session")
def served_by_id_types(compiled_program, train, tmp_path_factory):
    """Return exports whose ids are numbers, negative ones among them, and texts."""
    made = {}
    for name, (users, items) in ID_TYPES.items():
        vocabularies = {
            "users": {
                "string": Vocabulary(np.array([f"ünal {number:02d}" for number in range(30)])),
                "int64": Vocabulary(np.arange(30) * 7 - 5),
            }[users],
            "items": {"string": train.items, "int64": Vocabulary(np.array([*range(-9, 10), 2**62]))}[items],
        }
        data = replace(train, **vocabularies, item_features={})
        model = small_model(name, data)
        made[name] = Served(name, model, data, export(name, model, data, tmp_path_factory.mktemp(name)))
    return made


@pytest.fixture(scope="session")
def served_with_index(compiled_program, exported_models, train, tmp_path_factory):
    """Return exports that find items through each kind of index, all partitions looked at."""
    settings = IndexSettings("exact"), IndexSettings("ivf", partitions=4, probes=4)
    made = {}
    for name, index in zip(INDEXED, settings, strict=True):
        model = exported_models[0][name]
        version = export(name, model, train, tmp_path_factory.mktemp(index.kind), index=index)
        made[index.kind] = Served(name, model, train, version)
    return made


@pytest.fixture(scope="session")
def exports(toy, tmp_path_factory):
    """Return two versions of a model; beside the first one lies another model."""
    folder = tmp_path_factory.mktemp("exports")
    export_numbers(toy, folder / "first")
    return export_texts(toy, folder / "first", 1), export_texts(toy, folder / "second", 2)


@pytest.fixture
def served_folder(exports, tmp_path):
    """Return a folder with version 1 of one model, for tests that change it."""
    shutil.copytree(exports[0], tmp_path / TEXTS / "1")
    return tmp_path


@pytest.fixture(scope="session", autouse=True)
def _patient_clients():
    """Let clients wait long unless a test says otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        for client in (RestClient, GrpcClient):
            assert "timeout" in client.__init__.__kwdefaults__
            patch.setitem(client.__init__.__kwdefaults__, "timeout", PATIENCE)
        yield
