"""Folders of exported models: what is served of them, and what is told of the rest."""

import shutil
from types import SimpleNamespace

import pytest

from tests.serving.listening import wait_until
from tests.serving.served import NUMBERS, TEXTS, ask, predict, serving
from tfzoo.errors import UsageError
from tfzoo.serving import model_store, served_model
from tfzoo.serving.model_store import ModelStore

QUESTION = {"signature_name": "recommend", "instances": [{"user_id": 100, "k": 2, "exclude_ids": []}]}


def test_what_cannot_be_read_is_told_once_and_keeps_no_other_model_from_its_versions(tmp_path, monkeypatch):
    lines, honest = [], model_store.versions

    def read(folder):
        if folder.name in denied:
            raise PermissionError(13, "Permission denied", str(folder))
        return honest(folder)

    for module in (model_store, served_model):
        monkeypatch.setattr(module, "versions", read)
    monkeypatch.setattr(served_model, "Version", lambda name, number, folder: SimpleNamespace(number=number))
    for name in ("a", "b", "lost+found"):
        (tmp_path / name / "1").mkdir(parents=True)
    denied = {"lost+found"}
    store = ModelStore(tmp_path, (), lines.append)
    store.refresh()
    denied = {"lost+found", "a"}
    (tmp_path / "b" / "2").mkdir()
    for _ in range(3):
        store.refresh()
    assert {name: model.current.number for name, model in store.models.items()} == {"a": 1, "b": 2}
    told = [line for line in lines if line.startswith("Cannot look")]
    assert len(told) == len(set(told)) == 2
    denied = set()
    store.refresh()
    denied = {"a"}
    store.refresh()
    assert len([line for line in lines if line.startswith("Cannot look")]) == 3


def test_a_folder_that_is_away_is_told_once(tmp_path, monkeypatch):
    monkeypatch.setattr(served_model, "Version", lambda name, number, folder: SimpleNamespace(number=number))
    (tmp_path / "away" / "m" / "1").mkdir(parents=True)
    lines = []
    store = ModelStore(tmp_path / "away", ["m"], lines.append)
    store.refresh()
    polls = []

    def fail(*ignored):
        polls.append(1)
        raise OSError("stale file handle")

    monkeypatch.setattr(model_store, "find_models", fail)
    store.start(0.001)
    wait_until(lambda: len(polls) > 20)
    store.stop()
    assert [line for line in lines if "stale" in line] == ["Cannot look for new versions: stale file handle"]


def test_exports_for_other_runtimes_are_passed_over(served_folder):
    (served_folder / f"{TEXTS}-onnx" / "1").mkdir(parents=True)
    (served_folder / f"{TEXTS}-onnx" / "1" / "tfzoo.json").write_text("{}", encoding="utf-8")
    with serving(served_folder) as (address, _):
        assert ask(address, "GET", "/healthz")[0] == 200
        assert ask(address, "GET", f"/v1/models/{TEXTS}-onnx")[0] == 404


def test_health_tells_of_models_without_a_version(served_folder):
    (served_folder / "other" / "1").mkdir(parents=True)
    with serving(served_folder) as (address, _):
        assert ask(address, "GET", "/healthz") == (503, {"error": "No version is served of other."})
        status, answer = ask(address, "POST", "/v1/models/other:predict", b"{}")
        assert (status, answer["error"]) == (404, "Cannot ask any version of model 'other': none is served.")


def test_models_that_come_later_and_models_that_were_named(served_folder, exports):
    with (
        serving(served_folder, poll_seconds=0.05) as (open_address, _),
        serving(served_folder, poll_seconds=0.05, names=[TEXTS]) as (named_address, _),
    ):
        shutil.copytree(exports[0].parents[1] / NUMBERS, served_folder / NUMBERS)
        wait_until(lambda: predict(open_address, {**QUESTION}, NUMBERS)[0] == 200)
        assert ask(named_address, "GET", f"/v1/models/{NUMBERS}")[0] == 404


def test_a_folder_without_models(served_folder, tmp_path):
    def refresh(where, names=()):
        ModelStore(where, names, print).refresh()

    for empty in (tmp_path / "no", tmp_path / TEXTS / "1"):
        with pytest.raises(UsageError, match=r"There is no exported model in .*: expected MODEL/VERSION"):
            refresh(empty)
    with pytest.raises(UsageError, match=r"This is the folder of one model: name the one above"):
        refresh(tmp_path / TEXTS)
    with pytest.raises(UsageError, match=r"no model 'ease' in .*Did you mean 'ease-toy'"):
        refresh(served_folder, ["ease"])
