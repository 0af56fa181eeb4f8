"""Models and checkpoints that mean harm or are damaged: one error, and no code of theirs runs."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from tfzoo.errors import TfzooError
from tfzoo.runs import MODEL, load_model
from tfzoo.training.checkpoint import load_checkpoint


class Evil:
    """What a pickle would run."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.mark,)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.save(tmp_path / MODEL)
    return tmp_path


def rewritten(path: Path, member: str, content: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, old in members.items():
            archive.writestr(name, content if name == member else old)


def test_a_model_is_loaded(saved: Path) -> None:
    assert load_model(saved).count_params() == 3


def test_a_lambda_layer_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    source = keras.Input((2,))
    code = eval(f"lambda x: (__import__('os').mkdir({str(mark)!r}), x)[1]")
    model = keras.Model(source, keras.layers.Lambda(code)(source))
    model.save(tmp_path / MODEL)
    mark.rmdir()  # Building the layer has called it.
    with pytest.raises(TfzooError, match=r"cannot be loaded: .*[lL]ambda") as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)
    assert not mark.exists()
    # Without safe mode the code does run, so the test would notice.
    keras.saving.load_model(tmp_path / MODEL, safe_mode=False)
    assert mark.is_dir()


@pytest.mark.parametrize(
    "config",
    [
        b'{"module": "os", "class_name": "system", "config": {"command": "true"}, "registered_name": null}',
        b'{"module": "builtins", "class_name": "eval", "config": "1", "registered_name": null}',
        b'{"class_name": "function", "module": "os", "config": "system", "registered_name": "system"}',
        b"[" * 100_000,
        b"{}",
        b"\xff\xfe",
        b"",
    ],
)
def test_a_model_of_something_else_is_refused(saved: Path, config: bytes) -> None:
    rewritten(saved / MODEL, "config.json", config)
    with pytest.raises(TfzooError, match="cannot be loaded"):
        load_model(saved)


def test_a_damaged_model_is_refused(saved: Path) -> None:
    path = saved / MODEL
    whole = path.read_bytes()
    for damaged in (b"", whole[:-30], whole[: len(whole) // 2], b"\x80\x04." + whole[3:200]):
        path.write_bytes(damaged)
        with pytest.raises(TfzooError, match="cannot be loaded"):
            load_model(saved)
    path.write_bytes(whole)
    rewritten(path, "model.weights.h5", b"nothing of the kind")
    with pytest.raises(TfzooError, match="cannot be loaded"):
        load_model(saved)


def test_a_checkpoint_of_objects_is_refused_unread(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "checkpoint.npz"
    np.savez(path, meta=np.array([Evil(mark)], object))
    with pytest.raises(TfzooError, match=r"cannot be read \(Object arrays cannot be loaded"):
        load_checkpoint(path, "x")
    stream = io.BytesIO()
    pickle.dump(Evil(mark), stream)
    path.write_bytes(stream.getvalue())
    with pytest.raises(TfzooError, match=r"cannot be read \(This file contains pickled"):
        load_checkpoint(path, "x")
    assert not mark.exists()
    # The same bytes do harm where pickles are read, so the test would notice.
    pickle.loads(stream.getvalue())
    assert mark.is_dir()
