"""Each path that a command prints is taken by every other command."""

import argparse
import json
import re
import shutil

import pytest

from tests.cli.test_names import write
from tfzoo.cli import main, paths, serve
from tfzoo.errors import TfzooError
from tfzoo.training.record import RunRecord

GROUP, EXPORT = "runs/popularity-log-paper", "saved_models/popularity-log"
EVERY = (f"{GROUP}/seed-1", f"{GROUP}/seed-0/record.json", GROUP, f"{EXPORT}/1", EXPORT)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with two seeds of a run and their export, and a run of another model."""
    folder = tmp_path_factory.mktemp("made")
    write(folder / "log.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for model, seeds in (("popularity", "2"), ("ease", "2")):
            assert main(["train", "--model", model, "--data", "log.csv", "--seeds", seeds]) == 0
    return folder


@pytest.fixture
def there(made, monkeypatch):
    monkeypatch.chdir(made)
    monkeypatch.setenv("COLUMNS", "200")
    return made


def test_what_train_prints_are_paths_of_this_test(there, capsys):
    assert main(["train", "--model", "popularity", "--data", "log.csv", "--seeds", "2", "--resume"]) == 0
    printed = re.findall(r"^(?:Records|SavedModel): (.+)$", capsys.readouterr().out, re.MULTILINE)
    assert printed == [GROUP, f"{EXPORT}/2"]
    shutil.rmtree(there / EXPORT / "2")


@pytest.mark.parametrize("path", EVERY)
def test_evaluate_compare_results_and_recommend_take_every_path(there, capsys, path):
    assert main(["evaluate", "--run", path]) == 0
    assert capsys.readouterr().out.count("popularity on log") == (2 if path == GROUP else 1)
    assert main(["compare", path, "runs/ease-log-paper" if path != f"{GROUP}/seed-1" else GROUP]) == 0
    assert main(["results", path]) == 0
    assert "popularity on log" in capsys.readouterr().out
    if not path.startswith(f"{GROUP}/seed"):
        assert main(["recommend", "--model", path, "--user", "1", "--k", "3"]) == 0
        assert "popularity on log: top 3" in capsys.readouterr().out


@pytest.mark.parametrize("path", [GROUP, EXPORT])
def test_export_and_swap_candidates_take_every_path(there, tmp_path, capsys, path):
    assert main(["export", "--run", path, "--export-dir", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    best = paths.run_of(paths.RUNS / "popularity-log-paper")
    assert f"Run: {best}\n" in output
    assert (tmp_path / "popularity-log" / "1" / "saved_model.pb").is_file()
    (tmp_path / "items.csv").write_text("item_id\n1\n2\n")
    # The export has no index, which is told of the export and not of the path.
    assert main(["swap-candidates", "--model", path, "--items", str(tmp_path / "items.csv")]) == 2
    assert "--index" in capsys.readouterr().err


@pytest.mark.parametrize("path", [*EVERY[2:], "saved_models", f"{GROUP}/seed-0", f"{GROUP}/seed-1"])
def test_serve_takes_every_path(there, path):
    options = argparse.Namespace(folder=paths.Path(path), model=[])
    best = paths.run_of(paths.RUNS / "popularity-log-paper").name
    folder, models = serve._served(options)
    if path.startswith(GROUP) and path not in (GROUP, f"{GROUP}/{best}"):
        # Only the best seed was exported.
        assert (folder, models) == (options.folder, [])
    else:
        assert folder.resolve() == (there / "saved_models").resolve()
        assert models == ([] if path == "saved_models" else ["popularity-log"])


def test_exports_that_have_moved_find_their_runs_beside_them(there, tmp_path, monkeypatch, capsys):
    shutil.copytree(there, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    version = paths.Path("elsewhere", EXPORT, "1")
    assert paths.runs_of(version)[0].absolute().parents[2] == tmp_path / "elsewhere"
    shutil.rmtree(tmp_path / "elsewhere" / "runs")
    assert main(["evaluate", "--run", str(version)]) == 2
    message = capsys.readouterr().err
    assert "is an export, and its run popularity-log-paper/seed-" in message


@pytest.mark.parametrize("run", ["../../etc/seed-0", "..", 7, None, "a/b/c", "/etc/passwd"])
def test_the_run_that_an_export_names_is_looked_for_among_runs_alone(there, tmp_path, run):
    shutil.copytree(there / EXPORT, tmp_path / "saved_models" / "popularity-log")
    path = tmp_path / "saved_models" / "popularity-log" / "1" / "assets.extra" / "tfzoo.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "run": run}))
    with pytest.raises(TfzooError, match="is an export, and its run"):
        paths.runs_of(path.parents[1])


def test_paths_that_are_nothing_are_one_clear_error(there, tmp_path, capsys):
    for arguments in (["evaluate", "--run", "log.csv"], ["results", "log.csv"], ["plot", "nowhere"]):
        assert main(arguments) != 0
        assert "is not a run record" in (text := capsys.readouterr().err) or "No run record" in text
    assert main(["recommend", "--model", "./nowhere", "--user", "1"]) == 1
    assert "No exported model in nowhere" in capsys.readouterr().err
    assert main(["recommend", "--model", "runs/ease-log-paper", "--user", "1", "--k", "1"]) == 0


def test_results_are_one_table_in_which_a_model_that_is_gone_is_a_row_with_a_note(there, tmp_path, capsys):
    records = tmp_path / "records"
    shutil.copytree(there / "runs", records)
    record = RunRecord.load(records / "ease-log-paper" / "seed-0")
    for task in (record.task, "not-here"):
        gone = record.model_copy(update={"model": "their-model", "task": task})
        gone.save(records / "theirs" / "seed-0")
        capsys.readouterr()
        arguments = ["--markdown", str(tmp_path / "r.md"), "--csv", str(tmp_path / "r.csv")]
        assert main(["results", str(records), *arguments]) == 0
        output = capsys.readouterr().out
        rows = [line for line in output.splitlines() if line.startswith("│")]
        names = sorted(re.split(r"\W+", row)[1] for row in rows)
        assert names == ["ease", "popularity", "their"]
        assert "model not installed here" in output
        assert output.count("┏") == 1
        assert "their-model" in (tmp_path / "r.md").read_text()
        assert "their-model" in (tmp_path / "r.csv").read_text()
