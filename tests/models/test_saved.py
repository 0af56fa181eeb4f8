"""`tfzoo.load_model` loads what was saved, and says what is missing."""

import json
import shutil
import zipfile

import keras
import numpy as np
import pytest

import tfzoo
from tests.zoo import build, call, random_inputs
from tfzoo.errors import TfzooError, UsageError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = build("biased-mf")
    path = tmp_path_factory.mktemp("saved") / "mf.keras"
    model.compile("adam", "mse")
    model.save(path)
    return path, model


def changed(saved, path, change, member="config.json"):
    """Write a copy whose member is changed by a function of its text."""
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            text = source.read(name)
            target.writestr(name, change(text.decode()) if name == member else text)
    return path


def test_a_model_is_loaded_as_it_was_saved(saved):
    path, model = saved
    inputs = random_inputs(model, 5)
    loaded = tfzoo.load_model(str(path))
    assert loaded.compiled
    assert not tfzoo.load_model(path, compile=False).compiled
    np.testing.assert_array_equal(call(loaded, inputs)["rating"], call(model, inputs)["rating"])


def test_a_file_that_is_not_there_names_the_nearest(saved, tmp_path):
    path, _ = saved
    with pytest.raises(UsageError, match=r"There is no file .*fm\.keras\. Did you mean 'mf\.keras'"):
        tfzoo.load_model(path.with_name("fm.keras"))
    with pytest.raises(UsageError, match=r"There is no file .*none\.keras\.$"):
        tfzoo.load_model(tmp_path / "no" / "none.keras")


def test_a_folder_names_the_model_in_it(saved, tmp_path):
    path, _ = saved
    with pytest.raises(UsageError, match=r"is a folder\. Its model is .*mf\.keras\.$"):
        tfzoo.load_model(path.parent)
    with pytest.raises(UsageError, match=r"is a folder without a file \.keras"):
        tfzoo.load_model(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(UsageError, match=r"export for serving: .*tf\.saved_model\.load"):
        tfzoo.load_model(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mf.weights.h5", "holds weights alone: build the model"),
        ("model.onnx", "is an export for ONNX"),
        ("checkpoint.npz", "state of a training"),
        ("model.bin", r"is not a file \.keras"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"1234")
    with pytest.raises(UsageError, match=message):
        tfzoo.load_model(tmp_path / name)


def test_a_damaged_file_is_named(saved, tmp_path):
    path, _ = saved
    half = tmp_path / "half.keras"
    half.write_bytes(path.read_bytes()[:500])
    with pytest.raises(TfzooError, match=r"half\.keras is damaged or is not a saved model.*config\.json"):
        tfzoo.load_model(half)
    other = tmp_path / "other.keras"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("text.txt", "no model")
    with pytest.raises(TfzooError, match=r"other\.keras is damaged or is not a saved model"):
        tfzoo.load_model(other)


def test_a_layer_of_another_version_is_named(saved, tmp_path):
    path = changed(saved[0], tmp_path / "new.keras", lambda text: text.replace("IdEmbedding", "IdEmbeding"))
    with pytest.raises(TfzooError, match=r"'tfzoo>IdEmbeding', which .*Did you mean 'IdEmbedding'"):
        tfzoo.load_model(path)


def test_the_version_of_keras_that_wrote_a_file_is_named(saved, tmp_path):
    path = changed(
        saved[0], tmp_path / "old.keras", lambda text: text.replace('"embeddings_initializer"', '"e"')
    )
    old = changed(
        path, tmp_path / "older.keras", lambda text: json.dumps({"keras_version": "3.0"}), "metadata.json"
    )
    with pytest.raises(
        TfzooError, match=rf"cannot be loaded: .*by Keras 3\.0; this is Keras {keras.__version__}"
    ):
        tfzoo.load_model(old)


PLUGIN = """
import keras

@keras.saving.register_keras_serializable("{package}")
class Gate(keras.layers.Layer):
    def call(self, values):
        return 3 * values
"""


def foreign(path, module, registered):
    """Save a model with a layer of another package, and forget the layer again."""
    scope = {}
    exec(PLUGIN.format(package=registered.partition(">")[0]), scope)
    scope["Gate"].__module__ = module
    inputs = keras.Input([2])
    keras.Model(inputs, scope["Gate"]()(inputs)).save(path)
    del keras.saving.get_custom_objects()[registered]
    return scope["Gate"]


def test_a_layer_of_another_package_is_named(tmp_path):
    path = tmp_path / "gate.keras"
    gate = foreign(path, "acme_not_there.layers", "acme>Gate")
    with pytest.raises(
        TfzooError, match=r"'acme>Gate' of the module 'acme_not_there\.layers'.*is not installed"
    ):
        tfzoo.load_model(path)
    loaded = tfzoo.load_model(path, custom_objects={"acme>Gate": gate})
    assert np.array_equal(loaded(np.ones([1, 2], "float32")), [[3, 3]])
    foreign(path, "json.tool", "acme>Gate")
    with pytest.raises(TfzooError, match=r"Import 'json\.tool' before"):
        tfzoo.load_model(path)
    foreign(path, "__main__", "Custom>Gate")
    with pytest.raises(
        TfzooError, match=r"Give it: load_model\(\.\.\., custom_objects=\{'Custom>Gate': \.\.\.\}\)"
    ):
        tfzoo.load_model(path)


def test_the_package_of_a_plug_in_is_imported(tmp_path, monkeypatch):
    path = tmp_path / "gate.keras"
    foreign(path, "gate_plugin", "gate_plugin>Gate")
    site = tmp_path / "site"
    metadata = site / "gate_plugin-1.0.dist-info"
    metadata.mkdir(parents=True)
    shutil.copy(__file__, metadata / "RECORD")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: gate-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[tfzoo.models]\ngate-model = gate_plugin\n")
    (site / "gate_plugin.py").write_text(
        PLUGIN.format(package="gate_plugin")
        + '''
from tfzoo.models import Paper, register_model

@register_model("gate-model", task="rating", paper=Paper("Me", "Mine", "Here", 2026))
def GateModel(num_users: int, num_items: int):
    """Build it."""
'''
    )
    monkeypatch.syspath_prepend(site)
    from tfzoo.models import registry

    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    assert np.array_equal(tfzoo.load_model(path)(np.ones([1, 2], "float32")), [[3, 3]])
