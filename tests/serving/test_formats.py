"""Exports for ONNX Runtime and LiteRT: every model in its own runtime, and what is refused."""

import configparser
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.patience import PATIENCE
from tests.serving.keras_truth import OPTIONS
from tests.serving.runtimes import EVERY_FORMAT, runner
from tests.zoo import NUM_ITEMS, NUM_USERS, build, call, random_inputs, sampled, table, task_of
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import TfzooError, UsageError
from tfzoo.models import list_models
from tfzoo.serving import formats
from tfzoo.serving.formats import FORMATS, export_to_format, get_format

BATCHES = (1, 3)
UNTRAINED_ITEM = 4

ONNX_RUNTIME = """
import onnxruntime

def run(file, batches):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), session.get_outputs()
    names = [[value.name for value in values] for values in (inputs, outputs)]
    types = {"tensor(int32)": "int32", "tensor(float)": "float32"}
    described = [[[types[value.type], value.shape] for value in values] for values in (inputs, outputs)]
    return names, described, [dict(zip(names[1], session.run(None, batch))) for batch in batches]
"""
LITERT = """
from ai_edge_litert.interpreter import Interpreter

def run(file, batches):
    runner = Interpreter(file).get_signature_runner("serving_default")
    details = runner.get_input_details(), runner.get_output_details()
    names = Interpreter(file).get_signature_list()["serving_default"]
    names = [names["inputs"], names["outputs"]]
    described = [
        [[value[name]["dtype"].__name__, value[name]["shape_signature"].tolist()] for name in order]
        for value, order in zip(details, names)
    ]
    return names, described, [runner(**batch) for batch in batches]
"""
FRESH_PROCESS = """
import json, sys
import numpy as np

for line in sys.stdin:
    file, *given, answer = json.loads(line)
    names, described, found = run(file, [dict(np.load(path)) for path in given])
    arrays = {f"{number}/{name}": value for number, row in enumerate(found) for name, value in row.items()}
    np.savez(answer, **arrays)
    print(json.dumps([names, described]))
assert not {"tensorflow", "keras", "tfzoo"} & set(sys.modules)
"""
BATCH_DIMENSION = {"onnx": "batch", "litert": -1}


@pytest.fixture(scope="module")
def train():
    """Seven users, five items of which one is in no interaction."""
    users, items = np.divmod(np.arange(NUM_USERS * NUM_ITEMS), NUM_ITEMS)
    rows = (items + 1 != UNTRAINED_ITEM) & ((users + items) % 3 > 0)
    rating = np.arange(rows.sum()) % 5 + 1
    return table(users[rows] + 1, items[rows] + 1, rating, num_users=NUM_USERS, num_items=NUM_ITEMS)


@pytest.fixture(scope="module")
def models(model_names):
    return {name: build(name, 3, 0.4, **OPTIONS.get(name, {})) for name in (*model_names, "pmf")}


@pytest.fixture(scope="module", params=EVERY_FORMAT)
def found(request, models, model_names, train, tmp_path_factory):
    """Export the models and have a process without TensorFlow ask it.

    Returns, by model, the folder, the runtime's names, types and shapes, inputs and answers.
    """
    folder = tmp_path_factory.mktemp(request.param)
    lines, results = [], {}
    for name in model_names:
        version = export_to_format(models[name], train, folder / name, request.param, metadata={})
        batches = [random_inputs(models[name], size, seed=size) for size in BATCHES]
        given = [str(version / f"{size}.npz") for size in BATCHES]
        for path, batch in zip(given, batches, strict=True):
            np.savez(path, **{key: value.numpy() for key, value in batch.items()})
        answer = version / "answer.npz"
        lines.append(json.dumps([str(version / FORMATS[request.param].file), *given, str(answer)]))
        results[name] = version, batches, answer
    runtime = {"onnx": ONNX_RUNTIME, "litert": LITERT}[request.param]
    done = subprocess.run(
        [sys.executable, "-c", runtime + FRESH_PROCESS],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return request.param, {
        name: {"version": version, "told": what, "batches": batches, "answer": np.load(answer)}
        for (name, (version, batches, answer)), what in zip(results.items(), told, strict=True)
    }


def metadata_of(version):
    return json.loads((version / "tfzoo.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sampled(list_models()))
def test_outputs_are_those_of_keras(found, models, name):
    result = found[1][name]
    for number, batch in enumerate(result["batches"]):
        for key, expected in call(models[name], batch).items():
            renamed = f"next_{key}" if key in models[name].input else key
            values = result["answer"][f"{number}/{renamed}"]
            assert values.dtype == np.float32
            assert values.shape == expected.shape
            scale = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5 * scale)
            assert np.ptp(values) > 1e-3 or values.size == 1


@pytest.mark.parametrize("name", sampled(list_models()))
def test_the_metadata_agrees_with_the_runtime(found, models, name):
    format_name, results = found
    metadata = metadata_of(results[name]["version"])
    names, described = results[name]["told"]
    sides = metadata["inputs"], metadata["outputs"]
    assert [[tensor["name"] for tensor in side] for side in sides] == names
    batch = BATCH_DIMENSION[format_name]
    expected = [[[t["dtype"], [batch, *t["shape"][1:]]] for t in side] for side in sides]
    assert described == expected
    assert all(tensor["shape"][0] is None for side in sides for tensor in side)
    assert all(tensor["meaning"] for side in sides for tensor in side)
    assert {tensor["name"]: tensor["dtype"] for tensor in sides[0]} == {
        tensor.name: tensor.dtype for tensor in models[name].inputs
    }
    (row,) = [t["meaning"] for t in sides[0] if t["name"] == "user_row"] or [None]
    if row is not None:
        assert row.startswith("the rating" if task_of(name) == "rating" else "1 at")


def test_a_session_is_carried_through_the_states(found, models):
    format_name, results = found
    file = results["gru4rec"]["version"] / FORMATS[format_name].file
    ask = runner(format_name, file)
    states = {"state_0": np.zeros((1, 6), np.float32), "state_1": np.zeros((1, 4), np.float32)}
    expected = dict(states)
    for event in (2, 5, 1):
        item = np.array([event], np.int32)
        found_now = ask({"item_id": item, **states})
        states = {key: found_now[f"next_{key}"] for key in states}
        keras_now = call(models["gru4rec"], {"item_id": item, **expected})
        expected = {key: keras_now[key] for key in expected}
        np.testing.assert_allclose(found_now["scores"], keras_now["scores"], rtol=0, atol=1e-5)
    assert np.abs(states["state_1"]).max() > 1e-2


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_what_is_written(models, toy, tmp_path, name):
    part = toy.take(np.flatnonzero(toy.item_id != 6))
    model = build("pmf", 3, 0.4, part.num_users, part.num_items)
    folder = tmp_path / "exports" / f"pmf-toy-{name}"
    given = {"model": "pmf", "metrics": {"test": {"rmse": 0.9}}, "versions": {"keras": "3.6.0"}}
    version = export_to_format(model, part, folder, name, metadata=given)
    assert version == folder / "1"
    files = {FORMATS[name].file, "items.txt", "tfzoo.json", "titles.json", "users.txt"}
    assert {path.name for path in version.iterdir()} == files
    metadata = metadata_of(version)
    assert {key: metadata[key] for key in given} == given
    assert (metadata["format"], metadata["file"]) == (name, FORMATS[name].file)
    assert metadata["export_versions"]["keras"] == keras.__version__
    assert set(FORMATS[name].packages) <= set(metadata["export_versions"])
    assert metadata["untrained_items"] == [6]
    assert metadata["vocabularies"] == {
        "users": {"dtype": "int64", "count": 30},
        "items": {"dtype": "string", "count": 20},
    }
    if name == "onnx":
        assert metadata["opset"] >= 15
    for column, vocabulary in (("users", part.users), ("items", part.items)):
        assert Vocabulary.load(version / f"{column}.txt", vocabulary.dtype) == vocabulary
    lines = {side: (version / f"{side}s.txt").read_text().splitlines() for side in ("user", "item")}
    ids = {
        "user_id": [lines["user"].index("107") + 1, 0],
        "item_id": [lines["item"].index("film-19") + 1, 0],
    }
    found = runner(name, version / FORMATS[name].file)({k: np.array(v, np.int32) for k, v in ids.items()})
    users, items = part.users.lookup([107, 1]), part.items.lookup(["film-19", "none"])
    expected = call(model, {"user_id": tf.constant(users), "item_id": tf.constant(items)})["rating"]
    np.testing.assert_allclose(found["rating"], expected, rtol=0, atol=1e-5)


def test_versions_count_up_and_a_failure_leaves_nothing_behind(models, train, tmp_path):
    folder = tmp_path / "exports" / "pmf-table-onnx"
    with pytest.raises(TypeError):
        export_to_format(models["pmf"], train, folder, "onnx", metadata={"wrong": object()})
    assert list(tmp_path.iterdir()) == []
    assert export_to_format(models["pmf"], train, folder, "onnx", metadata={}) == folder / "1"
    first = (folder / "1" / "model.onnx").read_bytes()
    with pytest.raises(TypeError):
        export_to_format(models["pmf"], train, folder, "onnx", metadata={"wrong": object()})
    assert [path.name for path in folder.iterdir()] == ["1"]
    assert export_to_format(models["pmf"], train, folder, "onnx", metadata={}) == folder / "2"
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]
    assert (folder / "1" / "model.onnx").read_bytes() == first


def with_sign_bit():
    """Build a model with an operation that neither format has."""
    row = keras.Input((6,), dtype="float32", name="user_row")
    signs = keras.ops.cast(keras.ops.signbit(row), "float32")
    return keras.Model({"user_row": row}, {"scores": row + signs}, name="signs")


@pytest.mark.parametrize("format_name", EVERY_FORMAT)
def test_a_model_with_an_operation_that_a_format_lacks_is_refused(train, tmp_path, format_name):
    model = with_sign_bit()
    with pytest.raises(UsageError) as error:
        export_to_format(model, train, tmp_path / "refused", format_name, metadata={})
    title = FORMATS[format_name].title
    expected = f"The model cannot be exported as {title}, which has no equivalent of the operations "
    assert str(error.value).startswith(expected)
    assert "Bitcast" in str(error.value) or "BitwiseAnd" in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("Export it with --format tf_saved_model.")
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_converter_that_is_not_about_operations_is_not_hidden(
    models, train, tmp_path, monkeypatch
):
    def fails(*arguments, **options):
        raise RuntimeError("TF Select ops: something else\n")

    monkeypatch.setattr(keras.Model, "export", fails)
    with pytest.raises(RuntimeError, match="something else"):
        export_to_format(models["pmf"], train, tmp_path / "broken", "litert", metadata={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", EVERY_FORMAT)
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_a_model_of_another_precision_is_refused(train, tmp_path, name, precision):
    keras.config.set_dtype_policy(precision)
    with pytest.raises(UsageError, match=f"trained with precision {precision}, .* --precision float32"):
        export_to_format(build("edrs"), train, tmp_path / "mixed", name, metadata={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_not_exported(train, tmp_path, value):
    model = build("pmf")
    model.weights[0].assign(np.full(model.weights[0].shape, value))
    with pytest.raises(TfzooError, match="not finite"):
        export_to_format(model, train, tmp_path / "broken", "onnx", metadata={})
    assert list(tmp_path.iterdir()) == []


def test_weights_that_a_file_cannot_hold_are_refused(models, train, tmp_path, monkeypatch):
    size = sum(weight.numpy().nbytes for weight in models["pmf"].weights)
    monkeypatch.setattr(formats, "MAX_WEIGHT_BYTES", size - 1)
    with pytest.raises(UsageError, match=f"take {size:,} bytes, .* at most {size - 1:,}"):
        export_to_format(models["pmf"], train, tmp_path / "large", "litert", metadata={})
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(formats, "MAX_WEIGHT_BYTES", size)
    assert export_to_format(models["pmf"], train, tmp_path / "large", "litert", metadata={}).is_dir()


@pytest.mark.parametrize("package", FORMATS["onnx"].packages)
def test_a_missing_package_is_named_with_the_extra_that_installs_it(
    models, train, tmp_path, monkeypatch, package
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"needs the package '{package}': .* 'tfzoo\[onnx\]'$"):
        export_to_format(models["pmf"], train, tmp_path / "missing", "onnx", metadata={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "old", "first"), [("onnx", "3.7.0", "3.8"), ("litert", "3.12.1", "3.13")])
def test_an_old_keras_is_refused(monkeypatch, name, old, first):
    monkeypatch.setattr(keras, "__version__", old)
    with pytest.raises(UsageError, match=rf"needs Keras {first} or newer, not {old}\. .*'tfzoo\[{name}\]'$"):
        get_format(name)
    monkeypatch.setattr(keras, "__version__", f"{first}.0")
    assert get_format(name).name == name


def test_an_unknown_format_is_refused():
    with pytest.raises(UsageError, match=r"There is no format 'onx'. Did you mean 'onnx'\?"):
        get_format("onx")


def test_a_folder_that_cannot_be_written_is_one_clear_error(models, train, tmp_path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(TfzooError, match=r"Cannot write the export to .*file"):
        export_to_format(models["pmf"], train, tmp_path / "file" / "pmf-table-onnx", "onnx", metadata={})
    assert (tmp_path / "file").read_text(encoding="utf-8") == "not a folder"


def test_every_format_has_an_extra_with_its_packages():
    settings = configparser.ConfigParser()
    settings.read(Path(__file__).parents[2] / "setup.cfg")
    extras = settings["options.extras_require"]
    for name, chosen in FORMATS.items():
        lines = extras[name].split()
        assert f"keras>={'.'.join(map(str, chosen.keras_version))}" in lines
        assert set(chosen.packages) <= {line.partition(">=")[0] for line in lines}


def test_loops_of_recurrent_layers_become_steps_for_litert(train, tmp_path):
    model = build("gru", 3, 0.4)
    version = export_to_format(model, train, tmp_path / "gru", "litert", metadata={})
    inputs = random_inputs(model, 3)
    found = runner("litert", version / "model.tflite")({key: value.numpy() for key, value in inputs.items()})
    for key, expected in call(model, inputs).items():
        np.testing.assert_allclose(found[key], expected, rtol=0, atol=1e-5)
    assert not model.get_layer("recurrent_1").unroll
