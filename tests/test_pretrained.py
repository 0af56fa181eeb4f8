import errno
import io
import json
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

import tfzoo
from tests.places import seed_of
from tests.zoo import quick
from tfzoo import pretrained, pretrained_build
from tfzoo.cli import main
from tfzoo.cli.common import reopen
from tfzoo.errors import TfzooError, UsageError
from tfzoo.files import write_text
from tfzoo.models import list_models
from tfzoo.runs import load_model
from tfzoo.training.recipe import list_recipes
from tfzoo.training.record import RunRecord

SHIPPED = sorted(folder.name for folder in pretrained.SHIPPED.iterdir() if folder.is_dir())
# One of each task by default; the others with --runslow.
MEASURED = quick(SHIPPED, ("pmf-ml-100k", "gmf-ml-100k", "mult-vae-ml-100k"))
SMALL = "pmf-ml-100k"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TFZOO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_several_families_come_with_the_package_within_twelve_megabytes():
    assert len(SHIPPED) >= 6
    assert set(SHIPPED) <= set(tfzoo.list_pretrained())
    size = sum(path.stat().st_size for path in pretrained.SHIPPED.rglob("*") if path.is_file())
    assert size <= 12e6


def test_the_catalogue_names_models_and_recipes_that_exist():
    for name in tfzoo.list_pretrained():
        entry = pretrained.pretrained_info(name)
        assert entry.name == name
        assert entry.model in list_models()
        assert entry.recipe in list_recipes(entry.model)
        assert entry.dataset in pretrained_build.DATA_LICENCES


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_say_where_they_come_from(name):
    folder, entry = pretrained.SHIPPED / name, pretrained.pretrained_info(name)
    provenance, record = pretrained.verify(folder), RunRecord.load(folder)
    assert provenance["name"] == name
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        *provenance["files"],
        pretrained.PROVENANCE,
    }
    assert (record.model, record.dataset, record.recipe["name"], record.seed) == (
        entry.model,
        entry.dataset,
        entry.recipe,
        entry.seed,
    )
    assert record.commit == provenance["commit"]
    assert not record.commit.endswith("-dirty")
    assert provenance["licence"]["data"] == pretrained_build.DATA_LICENCES[entry.dataset]
    assert all(len(checksum) == 64 for checksum in provenance["data"]["files"].values())


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_can_be_read_by_older_versions_of_keras(name):
    with zipfile.ZipFile(pretrained.SHIPPED / name / "model.keras") as archive:
        config = archive.read("config.json").decode()
    assert not any(setting in config for setting in pretrained_build.NEWER_SETTINGS)


@pytest.mark.parametrize("name", ["edrs-ml-100k", "mult-vae-ml-100k"])
def test_a_shipped_model_computes(name):
    model, (users, items) = tfzoo.load_pretrained(name, with_vocabulary=True)
    assert (len(users), len(items)) == (943, 1682)
    assert items.lookup([1, 1682, 5000]).tolist() == [1, 1682, 0]
    inputs = {key: np.ones((2, *value.shape[1:]), value.dtype) for key, value in model.input.items()}
    for output in model.predict(inputs, verbose=0).values():
        assert np.isfinite(output).all()
    assert not model.compiled


def test_only_the_model_is_given_unless_the_vocabulary_is_asked_for():
    assert isinstance(tfzoo.load_pretrained(SMALL), keras.Model)


def test_unknown_names_are_told_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'edrs-ml-100k'"):
        tfzoo.load_pretrained("edrs-ml100k")


def test_one_without_weights_here_says_how_to_get_them():
    with pytest.raises(UsageError, match="tfzoo pretrained build ease-ml-100k"):
        tfzoo.load_pretrained("ease-ml-100k")


def test_the_precision_of_the_caller_stays_and_is_not_taken():
    keras.config.set_dtype_policy("mixed_float16")
    model = tfzoo.load_pretrained(SMALL)
    assert keras.config.dtype_policy().name == "mixed_float16"
    assert {layer.compute_dtype for layer in model.layers if layer.weights} == {"float32"}


@pytest.mark.skipif(
    tuple(map(int, keras.__version__.split(".")[:2])) < (3, 12), reason="the graph is of a newer Keras"
)
@pytest.mark.parametrize("name", SHIPPED)
def test_building_from_code_gives_the_model_that_was_saved(name):
    """The graph of the file, which a new Keras can read, and that of the builder have the same weights."""
    built, saved = tfzoo.load_pretrained(name), load_model(pretrained.SHIPPED / name)
    assert [weight.shape for weight in built.weights] == [weight.shape for weight in saved.weights]
    for ours, theirs in zip(built.weights, saved.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize(
    "change", [{"builder": {"embedding_dim": 7}}, {"builder": {"no_such": 1}}, {"precision": "float33"}]
)
def test_weights_of_another_model_are_refused(copied, change):
    provenance = json.loads((copied / "provenance.json").read_text())
    write_text(copied / "provenance.json", json.dumps({**provenance, **change}))
    with pytest.raises(TfzooError, match="not of this version of tfzoo"):
        tfzoo.load_pretrained(SMALL)


@pytest.fixture
def copied(cache):
    """A copy of a shipped model where those lie that were built on this machine."""
    return shutil.copytree(pretrained.SHIPPED / SMALL, cache / "pretrained" / SMALL)


def test_what_was_built_here_stands_before_what_was_shipped(copied):
    assert pretrained.pretrained_folder(SMALL) == copied
    shutil.rmtree(copied)
    assert pretrained.pretrained_folder(SMALL) == pretrained.SHIPPED / SMALL


def test_one_changed_byte_is_noticed(copied):
    file = copied / "model.keras"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(
        TfzooError, match=r"damaged: model.keras has another checksum.*pretrained build"
    ) as error:
        tfzoo.load_pretrained(SMALL)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("file", ["model.keras", "vocabulary/items.txt", "provenance.json"])
def test_a_missing_file_is_noticed(copied, file):
    (copied / file).unlink()
    with pytest.raises(TfzooError, match=f"damaged: {file} is missing"):
        tfzoo.load_pretrained(SMALL)


@pytest.mark.parametrize("text", ["", "[]", '{"files": 3}', '{"files": {"model.keras": 3}}', "\x00"])
def test_an_unreadable_provenance_is_noticed(copied, text):
    write_text(copied / "provenance.json", text)
    with pytest.raises(TfzooError, match=r"provenance\.json is missing or cannot be read"):
        tfzoo.load_pretrained(SMALL)


@pytest.mark.parametrize("file", ["model.keras", "record.json", "vocabulary/types.json"])
def test_a_provenance_must_name_what_is_read(copied, file):
    provenance = json.loads((copied / "provenance.json").read_text())
    del provenance["files"][file]
    (copied / file).unlink()
    write_text(copied / "provenance.json", json.dumps(provenance))
    with pytest.raises(TfzooError, match=rf"provenance\.json does not name {file}\. Remove that folder"):
        tfzoo.load_pretrained(SMALL)


@pytest.fixture
def short(monkeypatch, toy):
    """Let pretrained models be built from the toy data, in one epoch."""
    load_recipe = pretrained_build.load_recipe

    def quick(*arguments):
        return load_recipe(*arguments, ["training.epochs=1"])

    monkeypatch.setattr(pretrained_build, "load_recipe", quick)
    monkeypatch.setattr(pretrained_build, "load_dataset", lambda name: toy)
    monkeypatch.setattr(pretrained_build, "data_checksums", lambda name: {"u.data": "0" * 64})


def test_building_writes_what_is_loaded(short, tmp_path, toy):
    record, folder = pretrained_build.build(SMALL, pretrained.built_folder(SMALL), tmp_path / "runs")
    assert record.timing["epochs"] == 1
    model, (users, items) = tfzoo.load_pretrained(SMALL, with_vocabulary=True)
    assert users == toy.users
    assert items == toy.items
    run = seed_of(tmp_path / "runs", "pmf-toy-tuned")
    pairs = {"user_id": toy.user_id, "item_id": toy.item_id}
    np.testing.assert_array_equal(
        model.predict(pairs, verbose=0)["rating"], load_model(run).predict(pairs, verbose=0)["rating"]
    )
    with zipfile.ZipFile(folder / "model.keras") as archive:
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    assert not list(weights.get("optimizer", {"vars": {}})["vars"])
    # Built again it takes the place of the first.
    before = json.loads((folder / "provenance.json").read_text())
    pretrained_build.build(SMALL, folder, tmp_path / "runs", resume=True)
    after = json.loads((folder / "provenance.json").read_text())
    assert before["files"].keys() == after["files"].keys()
    assert list(folder.parent.iterdir()) == [folder]


def test_a_disk_that_is_full_at_the_end_of_building_leaves_what_was_there(
    short, copied, tmp_path, monkeypatch
):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pretrained_build, "make_portable", full)
    with pytest.raises(OSError, match="No space left"):
        pretrained_build.build(SMALL, copied, tmp_path / "runs")
    assert pretrained.verify(copied) == pretrained.verify(pretrained.SHIPPED / SMALL)
    assert list(copied.parent.iterdir()) == [copied]


def test_building_does_not_replace_what_is_something_else(short, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("all of it")
    with pytest.raises(UsageError, match="is not the folder of a pretrained model"):
        pretrained_build.build(SMALL, tmp_path / "thesis", tmp_path / "runs")
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "all of it"
    assert not (tmp_path / "runs").exists()


def test_the_list_shows_figures_of_what_is_here(capsys, copied):
    (copied / "model.keras").write_bytes(b"")
    assert main(["pretrained", "list"]) == 0
    said = capsys.readouterr().out
    rows = {line.split()[1]: line for line in said.splitlines() if line.startswith("│")}
    figure = RunRecord.load(pretrained.SHIPPED / "edrs-ml-100k").metrics["test"]["rmse"]
    assert f"rmse {figure:.4f}" in rows["edrs-ml-100k"]
    assert "to be built" in rows["ease-ml-100k"]
    assert "damaged" in rows[SMALL]
    assert f"tfzoo pretrained build {SMALL}" in said


def test_building_an_unknown_one_is_wrong_use(capsys, tmp_path):
    assert main(["pretrained", "build", "edrs", "--runs", str(tmp_path / "runs")]) == 2
    assert "edrs-ml-100k, edrs-ml-1m" in capsys.readouterr().err


@pytest.mark.data
@pytest.mark.parametrize("name", MEASURED)
def test_shipped_weights_have_the_recorded_metrics(name):
    folder = pretrained.SHIPPED / name
    # Raises where the recipe or the data are no longer those of the record.
    experiment, record = reopen(folder, None)
    measured = experiment.evaluator(tfzoo.load_pretrained(name)).evaluate("test")
    recorded = record.metrics["test"]
    # Metrics that are newer than the record are no part of it.
    assert {name: measured[name] for name in recorded} == pytest.approx(recorded, rel=1e-4, abs=1e-5)
    files = json.loads((folder / pretrained.PROVENANCE).read_text())["data"]["files"]
    assert pretrained_build.data_checksums(record.dataset) == files
