"""The command line: the way from a file to recommendations, and how wrong use is refused."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.patience import PATIENCE
from tests.places import seed_of
from tests.zoo import quick
from tfzoo import runs
from tfzoo.cli import main
from tfzoo.models import list_models, model_info
from tfzoo.training.record import RunRecord

ROOT = Path(tfzoo.__file__).parents[1]
SCRIPTS = Path(__file__).parents[2] / "scripts"
# Without XLA, which takes longer to compile than these runs take.
FAST = ("training.epochs=2", "training.batch_size=64", "training.jit_compile=false")
HEADER = "user_id,item_id,rating"


def settings(*overrides):
    return [part for override in overrides for part in ("--set", override)]


def train(*arguments, model="pmf", data=("--data", "ratings.csv"), overrides=FAST):
    return ["train", "--model", model, *data, *settings(*overrides), *arguments]


def write_toy(path, toy):
    columns = (toy.users.decode(toy.user_id), toy.items.decode(toy.item_id), toy.ratings, toy.timestamp)
    lines = [f"{user},{item},{rating:g},{when}" for user, item, rating, when in zip(*columns, strict=True)]
    path.write_text("\n".join([f"{HEADER},timestamp", *lines]) + "\n", encoding="utf-8")


def listing(folder):
    """Return every file below a folder with its content, and every folder."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def here(tmp_path, monkeypatch, toy):
    """Work in an empty folder with ``ratings.csv``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write_toy(tmp_path / "ratings.csv", toy)
    return tmp_path


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory):
    """Return a folder with ``ratings.csv``, a finished run and its export."""
    folder = tmp_path_factory.mktemp("trained")
    write_toy(folder / "ratings.csv", toy)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(train("--time-col", "timestamp")) == 0
    return folder


@pytest.fixture
def there(trained, monkeypatch):
    monkeypatch.chdir(trained)
    monkeypatch.setenv("COLUMNS", "200")
    return trained


def row_of(text, first):
    """Return the cells of the table row whose first cell is ``first``."""
    rows = [[cell.strip() for cell in re.split("[│|┃]", line)[1:-1]] for line in text.splitlines()]
    (row,) = [row for row in rows if row and row[0] == first]
    return row


# The way from a file to recommendations.


def test_train_writes_a_record_and_an_export(trained):
    folder = seed_of(trained / "runs", "pmf-ratings-paper")
    record = RunRecord.load(folder)
    assert (record.model, record.dataset, record.seed) == ("pmf", "ratings", 0)
    assert record.recipe["training"]["epochs"] == 2
    assert record.recipe["training"]["batch_size"] == 64
    assert len(record.history) == 2
    assert sorted(entry.name for entry in trained.iterdir()) == ["ratings.csv", "runs", "saved_models"]
    version = trained / "saved_models" / "pmf-ratings" / "1"
    assert (version / "saved_model.pb").is_file()
    signatures = set(tf.saved_model.load(str(version)).signatures)
    assert signatures == {"serving_default", "recommend", "recommend_among"}


def test_the_export_says_what_it_is_and_not_where_it_was_made(there):
    text = (there / "saved_models/pmf-ratings/1/assets.extra/tfzoo.json").read_text(encoding="utf-8")
    metadata = json.loads(text)
    record = RunRecord.load(seed_of(there / "runs", "pmf-ratings-paper"))
    assert metadata["metrics"] == record.metrics
    assert metadata["model"] == "pmf"
    assert metadata["recipe"]["training"]["epochs"] == 2
    assert str(there) not in text


def test_evaluate_finds_the_recorded_figures_again(there, capsys):
    assert main(["evaluate", "--run", str(seed_of("runs", "pmf-ratings-paper")), "--part", "validation"]) == 0
    output = capsys.readouterr().out
    record = RunRecord.load(seed_of(there / "runs", "pmf-ratings-paper"))
    figure = f"{record.metrics['validation']['rmse']:.4f}"
    assert row_of(output, "rmse") == ["rmse", figure, figure]


def test_evaluate_finds_a_file_that_was_moved(there, tmp_path, capsys):
    moved = tmp_path / "elsewhere.csv"
    moved.write_bytes((there / "ratings.csv").read_bytes())
    run = ["--run", str(seed_of("runs", "pmf-ratings-paper"))]
    assert main(["evaluate", *run, "--data", str(moved)]) == 0
    assert "rmse" in capsys.readouterr().out
    (there / "ratings.csv").rename(there / "away.csv")
    try:
        assert main(["evaluate", *run]) == 2
    finally:
        (there / "away.csv").rename(there / "ratings.csv")
    assert "ratings.csv, which is not there. Give --data PATH" in capsys.readouterr().err


def test_a_folder_of_runs_names_them(there, tmp_path, capsys):
    assert main(["evaluate", "--run", "runs"]) == 1
    run = seed_of("runs", "pmf-ratings-paper").parent
    assert f"Name one of the runs there: {run}." in capsys.readouterr().err
    assert main(["evaluate", "--run", str(tmp_path)]) == 1
    assert "Train first, or name another run." in capsys.readouterr().err


def test_evaluate_refuses_other_data(there, tmp_path, capsys):
    other = tmp_path / "ratings.csv"
    lines = (there / "ratings.csv").read_text(encoding="utf-8").splitlines()
    other.write_text("\n".join(lines[:-5]) + "\n", encoding="utf-8")
    assert main(["evaluate", "--run", str(seed_of("runs", "pmf-ratings-paper")), "--data", str(other)]) == 2
    assert "not the data" in capsys.readouterr().err


def test_recommend(there, toy, capsys):
    ask = ["recommend", "--model", "pmf", "--dataset", "ratings", "--k", "3"]
    assert main([*ask, "--user", "100"]) == 0
    items = re.findall(r"film-\d\d", capsys.readouterr().out)
    assert len(items) == len(set(items)) == 3
    assert main([*ask, "--user", "100", "--exclude", f"{items[0]},zzz"]) == 0
    others = re.findall(r"film-\d\d", capsys.readouterr().out)
    assert others[:2] == items[1:]
    assert items[0] not in others


def test_recommend_for_an_unknown_user_says_so(there, capsys):
    assert main(["recommend", "--model", "pmf", "--dataset", "ratings", "--user", "5"]) == 0
    output = capsys.readouterr().out
    assert "User 5 is not in the training data: popular items." in output
    assert len(re.findall(r"film-\d\d", output)) == 10


def test_export_adds_a_version_elsewhere(there, tmp_path, capsys):
    run = ["export", "--run", str(seed_of("runs", "pmf-ratings-paper")), "--export-dir", str(tmp_path)]
    assert main(run) == 0
    assert main([*run, "--keep-seen"]) == 0
    assert sorted(entry.name for entry in (tmp_path / "pmf-ratings").iterdir()) == ["1", "2"]
    assert f"SavedModel: {tmp_path / 'pmf-ratings' / '2'}" in capsys.readouterr().out
    metadata = (tmp_path / "pmf-ratings/2/assets.extra/tfzoo.json").read_text(encoding="utf-8")
    assert json.loads(metadata)["policy"]["seen_items"].startswith("kept in all lists")


def test_results(there, tmp_path, capsys):
    assert main(["results", "runs", "--markdown", str(tmp_path / "RESULTS.md")]) == 0
    figure = f"{RunRecord.load(seed_of(there / 'runs', 'pmf-ratings-paper')).metrics['test']['rmse']:.4f}"
    assert row_of(capsys.readouterr().out, "rmse")[2] == figure
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    measured, _, _ = text.partition("## Not yet")
    assert row_of(measured, "pmf")[4] == figure


def test_results_of_an_own_file_are_not_collected(there, tmp_path, capsys):
    assert main(["results", "runs", "--collect", str(tmp_path / "results")]) == 2
    assert "named data sets" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_models(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    assert main(["models"]) == 0
    output = capsys.readouterr().out
    assert all(row_of(output, name)[1] == model_info(name).task for name in list_models())
    assert "ml-100k" in output
    assert main(["models", "*-woe"]) == 0
    output = capsys.readouterr().out
    assert "edrs-woe" in output
    assert "biased-mf" not in output


def test_two_seeds_twice_give_the_same_metrics(here, capsys):
    for output in ("first", "second"):
        assert main(train("--seeds", "2", "--output", output, "--no-export")) == 0
    assert "2 seeds" in capsys.readouterr().out
    assert not (here / "saved_models").exists()
    found = {
        (output, seed): RunRecord.load(seed_of(here / output, "pmf-ratings-paper", seed))
        for output in ("first", "second")
        for seed in (0, 1)
    }
    for seed in (0, 1):
        assert found["first", seed].metrics == found["second", seed].metrics
        assert found["first", seed].history == found["second", seed].history
    assert found["first", 0].metrics != found["first", 1].metrics


def test_a_recipe_of_ones_own(here):
    (here / "mine.yaml").write_text(
        "training: {epochs: 1, batch_size: 50, jit_compile: false}\nbuilder: {embedding_dim: 3}\n",
        encoding="utf-8",
    )
    assert main(train("--recipe", "mine.yaml", "--no-export", "--seed", "7", overrides=())) == 0
    record = RunRecord.load(seed_of(here / "runs", "pmf-ratings-mine", 7))
    assert record.parameters == 3 * (31 + 21)


@pytest.mark.parametrize("precision", quick(["mixed_float16", "mixed_bfloat16"], ("mixed_bfloat16",)))
def test_mixed_precision(here, precision, capsys):
    overrides = (*FAST, "training.checkpoint_seconds=0", "builder.tower_units=[8, 4]")
    overrides += ("builder.rating_activation=null", "builder.mean_rating=auto")
    arguments = train("--precision", precision, "--device", "cpu", model="edrs", overrides=overrides)
    assert main(arguments) == 0
    record = RunRecord.load(seed_of(here / "runs", "edrs-ratings-paper"))
    assert record.precision == precision
    assert record.metrics["test"]["rmse"] < 2
    capsys.readouterr()
    assert main(["evaluate", "--run", str(seed_of("runs", "edrs-ratings-paper"))]) == 0
    figure = f"{record.metrics['test']['rmse']:.4f}"
    assert row_of(capsys.readouterr().out, "rmse") == ["rmse", figure, figure]


def test_resume_of_a_finished_run_exports_it_again_without_training(here, trained, capsys):
    (trained / "runs").rename(here / "runs")
    try:
        record = (seed_of(here / "runs", "pmf-ratings-paper") / "record.json").read_bytes()
        assert main(train("--resume", "--time-col", "timestamp")) == 0
        assert (seed_of(here / "runs", "pmf-ratings-paper") / "record.json").read_bytes() == record
        assert (here / "saved_models/pmf-ratings/1").is_dir()
        capsys.readouterr()
        changed = settings("training.learning_rate=0.5")
        assert main(train("--resume", "--no-export", *changed)) == 0
        assert "There is nothing to resume in" in capsys.readouterr().out
        assert len(list((here / "runs").iterdir())) == 2
        assert main(train("--resume")) == 1
        assert "other data" in capsys.readouterr().err
    finally:
        (here / "runs").rename(trained / "runs")


def test_an_interrupt_has_its_own_exit_status_and_can_be_resumed(here, monkeypatch, capsys):
    real = runs.run

    def run(*arguments, on_epoch, **options):
        def interrupt(state):
            on_epoch(state)
            if state.epoch == 1:
                raise KeyboardInterrupt

        return real(*arguments, on_epoch=interrupt, **options)

    overrides = (*FAST, "training.checkpoint_seconds=0")
    with monkeypatch.context() as patch:
        patch.setattr("tfzoo.cli.train.run_experiment", run)
        assert main(train("--no-export", overrides=overrides)) == 130
    assert "--resume" in capsys.readouterr().err
    assert main(["evaluate", "--run", str(seed_of("runs", "pmf-ratings-paper"))]) == 1
    assert "The run was interrupted: give the command that began it again" in capsys.readouterr().err
    assert main(train("--no-export", "--resume", overrides=overrides)) == 0
    assert main(train("--no-export", "--output", "unbroken", overrides=overrides)) == 0
    resumed, unbroken = (
        RunRecord.load(seed_of(here / output, "pmf-ratings-paper")) for output in ("runs", "unbroken")
    )
    assert resumed.metrics == unbroken.metrics
    with monkeypatch.context() as patch:
        patch.setattr("tfzoo.cli.train.run_experiment", run)
        assert main(train("--no-export", overrides=overrides)) == 130
    assert "is trained again; with --resume its record is taken" in capsys.readouterr().out
    assert RunRecord.load(seed_of(here / "runs", "pmf-ratings-paper")) == resumed


# Wrong use: one message, exit status 2, nothing written.

GOOD = "\n".join(
    [HEADER, *(f"{user},{item},{(user * item) % 5 + 1}" for user in range(6) for item in range(5))]
)
TABLES = {
    "good.csv": GOOD,
    "semicolon.csv": GOOD.replace(",", ";"),
    "other-names.csv": GOOD.replace(HEADER, "userid,movie,stars"),
    "text-rating.csv": GOOD.replace("\n0,2,1", "\n0,2,good"),
    "nan-rating.csv": GOOD.replace("\n0,2,1", "\n0,2,nan"),
    "inf-rating.csv": GOOD.replace("\n0,2,1", "\n0,2,inf"),
    "no-rating.csv": GOOD.replace("\n0,2,1", "\n0,2,"),
    "no-user.csv": GOOD.replace("\n0,2,1", "\n,2,1"),
    "duplicates.csv": GOOD + "\n3,4,1",
    "empty.csv": "",
    "header-only.csv": HEADER + "\n",
    "one-user.csv": HEADER + "".join(f"\n1,{item},3" for item in range(20)),
    "one-item.csv": HEADER + "".join(f"\n{user},1,3" for user in range(20)),
    "two-rows.csv": HEADER + "\n1,1,3\n2,2,4",
    "ragged.csv": GOOD + "\n7,1,2,9,9",
    "strange.xyz": GOOD,
    "wrong.yaml": "training: {epoch: 3}",
    "reported.yaml": "reported: {sorce: Table 1, metrics: {}}",
    "broken.yaml": "training: [",
}
OWN = ("--data", "good.csv")


def own(name):
    return train(data=("--data", name))


def changed(override):
    return train(data=OWN, overrides=(*FAST, override))


REFUSED = {
    "unknown-model": (train(data=OWN, model="edsr"), ["Unknown model 'edsr'", "'edrs'"]),
    "unknown-data-set": (train(data=("--dataset", "ml-10k")), ["Unknown data set 'ml-10k'", "'ml-100k'"]),
    "unknown-recipe": (train("--recipe", "papre", data=OWN), ["Unknown recipe 'papre'", "'paper'"]),
    "missing-recipe-file": (train("--recipe", "no.yaml", data=OWN), ["no.yaml"]),
    "unknown-key-in-file": (train("--recipe", "wrong.yaml", data=OWN), ["'epoch'", "'epochs'"]),
    "unknown-key-of-paper": (train("--recipe", "reported.yaml", data=OWN), ["'sorce'", "'source'"]),
    "broken-recipe-file": (train("--recipe", "broken.yaml", data=OWN), ["broken.yaml", "YAML"]),
    "unknown-key": (changed("training.epoch=3"), ["'epoch'", "'epochs'"]),
    "unknown-option": (changed("builder.embeding_dim=3"), ["'embeding_dim'", "'embedding_dim'"]),
    "wrong-type": (changed("training.epochs=many"), ["training.epochs", "'many'"]),
    "batch-size-0": (changed("training.batch_size=0"), ["training.batch_size", "0"]),
    "no-value": (changed("training.epochs"), ["--set", "training.epochs"]),
    "wrong-link": (changed("builder.link=cubic"), ["cubic"]),
    "no-factors": (changed("builder.embedding_dim=0"), ["embedding_dim"]),
    "auto-of-a-size": (changed("builder.embedding_dim=auto"), ["embedding_dim"]),
    "wrong-ratios": (changed("split.ratios=[0.7, 0.7, 0.7]"), ["split.ratios", "0.7"]),
    "wrong-fold": (train(data=OWN, overrides=("split.kind=k-fold", "split.fold=9")), ["split.fold", "9"]),
    "no-given-split": (changed("split.kind=given"), ["split.name"]),
    "missing-file": (own("nowhere.csv"), ["nowhere.csv"]),
    "folder-as-file": (own("folder"), ["folder"]),
    "unknown-ending": (own("strange.xyz"), ["strange.xyz"]),
    "other-column-names": (own("other-names.csv"), ["'user_id'", "userid"]),
    "column-option": (train("--rating-col", "stars", data=OWN), ["'stars'", "rating"]),
    "time-column": (train("--time-col", "when", data=OWN), ["'when'"]),
    "wrong-separator": (own("semicolon.csv"), ["--sep"]),
    "text-rating": (own("text-rating.csv"), ["text-rating.csv", "row 3", "'rating'", "good"]),
    "nan-rating": (own("nan-rating.csv"), ["nan-rating.csv", "row 3", "'rating'", "nan"]),
    "inf-rating": (own("inf-rating.csv"), ["row 3", "'rating'", "inf"]),
    "no-rating": (own("no-rating.csv"), ["row 3", "'rating'"]),
    "no-user": (own("no-user.csv"), ["row 3", "'user_id'"]),
    "duplicates": (own("duplicates.csv"), ["row 31", "row 20", "--duplicates"]),
    "empty-file": (own("empty.csv"), ["empty.csv", "empty"]),
    "header-only": (own("header-only.csv"), ["header-only.csv", "no data rows"]),
    "one-user": (own("one-user.csv"), ["one-user.csv", "2 users"]),
    "one-item": (own("one-item.csv"), ["one-item.csv", "2 items"]),
    "too-few-rows": (own("two-rows.csv"), ["part is empty"]),
    "ragged": (own("ragged.csv"), ["row 31", "5 fields", "expected 3"]),
    "scale": (train("--rating-scale", "1", "3", data=OWN), ["row ", "from 1 to 3"]),
    "scale-upside-down": (train("--rating-scale", "5", "1", data=OWN), ["rating_scale|--rating-scale"]),
    "seed": (train("--seed", str(2**32), data=OWN), ["--seed must be below 2^32", "4294967296"]),
    "many-seeds": (train("--seeds", "1001", data=OWN), ["--seeds", "at most 1000", "1001"]),
    "no-seeds": (train("--seeds", "0", data=OWN), ["--seeds", "0"]),
    "negative-seed": (train("--seed", "-1", data=OWN), ["--seed", "-1"]),
    "output-below-a-file": (train("--output", "good.csv/runs", data=OWN), ["--output", "good.csv"]),
    "output-is-a-file": (train("--output", "good.csv", data=OWN), ["--output", "good.csv"]),
    "export-below-a-file": (train("--export-dir", "good.csv/x", data=OWN), ["--export-dir", "good.csv"]),
    "evaluate-no-run": (["evaluate", "--run", "nowhere"], ["nowhere"]),
    "export-no-run": (["export", "--run", "nowhere"], ["nowhere"]),
    "recommend-no-export": (["recommend", "--user", "1"], ["edrs-ml-100k"]),
    "recommend-k-0": (["recommend", "--user", "1", "--k", "0"], ["--k", "0"]),
    "no-such-models": (["models", "nothing*"], ["nothing"]),
    "no-results": (["results", "folder"], ["folder"]),
}
# These are failures of what should have been there before, and not of the words used.
FAILURES = {"evaluate-no-run", "export-no-run", "recommend-no-export"}


@pytest.mark.parametrize("case", list(REFUSED))
def test_wrong_use_is_refused(case, tmp_path, monkeypatch, capsys):
    arguments, hints = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name, content in TABLES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    before = listing(tmp_path)
    status = main(arguments)
    captured = capsys.readouterr()
    assert status == (1 if case in FAILURES else 2)
    assert captured.err.startswith("tfzoo: error: ")
    assert "Traceback" not in captured.err
    assert captured.err.count("error:") == 1
    for hint in hints:
        assert re.search(hint if "|" in hint else re.escape(hint), captured.err)
    assert listing(tmp_path) == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write to")
@pytest.mark.parametrize("option", ["--output", "--export-dir"])
def test_a_read_only_folder_is_refused(option, here, capsys):
    before = listing(here)
    assert main(train(option, "/proc/tfzoo")) == 2
    assert re.search(f"{option} /proc/tfzoo cannot be written", capsys.readouterr().err)
    assert listing(here) == before


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_a_missing_gpu_is_refused(here, capsys):
    before = listing(here)
    assert main(train("--device", "gpu")) == 2
    assert "no GPU" in capsys.readouterr().err
    assert listing(here) == before


@pytest.mark.parametrize("batch_size", [64, 1000])
def test_a_training_that_diverges_names_the_learning_rate(here, capsys, batch_size):
    overrides = (*FAST, "training.optimizer=sgd", "training.learning_rate=1e30")
    overrides += (f"training.batch_size={batch_size}", "training.epochs=3")
    assert main(train("--no-export", overrides=overrides)) == 1
    error = capsys.readouterr().err
    assert "training.learning_rate" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["trian"],
        ["train"],
        ["train", "--model", "pmf", "--epochs", "3"],
        ["train", "--model", "pmf", "--seed", "one"],
        ["train", "--model", "pmf", "--seed", "1", "--seeds", "2"],
        ["train", "--model", "pmf", "--dataset", "ml-1m", "--data", "ratings.csv"],
        ["train", "--model", "pmf", "--device", "tpu"],
        ["train", "--model", "pmf", "--precision", "float16"],
        ["train", "--model", "pmf", "--duplicates", "both"],
        ["recommend"],
        ["recommend", "--user", "1", "--history", "1,2"],
    ],
    ids=" ".join,
)
def test_wrong_options_end_with_status_2(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert "error:" in captured.err
    assert list(tmp_path.iterdir()) == []


# Processes of their own.


def environment():
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "2"}


def test_the_script_lists_all_options():
    command = [sys.executable, str(SCRIPTS / "train.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment())
    assert done.returncode == 0
    options = "model dataset data user-col item-col rating-col time-col recipe seed seeds set output"
    options += " export-dir no-export resume device precision"
    for option in options.split():
        assert re.search(rf"--{option}\b", done.stdout), option
    assert "Exit status: 0 success, 1 failure, 2 wrong use" in " ".join(done.stdout.split())


def test_killed_and_resumed_as_if_nothing_had_happened(here):
    overrides = ("training.epochs=60", "training.patience=null", "training.checkpoint_seconds=0", *FAST[1:])
    arguments = train("--no-export", model="delcr", overrides=overrides)
    arguments += settings("builder.tower_units=[8, 4]", "builder.dropout=0.2", "training.learning_rate=0.003")
    process = subprocess.Popen(
        [sys.executable, "-m", "tfzoo.cli.main", *arguments],
        cwd=here,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not list(here.glob("runs/*/seed-0/checkpoint.npz")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=PATIENCE) == -signal.SIGKILL
    finally:
        process.kill()
        process.communicate()
    folder = seed_of(here / "runs", "delcr-ratings-paper")
    assert not (folder / "record.json").exists()
    with np.load(folder / "checkpoint.npz") as archive:
        state = json.loads(str(archive["meta"]))["state"]
    assert 1 <= state["epoch"] < 60

    assert main([*arguments, "--resume"]) == 0
    assert main([*arguments, "--output", "unbroken"]) == 0
    resumed = RunRecord.load(folder)
    unbroken = RunRecord.load(seed_of(here / "unbroken", "delcr-ratings-paper"))
    assert resumed.metrics == unbroken.metrics
    assert resumed.history == unbroken.history
    assert resumed.history[: state["epoch"]] == state["history"]
