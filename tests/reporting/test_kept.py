"""The answers on models that come with the package are those of the registry, the recipes and the records."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tfzoo.cli import libraries, main
from tfzoo.data.datasets import list_datasets
from tfzoo.errors import UsageError
from tfzoo.models import model_info, registry
from tfzoo.models.registry import declared_in
from tfzoo.reporting import kept
from tfzoo.reporting.answers import facts_of, figures_of, registered
from tfzoo.reporting.catalogue import summaries_by_model

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
WRITE_ANEW = "tfzoo/reporting/kept.json is of other sources; write it with: python -m tfzoo pages"


@pytest.fixture(scope="module")
def entries():
    return json.loads(kept.FILE.read_text(encoding="utf-8"))["models"]


def test_every_model_is_kept_as_the_registry_has_it(entries):
    assert sorted(entries) == sorted(declared_in()), WRITE_ANEW
    for name, entry in entries.items():
        found = registered(model_info(name))
        assert {key: entry["facts"][key] for key in found} == found, WRITE_ANEW


def test_tensors_and_sizes_are_kept(entries, model_names):
    for name in model_names:
        assert entries[name]["facts"] == json.loads(json.dumps(facts_of(model_info(name)))), WRITE_ANEW


def test_figures_are_kept(entries):
    summaries = summaries_by_model(RESULTS)
    for name, entry in entries.items():
        info = model_info(name)
        assert entry["recorded"]["answer"] == figures_of(info, summaries.get(name, [])), WRITE_ANEW
        assert entry["bare"]["answer"] == figures_of(info, []), WRITE_ANEW


def test_data_sets_are_kept():
    assert json.loads(kept.FILE.read_text(encoding="utf-8"))["datasets"]["names"] == list_datasets(), (
        WRITE_ANEW
    )


@pytest.mark.slow
def test_all_answers_can_be_given_without_the_libraries(entries):
    marks = kept.records_marks(RESULTS)
    assert kept.kept_datasets() is not None, WRITE_ANEW
    for name in entries:
        assert kept.kept_facts(name) is not None, WRITE_ANEW
        assert kept.kept_figures(name, marks) is not None, WRITE_ANEW


def test_the_commands_answer_at_once_without_tensorflow():
    code = """
import sys, time
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "keras", "pandas"):
            raise ImportError(f"{name} is refused")
sys.meta_path.insert(0, Refusing())
from tfzoo.cli import main
for command in (["list"], ["models"], ["info", "edrs"], ["info", "recvae", "--json"]):
    assert main(command) == 0
print(time.process_time(), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, f"{WRITE_ANEW}\n{done.stderr}"
    assert "recvae" in done.stdout
    # Of this process alone, however busy the machine is; all four commands together.
    assert float(done.stderr) < 2


def answers(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("command", [["list"], ["models", "p*"], ["info", "popularity"]])
def test_answers_of_the_libraries_are_the_same(command, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    first = answers(capsys, *command)
    loaded = []
    monkeypatch.setattr(kept, "sources_mark", lambda name: "changed since")
    monkeypatch.setattr(kept, "datasets_mark", lambda: "changed since")
    monkeypatch.setattr(libraries, "_import", lambda: loaded.append(1))
    assert answers(capsys, *command) == first
    assert loaded


def test_a_model_of_another_package_is_listed(capsys, monkeypatch):
    entry = EntryPoint("theirs", "tests.reporting.their_model", registry.ENTRY_POINTS)
    info = model_info("pmf")
    theirs = type(info)("theirs", "rating", info.paper, info.builder, "Theirs.")
    monkeypatch.setattr(registry, "entry_points", lambda **_: [entry])
    monkeypatch.setitem(registry._REGISTRY, "theirs", theirs)
    assert "theirs" in [model["name"] for model in answers(capsys, "list", "the*")["models"]]
    assert answers(capsys, "models", "theirs")["models"][0]["task"] == "rating"
    assert answers(capsys, "info", "theirs")["summary"] == "Theirs."


def test_other_records_are_read(capsys, tmp_path):
    source = next(RESULTS.glob("pmf-ml-100k-paper/seed-0.json"))
    shutil.copytree(source.parent, tmp_path / "pmf-ml-100k-paper")
    marks = kept.records_marks(tmp_path)
    assert list(marks) == ["pmf"]
    assert kept.kept_figures("pmf", marks) is None
    figures = answers(capsys, "info", "pmf", "--results", str(tmp_path))["figures"]
    assert [row["recipe"] for row in figures] == ["paper"]
    (tmp_path / "pmf-ml-100k-paper" / "seed-0.json").write_text("{", encoding="utf-8")
    assert main(["list", "pmf", "--results", str(tmp_path)]) == 1
    assert "seed-0.json" in capsys.readouterr().err


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(UsageError, match="No run records below"):
        kept.records_marks(tmp_path)


def test_the_marks_follow_the_files(tmp_path, monkeypatch):
    source = ROOT / "tfzoo" / "data"
    monkeypatch.setattr(kept, "__file__", str(tmp_path / "tfzoo" / "reporting" / "kept.py"))
    shutil.copytree(source / "datasets", tmp_path / "tfzoo" / "data" / "datasets")
    before = kept.datasets_mark()
    new = tmp_path / "tfzoo" / "data" / "datasets" / "new.py"
    new.write_text("", encoding=os.device_encoding(0) or "utf-8")
    assert kept.datasets_mark() != before
    assert kept.sources_mark("no model of ours") == ""
