"""Run records: a round trip through their file, and one clear error where there is none."""

import json

import pytest

from tfzoo.errors import TfzooError
from tfzoo.training.record import FILE_NAME, RunRecord, environment


def record(**changes):
    values = {
        "model": "pmf",
        "task": "rating",
        "dataset": "toy",
        "data": {"dataset": "toy"},
        "protocol": "random 70/15/15, seed 0",
        "recipe": {"name": "paper", "training": {"epochs": 2}},
        "seed": 0,
        "fingerprint": "abc",
        "parameters": 12,
        "metrics": {"test": {"rmse": 0.1 + 0.2}},
        "headline": "rmse is clipped",
        "best_epoch": 1,
        "paper": None,
        "history": [{"loss": 1.0, "val_rmse": 0.5}],
        "timing": {"train_seconds": 1.25},
        "peak_memory_mb": None,
        "precision": "float32",
        "hardware": {"machine": "x86_64", "cpus": 2, "gpus": []},
        "versions": {"keras": "3.15.0"},
        "commit": None,
    }
    return RunRecord(**{**values, **changes})


def test_round_trip_by_folder_and_by_file(tmp_path):
    written = record(paper={"source": "Tablé 1", "metrics": {"rmse": 0.5}, "remark": ""})
    written.save(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [FILE_NAME]
    assert RunRecord.load(tmp_path) == written
    assert RunRecord.load(tmp_path / FILE_NAME) == written
    assert RunRecord.load(tmp_path).metrics["test"]["rmse"] == 0.1 + 0.2


def test_the_file_is_json_with_sorted_keys(tmp_path):
    record().save(tmp_path)
    text = (tmp_path / FILE_NAME).read_text(encoding="utf-8")
    assert list(json.loads(text)) == sorted(RunRecord.model_fields)
    assert text.endswith("}\n")


def test_a_missing_record_is_one_clear_error(tmp_path):
    with pytest.raises(TfzooError, match=r"No run record at .*record.json"):
        RunRecord.load(tmp_path)
    with pytest.raises(TfzooError, match=r"No run record at .*nowhere"):
        RunRecord.load(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe"])
def test_a_damaged_record_is_one_clear_error(tmp_path, content):
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(TfzooError, match=r"record.json is not a run record: .+[^.]\.$") as raised:
        RunRecord.load(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_record_with_a_wrong_or_unknown_field_is_refused(tmp_path):
    record().save(tmp_path)
    path = tmp_path / FILE_NAME
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, "extra": 1}), encoding="utf-8")
    with pytest.raises(TfzooError, match="extra"):
        RunRecord.load(tmp_path)
    path.write_text(json.dumps({**values, "seed": "first"}), encoding="utf-8")
    with pytest.raises(TfzooError, match="seed"):
        RunRecord.load(tmp_path)


def test_environment_names_versions_and_memory():
    found = environment()
    assert found.keys() == {"versions", "hardware", "commit", "peak_memory_mb"}
    assert {"python", "tensorflow", "keras", "numpy"} <= found["versions"].keys()
    # TensorFlow alone needs more than 100 MB, and no test machine has a terabyte.
    assert 100 < found["peak_memory_mb"] < 1_000_000
    json.dumps(found)
