"""An export with an index, and another set of items for it, from the command line."""

import numpy as np
import pytest

from tests.places import seed_of
from tfzoo.cli.common import load_data
from tfzoo.cli.main import main
from tfzoo.experiment import Experiment
from tfzoo.serving.client import LocalClient
from tfzoo.serving.export import latest_version
from tfzoo.training.record import RunRecord
from tfzoo.training.settings import Recipe, parse


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Train a small model on a log of its own."""
    folder = tmp_path_factory.mktemp("swap")
    random = np.random.default_rng(1)
    pairs = {(user, int(item)) for user in range(12) for item in random.choice(9, 6, replace=False)}
    lines = [f"{user},film {item},{1 + (user + item) % 5}" for user, item in sorted(pairs)]
    (folder / "log.csv").write_text("user_id,item_id,rating\n" + "\n".join(lines) + "\n", encoding="utf-8")
    run = ["train", "--data", str(folder / "log.csv"), "--output", str(folder / "runs"), "--no-export"]
    for model, options in (("biased-mf", ["--recipe", "tuned"]), ("edrs", []), ("dcf", [])):
        settings = ["--set", "training.epochs=2", "--set", "training.jit_compile=false"]
        assert main([*run, "--model", model, *options, *settings]) == 0
    return folder


def export(here, model, *options):
    recipe = "tuned" if model == "biased-mf" else "paper"
    run = str(seed_of(here / "runs", f"{model}-log-{recipe}"))
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


def swap(here, model, *options):
    folder = here / "saved" / f"{model}-log"
    return main(["swap-candidates", "--model", str(folder), "--items", str(here / "all.csv"), *options])


def test_a_new_item_gets_its_vector_from_its_ratings(here, capsys):
    """An item with the same ratings as one that training knows is scored like it."""
    assert export(here, "dcf", "--index", "exact") == 0
    run = RunRecord.load(seed_of(here / "runs", "dcf-log-paper"))
    recipe = parse(Recipe, run.recipe, "the record")
    train = Experiment.prepare(recipe, load_data(run.data), run.seed, run.data).split.train
    rows = train.item_id == train.items.lookup("film 3")
    rated = list(zip(train.users.decode(train.user_id[rows]), train.ratings[rows], strict=True))
    lines = [f"{user},twin,{rating}" for user, rating in rated]
    (here / "ratings.csv").write_text(
        "\n".join(["user_id,item_id,rating", *lines, "777,twin,5"]), encoding="utf-8"
    )
    (here / "all.csv").write_text("item_id\nfilm 3\nfilm 5\ntwin\n", encoding="utf-8")
    options = ["--run", str(seed_of(here / "runs", "dcf-log-paper")), "--ratings", str(here / "ratings.csv")]
    assert swap(here, "dcf", *options) == 0
    assert "1 ratings by users that training does not know are left out" in capsys.readouterr().out
    client = LocalClient(latest_version(here / "saved" / "dcf-log"))
    users = train.users.ids[:3]
    known, twin = (client.score(users, [item] * 3) for item in ("film 3", "twin"))
    np.testing.assert_allclose(twin, known, rtol=1e-5)


def test_ratings_that_make_no_vectors_are_refused(here, capsys):
    assert export(here, "biased-mf", "--index", "exact") == 0
    (here / "all.csv").write_text("item_id\nfilm 3\ntwin\n", encoding="utf-8")
    (here / "ratings.csv").write_text("user_id,item_id,rating\n1,twin,3\n", encoding="utf-8")
    mf, dcf = (str(seed_of(here / "runs", f"{run}")) for run in ("biased-mf-log-tuned", "dcf-log-paper"))
    ratings = ["--ratings", str(here / "ratings.csv")]
    assert swap(here, "biased-mf", "--run", mf, *ratings) == 2
    assert "'biased-mf' learns a vector for each item" in capsys.readouterr().err
    assert swap(here, "biased-mf", *ratings) == 2
    assert "--ratings and --run belong together" in capsys.readouterr().err
    (here / "ratings.csv").write_text("user_id,item_id,rating\n1,other,3\n", encoding="utf-8")
    assert swap(here, "dcf", "--run", dcf, *ratings) == 2
    assert "1 rated items are not among the candidates, such as 'other'" in capsys.readouterr().err
    (here / "ratings.csv").write_text("user_id,item_id,rating\n999,twin,3\n", encoding="utf-8")
    assert swap(here, "dcf", "--run", dcf, *ratings) == 2
    assert "no user is in the training data" in capsys.readouterr().err
