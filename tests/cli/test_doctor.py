import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tfzoo.cli import doctor, main
from tfzoo.cli.mode import start_output
from tfzoo.errors import TfzooError
from tfzoo.installation import Requirement

ROOT = Path(__file__).parents[2]


@pytest.fixture
def quick(monkeypatch):
    """Answer in place of the process that imports TensorFlow."""

    def answer(returncode=0, stdout="", stderr=""):
        found = json.dumps({"devices": ["CPU"], "cuda": False, "backend": "tensorflow"})

        def run(command, **options):
            return subprocess.CompletedProcess(command, returncode, stdout or found, stderr)

        monkeypatch.setattr(doctor.subprocess, "run", run)

    answer()
    return answer


def test_a_whole_installation_is_described(quick, capsys, monkeypatch, tmp_path):
    (tmp_path / "data" / "ml-100k").mkdir(parents=True)
    (tmp_path / "data" / "ml-100k" / "u.data").write_text("1\t1\t5\t0\n")
    (tmp_path / "cache" / "beauty").mkdir(parents=True)
    (tmp_path / "cache" / "beauty" / "Beauty.txt").write_text("1 2\n")
    monkeypatch.setenv("TFZOO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TFZOO_CACHE_DIR", str(tmp_path / "cache"))
    assert main(["doctor"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["tensorflow", importlib.metadata.version("tensorflow")] in lines
    assert ["ml-100k", str(tmp_path / "data" / "ml-100k"), "(TFZOO_DATA_DIR)"] in lines
    assert ["beauty", str(tmp_path / "cache" / "beauty"), "(cache)"] in lines
    later = next(line for line in lines if line[:2] == ["downloaded", "when"])
    assert "ml-1m," in later
    assert "ml-100k," not in later
    # There is no public address of it.
    assert not any(word.startswith("yoochoose") for word in later)
    by_hand = next(line for line in lines if line[:5] == ["to", "be", "had", "by", "hand"])
    assert "yoochoose1_64" in by_hand


def test_what_is_waited_for_is_said_first(quick, capsys, monkeypatch):
    said = []
    answer = doctor.subprocess.run

    def run(*arguments, **options):
        said.append(capsys.readouterr().out)
        return answer(*arguments, **options)

    monkeypatch.setattr(doctor.subprocess, "run", run)
    assert main(["doctor"]) == 0
    assert said[0].endswith(
        "TensorFlow and Keras\n  importing them in a process of its own, which may take a minute ...\n"
    )


def test_json(quick, capsys):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["works"] is True
    packages = next(section for section in found["sections"] if section["title"] == "Packages")
    assert {"name": "keras", "text": importlib.metadata.version("keras")} in packages["lines"]


def test_a_missing_extra_is_no_failure_and_says_how_to_get_it(quick, capsys, monkeypatch):
    version = importlib.metadata.version

    def without_uvicorn(name):
        if name == "uvicorn":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without_uvicorn)
    assert main(["doctor"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  serve"))
    assert "uvicorn (missing, wanted >=" in line
    assert "[serve]" in line


def test_a_package_that_is_too_old_is_a_failure(quick, capsys, monkeypatch):
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda n: "2.11.0" if n == "tensorflow" else version(n)
    )
    assert main(["doctor"]) == 1
    said = capsys.readouterr()
    assert "tensorflow is 2.11.0, wanted >=" in said.err
    assert "pip install" in said.err
    assert "Extras" in said.out


@pytest.mark.parametrize(
    ("answer", "reason", "mending"),
    [
        (
            {"returncode": 1, "stderr": "Traceback\nImportError: libfoo.so: no such file"},
            "ImportError: libfoo",
            "pip install",
        ),
        ({"returncode": -4}, "ends Python (-4)", "pip install"),
        (
            {"stdout": json.dumps({"devices": [], "cuda": True, "backend": "jax"})},
            "Keras runs on 'jax'",
            "setting KERAS_BACKEND=tensorflow",
        ),
    ],
)
def test_what_importing_tensorflow_comes_to(quick, answer, reason, mending, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    quick(**answer)
    start_output(argparse.Namespace())
    with pytest.raises(TfzooError) as error:
        doctor.run(None)
    assert reason in str(error.value)
    assert str(error.value).partition("Mend it with: ")[2].startswith(mending)


def test_a_backend_that_does_not_exist_is_not_mended_by_an_installation(quick, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensroflow")
    quick(returncode=1, stderr="ValueError: Unable to import backend : tensroflow")
    with pytest.raises(TfzooError, match="Unable to import backend") as error:
        doctor.run(None)
    assert str(error.value).endswith("Mend it with: setting KERAS_BACKEND=tensorflow or leaving it unset")


def test_a_python_that_is_too_old_is_not_mended_by_an_installation(quick, monkeypatch):
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.9.1")
    with pytest.raises(TfzooError, match=r"Python is 3\.9\.1, wanted >=3\.10\. Mend it with: another Python"):
        doctor.run(None)


def test_a_cache_that_is_a_file_is_told(quick, monkeypatch, tmp_path, capsys):
    (tmp_path / "cache").write_bytes(b"")
    monkeypatch.setenv("TFZOO_CACHE_DIR", str(tmp_path / "cache"))
    doctor.run(None)
    assert f"{tmp_path / 'cache'} is a file, no folder (TFZOO_CACHE_DIR)" in capsys.readouterr().out


def test_it_works_where_tensorflow_cannot_be_imported(tmp_path):
    for name in ("tensorflow", "keras", "rich"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('broken on purpose')\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-m", "tfzoo.cli.main", "doctor"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, cwd=tmp_path, timeout=PATIENCE
    )
    assert done.returncode == 1
    assert "TensorFlow or Keras cannot be imported (ImportError: broken on purpose)" in done.stderr
    assert "ml-100k" in done.stdout


@pytest.mark.slow
def test_the_probe_answers_for_the_real_tensorflow(capsys):
    assert list(doctor._tensorflow()) == []
    assert "CPU" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "wanted", "right"),
    [("2.18.0", ">=2.18", True), ("2.9", ">=2.18", False), ("4.0", ">=3.6,<4", False), ("1.0rc1", "", True)],
)
def test_versions_are_compared_as_numbers(found, wanted, right):
    assert doctor._fits(found, wanted) is right


def test_a_package_that_is_not_there():
    assert doctor._state(Requirement("no-such-package-here", ">=1")) == ("missing, wanted >=1", False)
