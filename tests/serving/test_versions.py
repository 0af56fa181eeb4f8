"""Which folders are versions, and what follows the largest number."""

import pytest

from tfzoo.errors import TfzooError
from tfzoo.serving.export import LARGEST_VERSION, latest_version, publish, writing_version


def version_of(folder, name):
    (folder / name).mkdir(parents=True)
    (folder / name / "saved_model.pb").write_bytes(b"")
    return folder / name


def test_an_export_follows_every_number_that_a_server_reads(tmp_path):
    folder = tmp_path / "model"
    version_of(folder, "999999999999999999")
    prepared = version_of(tmp_path, "prepared")
    with writing_version(folder):
        assert publish(prepared, folder) == folder / "1000000000000000000"
    assert latest_version(folder) == folder / "1000000000000000000"


def test_nothing_is_published_where_no_server_would_look(tmp_path):
    folder = tmp_path / "model"
    name = str(LARGEST_VERSION)
    version_of(folder, name)
    prepared = version_of(tmp_path, "prepared")
    with pytest.raises(TfzooError, match="the largest that a server reads"), writing_version(folder):
        pytest.fail("there is nothing to prepare")
    with pytest.raises(TfzooError, match="Rename that folder"):
        publish(prepared, folder)
    assert prepared.is_dir()
    assert [entry.name for entry in folder.iterdir()] == [name]


def test_a_folder_that_is_no_export_hides_none(tmp_path):
    folder = tmp_path / "model"
    version_of(folder, "3")
    (folder / "999999999999999999").mkdir()
    assert latest_version(folder) == folder / "3"
    (folder / "3" / "saved_model.pb").unlink()
    with pytest.raises(TfzooError, match="No exported model"):
        latest_version(folder)
