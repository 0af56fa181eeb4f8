"""Models of clicks from the command line: a log of one's own, trained, measured, exported and asked."""

import json

import numpy as np
import pandas as pd
import pytest

from tfzoo.cli.main import main
from tfzoo.serving.client import LocalClient

COLUMNS = ["--label-col", "clicked", "--field-cols", '"site, name",hour', "--number-cols", "price"]
SMALL = [
    *("--set", "training.epochs=3", "--set", "training.batch_size=64", "--set", "training.jit_compile=false"),
    *("--set", "builder.hidden_units=[6]", "--set", "builder.dropout=0.0"),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    random, count = np.random.default_rng(0), 400
    site, hour = random.integers(0, 5, count), random.integers(0, 24, count)
    price = np.where(random.random(count) < 0.1, np.nan, random.gamma(2, 10, count))
    clicked = (random.random(count) < np.where(site % 2 == hour % 2, 0.8, 0.2)).astype(int)
    sites = np.where(site == 0, "", np.char.add("s", site.astype(str)))
    frame = pd.DataFrame({"site, name": sites, "hour": hour, "price": price, "clicked": clicked})
    path = tmp_path_factory.mktemp("data") / "clicks.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def trained(file, tmp_path_factory):
    """Train once, and return the folder of the runs and exports."""
    folder = tmp_path_factory.mktemp("trained")
    where = ["--output", str(folder / "runs"), "--export-dir", str(folder / "exports")]
    assert main(["train", "--model", "deepfm-click", "--data", str(file), *COLUMNS, *SMALL, *where]) == 0
    return folder


def run_of(trained):
    (folder,) = (trained / "runs").glob("deepfm-click-clicks-*/seed-0")
    return folder


def test_a_log_of_ones_own_is_trained_and_recorded(trained):
    record = json.loads((run_of(trained) / "record.json").read_text())
    assert record["task"] == "click"
    assert record["data"]["field_cols"] == ["site, name", "hour"]
    assert record["metrics"]["test"].keys() == {"auc", "log_loss", "log_loss_constant"}


def test_the_run_is_measured_again(trained, capsys):
    assert main(["evaluate", "--run", str(run_of(trained))]) == 0
    rows = [line.split("│")[1:4] for line in capsys.readouterr().out.splitlines() if "│" in line]
    figures = {row[0].strip(): (row[1].strip(), row[2].strip()) for row in rows}
    assert figures.keys() == {"auc", "log_loss", "log_loss_constant"}
    assert all(recorded == now for recorded, now in figures.values())


def test_the_export_takes_raw_fields(trained):
    (folder,) = (trained / "exports").glob("deepfm-click-*")
    client = LocalClient(folder / "1")
    asked = {"site__name": ["s1", "", "new"], "hour": [1, 2, 99], "price": [3.5, np.nan, 1.0]}
    click = client.predict("serving_default", asked)["click"]
    assert ((click > 0) & (click < 1)).all()
    assert client.metadata["metrics"]["test"]["auc"] > 0


def test_another_version_is_exported(trained):
    where = ["--run", str(run_of(trained)), "--export-dir", str(trained / "exports")]
    assert main(["export", *where]) == 0
    (folder,) = (trained / "exports").glob("deepfm-click-*")
    assert (folder / "2" / "saved_model.pb").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["export", "--keep-seen"], "--keep-seen is a matter of recommended lists"),
        (["export", "--format", "onnx"], "--format onnx is not for models of clicks"),
        (["evaluate", "--part", "tests"], "Did you mean 'test'"),
        (["plot", "--lengths"], "is for models of ranked lists. 'deepfm-click' predicts clicks."),
        (["plot", "--errors"], "'deepfm-click' predicts clicks."),
    ],
)
def test_what_a_model_of_clicks_does_not_have_is_refused(trained, options, message, capsys):
    pytest.importorskip("onnxruntime")
    command, *others = options
    where = ["--export-dir", str(trained / "exports")] if command == "export" else []
    run = [str(run_of(trained))] if command == "plot" else ["--run", str(run_of(trained))]
    assert main([command, *run, *where, *others]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("deepfm", COLUMNS, "--label-col is for models of clicks"),
        ("deepfm-click", [], "a model of clicks needs --label-col and --field-cols"),
        ("deepfm-click", [*COLUMNS, "--user-col", "hour"], "give one kind"),
        ("deepfm-click", ["--label-col", "clicked"], "--field-cols or --number-cols"),
        ("deepfm-click", ["--label-col", "click", "--field-cols", "hour"], "Did you mean 'clicked'"),
        ("deepfm-click", ["--label-col", "clicked", "--field-cols", "clicked"], "one part only"),
        ("deepfm-click", [*COLUMNS, "--min-rating", "4"], "--min-rating is for interactions"),
        ("deepfm-click", [*COLUMNS, "--set", "split.kind=leave-out"], "random or given"),
        ("deepfm-click", [*COLUMNS, "--set", "builder.field_sizes=[3,3]"], "built for fields of"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    file, tmp_path, model, options, message, capsys
):
    where = ["--output", str(tmp_path / "runs"), "--export-dir", str(tmp_path / "exports")]
    assert main(["train", "--model", model, "--data", str(file), *options, *SMALL[:2], *where]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.*"))


def test_columns_of_clicks_are_for_files(capsys):
    assert main(["train", "--model", "deepfm-click", "--dataset", "frappe", "--field-cols", "a"]) == 2
    assert "--field-cols is for --data" in capsys.readouterr().err


def test_names_of_columns_are_not_empty(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--model", "deepfm-click", "--data", "a.csv", "--field-cols", "a,,b"])
    assert "names of columns with commas between" in capsys.readouterr().err
