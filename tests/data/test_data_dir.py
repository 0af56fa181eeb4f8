"""What is said of a ``TFZOO_DATA_DIR`` in which nothing can be found."""

from dataclasses import replace

import pytest

from tfzoo.cli import main
from tfzoo.data import download
from tfzoo.data.datasets import registry
from tfzoo.errors import DownloadError


def nothing(folder):
    return folder / "nowhere", "does not exist"


def file(folder):
    (folder / "data").write_text("")
    return folder / "data", "is a file, expected the folder that holds the folders of data sets"


def empty(folder):
    return folder, "expected such a file as "


def inside(folder):
    (folder / "u.data").write_text("")
    return folder, "is the folder of 'ml-100k' itself, expected the one above it"


@pytest.mark.parametrize("make", [nothing, file, empty, inside])
def test_the_message_on_a_download_and_doctor_say_what_is_wrong(make, tmp_path, monkeypatch, capsys):
    (tmp_path / "data-dir").mkdir()
    given, message = make(tmp_path / "data-dir")
    monkeypatch.setenv("TFZOO_DATA_DIR", str(given))
    monkeypatch.setenv("TFZOO_CACHE_DIR", str(tmp_path / "cache"))

    def refuse(url, *_, **__):
        raise DownloadError(f"{url}: no network in this test")

    monkeypatch.setattr(download, "fetch", refuse)
    dataset = replace(registry.find("ml-100k"), substitutes={})
    monkeypatch.setattr(registry, "_datasets", {"ml-100k": dataset})
    with pytest.raises(DownloadError) as raised:
        registry.locate(dataset)
    assert f"TFZOO_DATA_DIR: {given} " in str(raised.value)
    assert message in str(raised.value)
    assert message in registry.data_dir_problem()


def test_a_folder_with_one_data_set_is_right(tmp_path, monkeypatch):
    (tmp_path / "ml-100k").mkdir()
    (tmp_path / "ml-100k" / "u.data").write_text("")
    monkeypatch.setenv("TFZOO_DATA_DIR", str(tmp_path))
    assert registry.data_dir_problem() == ""
    assert registry.data_dir_problem(registry.find("ml-100k")) == ""
    assert "does not hold the data set 'ml-1m'" in registry.data_dir_problem(registry.find("ml-1m"))
    monkeypatch.delenv("TFZOO_DATA_DIR")
    assert registry.data_dir_problem() == ""


def test_doctor_says_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "data").write_text("")
    monkeypatch.setenv("TFZOO_DATA_DIR", str(tmp_path / "data"))
    main(["doctor"])
    assert f"{tmp_path / 'data'} is a file" in capsys.readouterr().out
