"""The settings of a server: as its own protocol buffers and YAML read them."""

import pytest
import yaml
from google.protobuf import text_format

from tfzoo.errors import TfzooError
from tfzoo.serving.deployment import BATCHING_CONFIG, COMPOSE, MODELS_CONFIG, write_deployment


@pytest.fixture
def folder(tmp_path):
    for name in ("gmf-ml-1m/2", "edrs-ml-100k/1", "edrs-ml-100k/10", 'odd "name"/3'):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "saved_model.pb").touch()
    for name in ("gmf-ml-1m-onnx/1", "²/²", "empty", "half/.export-x1", "notes/first"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "README.md").write_text("about", encoding="utf-8")
    return tmp_path


def test_models_config_lists_the_models_that_have_a_version(folder):
    config_pb2 = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    write_deployment(folder)
    text = (folder / MODELS_CONFIG).read_text(encoding="utf-8")
    models = text_format.Parse(text, config_pb2.ModelServerConfig()).model_config_list.config
    assert [model.name for model in models] == ["edrs-ml-100k", "gmf-ml-1m", 'odd "name"']
    assert [model.base_path for model in models] == [f"/models/{model.name}" for model in models]
    assert {model.model_platform for model in models} == {"tensorflow"}


def test_the_compose_file_names_files_that_are_there(folder):
    write_deployment(folder)
    service = yaml.safe_load((folder / COMPOSE).read_text(encoding="utf-8"))["services"]["tfzoo"]
    options = dict(option.removeprefix("--").partition("=")[::2] for option in service["command"])
    assert service["volumes"] == [".:/models:ro"]
    for option in ("model_config_file", "batching_parameters_file"):
        assert (folder / options[option].removeprefix("/models/")).is_file()
    assert "enable_batching" in options
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_batching_pads_rows_of_unequal_length(folder):
    write_deployment(folder)
    lines = (folder / BATCHING_CONFIG).read_text(encoding="utf-8").splitlines()
    assert "pad_variable_length_inputs: true" in lines
    assert "max_batch_size { value: 1024 }" in lines


def test_the_list_is_made_anew_and_changes_by_hand_are_kept(folder):
    write_deployment(folder)
    for name in (BATCHING_CONFIG, COMPOSE):
        (folder / name).write_text("mine", encoding="utf-8")
    (folder / "ease-ml-100k" / "1").mkdir(parents=True)
    (folder / "ease-ml-100k" / "1" / "saved_model.pb").touch()
    before = sorted(path.name for path in folder.iterdir())
    write_deployment(folder)
    assert '"ease-ml-100k"' in (folder / MODELS_CONFIG).read_text(encoding="utf-8")
    assert [(folder / name).read_text(encoding="utf-8") for name in (BATCHING_CONFIG, COMPOSE)] == [
        "mine"
    ] * 2
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(TfzooError, match=r"server's settings to .*nowhere"):
        write_deployment(tmp_path / "nowhere")
