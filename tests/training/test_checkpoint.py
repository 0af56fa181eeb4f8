"""Checkpoints: complete or absent, and refused where they do not fit."""

import json
import zipfile

import keras
import numpy as np
import pytest

from tfzoo.errors import TfzooError
from tfzoo.files import write_atomically
from tfzoo.training.checkpoint import (
    TrainingState,
    load_checkpoint,
    save_checkpoint,
    save_model,
)

STATE = TrainingState(
    epoch=3, best_epoch=2, best_value=0.75, seconds=1.5, history=[{"loss": 1.0, "val_rmse": 0.9}] * 3
)


def groups():
    return {
        "model": [np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, 2], np.uint32)],
        "optimizer": [np.array(7, np.int64), np.array([0.1], np.float64)],
        "averages": [],
    }


def test_round_trip(tmp_path):
    path = tmp_path / "below" / "checkpoint.npz"
    save_checkpoint(path, STATE, groups(), "abc")
    state, loaded = load_checkpoint(path, "abc")
    assert state == STATE
    assert loaded.keys() == groups().keys()
    for name, arrays in groups().items():
        assert len(loaded[name]) == len(arrays)
        for got, expected in zip(loaded[name], arrays, strict=True):
            np.testing.assert_array_equal(got, expected)
            assert got.dtype == expected.dtype
            assert got.shape == expected.shape
    assert [entry.name for entry in path.parent.iterdir()] == ["checkpoint.npz"]


def test_round_trip_of_a_state_without_a_best_epoch(tmp_path):
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, TrainingState(), {}, "")
    state, loaded = load_checkpoint(path, "")
    assert state == TrainingState()
    assert state.best_value == float("inf")
    assert loaded == {}


def test_more_than_ten_arrays_keep_their_order(tmp_path):
    path = tmp_path / "checkpoint.npz"
    arrays = [np.array([i]) for i in range(25)]
    save_checkpoint(path, STATE, {"model": arrays}, "")
    _, loaded = load_checkpoint(path, "")
    assert [int(array[0]) for array in loaded["model"]] == list(range(25))


@pytest.mark.parametrize("error", [RuntimeError("disk full"), KeyboardInterrupt()])
def test_a_failing_writer_leaves_nothing(tmp_path, error):
    def write(file):
        file.write(b"half")
        raise error

    with pytest.raises(type(error)):
        write_atomically(tmp_path / "file.bin", write)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.bin"
    write_atomically(path, lambda file: file.write(b"old"))

    def write(file):
        file.write(b"new, but only half of it")
        file.flush()
        assert path.read_bytes() == b"old"
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, write)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_replaces_the_old_file(tmp_path):
    path = tmp_path / "file.bin"
    write_atomically(path, lambda file: file.write(b"a long old text"))
    write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_that_cannot_be_written_keeps_the_old_one(tmp_path):
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, STATE, groups(), "abc")
    with pytest.raises(TypeError):
        save_checkpoint(path, TrainingState(history=[{"loss": object()}]), groups(), "abc")
    assert load_checkpoint(path, "abc")[0] == STATE
    assert list(tmp_path.iterdir()) == [path]


def test_damage_is_reported(tmp_path):
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, STATE, groups(), "abc")
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 0xFF
    for damaged in (whole[: len(whole) // 2], b"", b"not a zip file", bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(TfzooError, match=r"checkpoint.npz cannot be read .*without --resume"):
            load_checkpoint(path, "abc")


def test_an_archive_without_the_state_is_reported(tmp_path):
    path = tmp_path / "checkpoint.npz"
    np.savez(path, other=np.arange(3))
    with pytest.raises(TfzooError, match="cannot be read"):
        load_checkpoint(path, "abc")


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, STATE, groups(), "abc")
    with pytest.raises(TfzooError, match="other settings or other data"):
        load_checkpoint(path, "abd")


def test_no_pickle_is_written(tmp_path):
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, STATE, groups(), "abc")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert all(name.endswith(".npy") for name in archive.namelist())
    with np.load(path, allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)
        assert json.loads(str(archive["meta"]))["fingerprint"] == "abc"


def test_no_pickle_is_read(tmp_path):
    path = tmp_path / "checkpoint.npz"
    meta = json.dumps({"state": {}, "fingerprint": "abc", "sizes": {"model": 1}})
    np.savez(path, allow_pickle=True, meta=np.array(meta), **{"model/0": np.array([print], object)})
    with pytest.raises(TfzooError, match="allow_pickle"):
        load_checkpoint(path, "abc")


def test_a_model_is_saved_whole_or_not_at_all(tmp_path, monkeypatch):
    inputs = keras.Input((2,), dtype="float32")
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    path = tmp_path / "run" / "model.keras"
    save_model(model, path)
    assert [entry.name for entry in path.parent.iterdir()] == ["model.keras"]
    loaded = keras.saving.load_model(path)
    data = np.array([[1.0, 2.0]], np.float32)
    np.testing.assert_array_equal(loaded(data), model(data))

    before = path.read_bytes()

    def fail(target, **_):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(model, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_model(model, path)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["model.keras"]
