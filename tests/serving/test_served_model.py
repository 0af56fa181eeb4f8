"""Versions of a served model: which one answers, and what is said of the others."""

import shutil
import time
from types import SimpleNamespace

import pytest
import tensorflow as tf

from tests.serving.listening import wait_until
from tests.serving.served import TEXTS, ask, predict, publish, serving
from tfzoo.serving import served_model
from tfzoo.serving.client import LocalClient
from tfzoo.serving.export import latest_version, versions
from tfzoo.serving.rest_client import RestClient
from tfzoo.serving.served_model import ServedModel, Version

MODEL = f"/v1/models/{TEXTS}"
QUESTION = {"signature_name": "recommend", "instances": [{"user_id": 100, "k": 2, "exclude_ids": []}]}


def best(address):
    return RestClient(address, TEXTS).recommend(100, 20)


def states(address):
    found = ask(address, "GET", MODEL)[1]["model_version_status"]
    return {state["version"]: (state["state"], state["status"]["error_message"]) for state in found}


def test_outputs_come_in_the_order_of_their_names(exports, monkeypatch):
    version = Version(TEXTS, 1, exports[0])
    outputs = {name: tf.constant([1]) for name in ("scores", "known_user", "item_ids")}
    loaded = SimpleNamespace(signatures={"recommend": lambda **inputs: outputs})
    monkeypatch.setattr(version, "_loaded", loaded)
    inputs = {"user_id": [100], "k": [2], "exclude_ids": [[""]]}
    assert list(version.predict("recommend", inputs)) == ["item_ids", "known_user", "scores"]


def test_a_new_version_takes_over(served_folder, exports):
    old, new = (LocalClient(export).recommend(100, 20) for export in exports)
    assert old != new
    lines = []
    with serving(served_folder, poll_seconds=0.05, report=lines.append) as (address, _):
        assert best(address) == old
        assert publish(exports[1], served_folder / TEXTS).name == "2"
        wait_until(lambda: states(address).get("2") == ("AVAILABLE", ""))
        assert best(address) == new
        assert states(address) == {"2": ("AVAILABLE", ""), "1": ("END", "")}
        assert ask(address, "GET", f"{MODEL}/metadata")[1]["model_spec"]["version"] == "2"
        assert ask(address, "POST", f"{MODEL}/versions/1:predict", b"{}")[0] == 404
        shutil.rmtree(served_folder / TEXTS / "2")
        wait_until(lambda: states(address).get("1") == ("AVAILABLE", ""))
        assert best(address) == old
    assert lines[0].startswith(f"Model '{TEXTS}': version 1 is served (")
    assert "warm-up requests" in lines[1]


def test_status_and_predictions_agree_where_versions_vanish(served_folder, exports):
    shutil.copytree(exports[1], served_folder / TEXTS / "2")
    with serving(served_folder) as (address, store):
        assert best(address) == LocalClient(exports[1]).recommend(100, 20)
        (served_folder / TEXTS / "1").rename(served_folder / "retired")
        store.refresh()
        assert states(address) == {"2": ("AVAILABLE", "")}
        # Without any version left, the last one answers, and says so.
        for gone in (served_folder / TEXTS / "2", served_folder / TEXTS):
            shutil.rmtree(gone)
            store.refresh()
            assert states(address) == {"2": ("AVAILABLE", "")}
            assert ask(address, "GET", f"{MODEL}/versions/2")[0] == 200
            assert ask(address, "POST", f"{MODEL}/versions/2:predict", b"{}")[0] == 400
            assert best(address) == LocalClient(exports[1]).recommend(100, 20)
        # An older one takes over, and nothing is said any more of the one that is gone.
        shutil.copytree(served_folder / "retired", served_folder / TEXTS / "1")
        store.refresh()
        assert states(address) == {"1": ("AVAILABLE", "")}
        for version, action in ((2, ""), (2, "/metadata")):
            assert ask(address, "GET", f"{MODEL}/versions/{version}{action}")[0] == 404
        assert best(address) == LocalClient(exports[0]).recommend(100, 20)


def test_what_is_available_is_what_answers_at_every_moment(tmp_path, monkeypatch):
    model, moments = None, []

    def look(*ignored):
        available = [number for number, state in model.seen.states.items() if state.name == "AVAILABLE"]
        answering = [] if model.seen.current is None else [model.seen.current.number]
        moments.append((available, answering))

    def load(name, number, folder):
        look()
        if number == 3:
            raise ValueError("broken")
        return SimpleNamespace(number=number)

    monkeypatch.setattr(served_model, "Version", load)
    model = ServedModel("m", tmp_path, look)
    for number in (1, 2, 3, 4):
        (tmp_path / str(number)).mkdir()
        model.refresh()
        look()
    for number in (4, 2, 1, 3):
        (tmp_path / str(number)).rmdir()
        model.refresh()
        look()
    assert len(moments) > 15
    assert [available for available, _ in moments] == [answering for _, answering in moments]
    assert {number for _, answering in moments for number in answering} == {1, 2, 4}


@pytest.mark.parametrize(
    ("names", "served"),
    [
        (["7", "999999999999999999"], "999999999999999999"),
        (["999999999999999999", "1000000000000000000"], "1000000000000000000"),
        ([f"{2**63 - 1}", "5"], f"{2**63 - 1}"),
        ([f"{2**63}", f"{2**64 + 9}", "9" * 30, "5"], "5"),
        (["00000000000000000000012", "5"], "00000000000000000000012"),
        # Of two names of one number, the one that sorts last, as in TensorFlow Serving.
        (["01", "1", "001"], "1"),
        (["010", "0010", "9"], "010"),
        (["-5", "+7", " 8", "1e3", "1_0", "٣", "0"], "0"),
    ],
)
def test_versions_are_numbers_of_64_bits(tmp_path, names, served):
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    found = versions(tmp_path)
    assert found[max(found)].name == served
    assert latest_version(tmp_path).name == served


def test_a_very_large_version_is_served_and_can_be_asked_for(served_folder, exports):
    number = 2**63 - 1
    shutil.copytree(exports[1], served_folder / TEXTS / str(number))
    with serving(served_folder) as (address, _):
        assert states(address) == {str(number): ("AVAILABLE", "")}
        assert ask(address, "POST", f"{MODEL}/versions/{number}:predict", b"{}")[0] == 400
        assert ask(address, "POST", f"{MODEL}/versions/1:predict", b"{}")[0] == 404


def test_a_broken_version_with_a_link_to_nothing(tmp_path):
    lines = []
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "variables").symlink_to(tmp_path / "nowhere")
    model = ServedModel("m", tmp_path, lines.append)
    for _ in range(3):
        model.refresh()
    assert len(lines) == 1
    assert "version 1 is broken" in lines[0]


def test_the_number_of_items_is_known_of_exports_alone(exports, tmp_path):
    assert Version(TEXTS, 1, exports[0]).num_items == 20
    module = tf.Module()
    module.call = tf.function(lambda x: {"y": x}, [tf.TensorSpec([None], tf.float32, "x")])
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": module.call})
    assert Version("other", 1, tmp_path / "1").num_items is None


def test_the_largest_number_is_served_whatever_else_lies_there(served_folder, exports):
    shutil.copytree(exports[1], served_folder / TEXTS / "10")
    for name in (".export-abc", "11.tmp", "latest", "²", "-12", "1e2", "9" * 19):
        shutil.copytree(exports[0], served_folder / TEXTS / name)
    (served_folder / TEXTS / "99").write_text("a file")
    (served_folder / "models.config").write_text("")
    (served_folder / ".hidden" / "1").mkdir(parents=True)
    (served_folder / "empty").mkdir()
    with serving(served_folder) as (address, store):
        assert set(store.models) == {TEXTS}
        assert states(address) == {"10": ("AVAILABLE", "")}
        assert best(address) == LocalClient(exports[1]).recommend(100, 20)


def test_a_broken_version_is_reported_and_the_one_before_answers(served_folder, exports):
    broken = served_folder / TEXTS / "2"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"\xff\xff no protocol buffer")
    lines = []
    with serving(served_folder, poll_seconds=0.05, report=lines.append) as (address, _):
        assert best(address) == LocalClient(exports[0]).recommend(100, 20)
        found = states(address)
        assert found["1"] == ("AVAILABLE", "")
        assert found["2"][0] == "END"
        assert found["2"][1]
        time.sleep(0.3)  # Some more polls, none of which may say it again.
        assert sum("version 2 is broken and not served" in line for line in lines) == 1
        # A copy that was not finished when it was first read.
        shutil.copytree(exports[1], broken, dirs_exist_ok=True)
        wait_until(lambda: states(address).get("2") == ("AVAILABLE", ""))
        assert best(address) == LocalClient(exports[1]).recommend(100, 20)


def test_a_version_whose_warm_up_fails_is_broken(served_folder, exports):
    shutil.copytree(exports[1], served_folder / TEXTS / "2")
    (served_folder / TEXTS / "2/assets.extra/tf_serving_warmup_requests").write_bytes(b"no records" * 10)
    with serving(served_folder) as (address, _):
        assert {version: state for version, (state, _) in states(address).items()} == {
            "1": "AVAILABLE",
            "2": "END",
        }


def test_an_export_without_warm_up_is_served(served_folder):
    (served_folder / TEXTS / "1/assets.extra/tf_serving_warmup_requests").unlink()
    with serving(served_folder) as (address, _):
        assert predict(address, QUESTION)[0] == 200
