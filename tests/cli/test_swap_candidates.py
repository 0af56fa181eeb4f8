"""An export with an index, and another set of items for it, from the command line."""

import numpy as np
import pytest

from tfzoo.cli.main import main


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Train a small model on a log of its own."""
    folder = tmp_path_factory.mktemp("swap")
    random = np.random.default_rng(1)
    pairs = {(user, int(item)) for user in range(12) for item in random.choice(9, 6, replace=False)}
    lines = [f"{user},film {item},{1 + (user + item) % 5}" for user, item in sorted(pairs)]
    (folder / "log.csv").write_text("user_id,item_id,rating\n" + "\n".join(lines) + "\n", encoding="utf-8")
    run = ["train", "--data", str(folder / "log.csv"), "--output", str(folder / "runs"), "--no-export"]
    for model, options in (("biased-mf", ["--recipe", "tuned"]), ("edrs", [])):
        assert main([*run, "--model", model, *options, "--set", "training.epochs=2"]) == 0
    return folder


def export(here, model, *options):
    recipe = "tuned" if model == "biased-mf" else "paper"
    run = str(here / "runs" / f"{model}-log-{recipe}" / "seed-0")
    return main(["export", "--run", run, "--export-dir", str(here / "saved"), *options])


def test_items_are_exchanged_and_recommended(here, capsys):
    assert export(here, "biased-mf", "--index", "ivf", "--partitions", "3", "--probes", "3") == 0
    (here / "items.csv").write_text("item_id,popularity\nfilm 3,7\nfilm 5,1\n", encoding="utf-8")
    folder = here / "saved" / "biased-mf-log"
    before = len(list(folder.iterdir()))
    assert main(["swap-candidates", "--model", str(folder), "--items", str(here / "items.csv")]) == 0
    assert f"2 items. SavedModel: {folder / str(before + 1)}" in capsys.readouterr().out
    ask = ["recommend", "--model", "biased-mf", "--dataset", "log", "--export-dir", str(here / "saved")]
    assert main([*ask, "--user", "nobody"]) == 2
    assert main([*ask, "--user", "999"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("film 3") < shown.index("film 5")
    assert "film 1" not in shown


def test_a_new_item_without_a_vector_is_refused(here, capsys):
    assert export(here, "biased-mf", "--index", "exact") == 0
    (here / "new.csv").write_text("item_id\nfilm 3\na new one\n", encoding="utf-8")
    folder = here / "saved" / "biased-mf-log"
    before = sorted(folder.iterdir())
    assert main(["swap-candidates", "--model", str(folder), "--items", str(here / "new.csv")]) == 2
    assert (
        "1 candidates are not in the export and have no vector, such as 'a new one'"
        in capsys.readouterr().err
    )
    assert sorted(folder.iterdir()) == before


def test_what_cannot_be_indexed_or_exchanged_is_said(here, capsys):
    assert export(here, "edrs", "--index", "exact") == 2
    assert "'edrs' are not inner products" in capsys.readouterr().err
    assert export(here, "biased-mf", "--index", "ivf", "--partitions", "500") == 2
    assert "between 1 and the number of items" in capsys.readouterr().err
    assert export(here, "edrs") == 0
    command = ["swap-candidates", "--items", str(here / "items.csv"), "--model"]
    assert main([*command, str(here / "saved" / "edrs-log")]) == 2
    assert "Export with --index exact" in capsys.readouterr().err
    assert main([*command, str(here / "nowhere")]) == 1
    assert "No exported model in" in capsys.readouterr().err
