"""Event files read back, and the files of the projector."""

import numpy as np
import pytest
import tensorflow as tf

from tfzoo.errors import StorageError
from tfzoo.training.tensorboard import EVENTS, EventLog, read_scalars, write_projector

HISTORY = [{"loss": 3.0, "val_rmse": 1.5}, {"loss": 2.0}, {"loss": 1.0, "val_rmse": 1.25}]


def events(folder):
    """Return every scalar in the event files of a folder, read by TensorFlow itself."""
    found = []
    for path in sorted(folder.glob(EVENTS)):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
    return sorted(found)


EXPECTED = [
    (1, "loss", 3.0),
    (1, "validation/rmse", 1.5),
    (2, "loss", 2.0),
    (3, "loss", 1.0),
    (3, "validation/rmse", 1.25),
]


def test_every_epoch_is_a_step(tmp_path):
    log = EventLog(tmp_path / "log", resume=False)
    for epoch in (1, 2, 3):
        log.write("", HISTORY[:epoch])
    # Nothing waits in memory for a process that may be killed.
    assert events(tmp_path / "log") == EXPECTED
    log.write("refit", [{"loss": 9.0, "refit": 1.0}])
    log.close()
    assert events(tmp_path / "log") == EXPECTED
    assert events(tmp_path / "log" / "refit") == [(1, "loss", 9.0)]
    assert dict(read_scalars(tmp_path / "log")) == {
        1: {"validation/rmse": 1.5},
        2: {"loss": 2.0},
        3: {"validation/rmse": 1.25},
    }


def test_a_resumed_log_goes_on_after_the_last_step(tmp_path):
    first = EventLog(tmp_path, resume=False)
    first.write("", HISTORY[:1])
    first.write("", HISTORY[:2])
    first.close()
    (old,) = tmp_path.glob(EVENTS)
    # The checkpoint was of the first epoch, so the second is trained, and told, again.
    again = EventLog(tmp_path, resume=True)
    again.write("", HISTORY[:2])
    assert list(tmp_path.glob(EVENTS)) == [old]
    again.write("", HISTORY)
    again.close()
    assert len(list(tmp_path.glob(EVENTS))) == 2
    assert events(tmp_path) == EXPECTED


def test_epochs_that_were_never_told_are_written_too(tmp_path):
    log = EventLog(tmp_path, resume=True)
    log.write("", HISTORY)
    log.close()
    assert events(tmp_path) == EXPECTED


def test_what_a_killed_process_has_half_written_is_passed_over(tmp_path):
    log = EventLog(tmp_path, resume=False)
    log.write("", HISTORY[:1])
    log.write("", HISTORY[:2])
    log.close()
    (path,) = tmp_path.glob(EVENTS)
    path.write_bytes(path.read_bytes()[:-3])
    assert max(step for step, _ in read_scalars(tmp_path)) == 1
    again = EventLog(tmp_path, resume=True)
    again.write("", HISTORY)
    again.close()
    assert sorted({step for step, _ in read_scalars(tmp_path)}) == [1, 2, 3]


def test_a_new_training_removes_the_events_of_the_old_one_alone(tmp_path):
    log = EventLog(tmp_path, resume=False)
    log.write("", HISTORY)
    log.write("refit", HISTORY)
    log.close()
    (tmp_path / "notes.txt").write_text("mine")
    new = EventLog(tmp_path, resume=False)
    assert len(events(tmp_path)) == 5
    new.write("", [{"loss": 7.0}])
    new.close()
    assert events(tmp_path) == [(1, "loss", 7.0)]
    assert events(tmp_path / "refit") == []
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "log").write_text("")
    with pytest.raises(StorageError, match=r"Cannot write .*log"):
        EventLog(tmp_path / "log", resume=False).write("", HISTORY)


def test_files_of_the_projector(tmp_path):
    vectors = np.array([[0.5, -1.0], [1e-9, 1234567.0]], np.float32)
    columns = {"item_id": np.array([7, 9]), "title": np.array(["Tab\there", "Line\nend"])}
    write_projector(tmp_path / "new", vectors, columns)
    assert np.loadtxt(tmp_path / "new" / "vectors.tsv", delimiter="\t") == pytest.approx(vectors, rel=1e-5)
    lines = (tmp_path / "new" / "metadata.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t") for line in lines] == [
        ["item_id", "title"],
        ["7", "Tab here"],
        ["9", "Line end"],
    ]
    config = (tmp_path / "new" / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "vectors.tsv"' in config
    assert 'metadata_path: "metadata.tsv"' in config


def test_a_single_column_has_no_heading(tmp_path):
    write_projector(tmp_path, np.zeros((2, 3), np.float32), {"item_id": ["a", "b"]})
    assert (tmp_path / "metadata.tsv").read_text() == "a\nb\n"
