"""The commands for models that rank, on a small log without ratings."""

import numpy as np
import pytest

from tests.places import seed_of
from tests.zoo import quick
from tfzoo.cli import main
from tfzoo.serving.client import LocalClient
from tfzoo.training.record import RunRecord

FAST = {
    "gmf": ("training.epochs=2", "training.batch_size=32", "training.jit_compile=false"),
    "ease": (),
    "mult-vae": ("training.epochs=2", "builder.hidden_units=[]", "builder.latent_dim=3"),
    "gru4rec": (
        *("training.epochs=2", "training.batch_size=4", "training.jit_compile=false"),
        *("split.test_seconds=4000", "task.n_sample=8"),
    ),
}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """40 sessions of 6 events over 12 items in two groups, in a file without ratings."""
    random = np.random.default_rng(5)
    lines = ["session,page,when"]
    for session in range(40):
        pages = random.permutation(6) + 6 * (session % 2)
        lines += [f"s{session},p{page},{1000 * session + 10 * n}" for n, page in enumerate(pages)]
    path = tmp_path_factory.mktemp("log") / "clicks.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def train(model, log, *options):
    columns = ["--user-col", "session", "--item-col", "page", "--time-col", "when"]
    settings = [text for setting in FAST[model] for text in ("--set", setting)]
    return main(["train", "--model", model, "--data", str(log), *columns, *settings, *options])


@pytest.mark.parametrize("model", quick(FAST, ("gmf", "gru4rec")))
def test_train_evaluate_and_recommend_without_ratings(model, log, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train(model, log) == 0
    run = str(seed_of("runs", f"{model}-clicks-paper"))
    record = RunRecord.load(tmp_path / run)
    assert all(0 <= value <= 1 for value in record.metrics["test"].values())
    assert "full ranking" in record.protocol
    assert main(["evaluate", "--run", run]) == 0
    output = capsys.readouterr().out
    assert record.headline.partition(",")[0] in output
    ask = ["recommend", "--model", model, "--dataset", "clicks", "--k", "3"]
    assert main([*ask, "--user", "s4"]) == 0
    assert "top 3 for user s4" in capsys.readouterr().out
    answered = main([*ask, "--history", "p1,p2,no-such-page"])
    captured = capsys.readouterr()
    if model == "gmf":
        assert answered == 2
        assert "cannot score a history; ask with the id of a user" in captured.err
    else:
        assert answered == 0
        shown = {word for word in captured.out.split() if word[0] == "p" and word[1:].isdigit()}
        assert len(shown) == 3
        assert not shown & {"p1", "p2"}


@pytest.fixture(scope="module")
def rated(toy, tmp_path_factory):
    """A file with ratings, and the items that each user in it has rated."""
    path = tmp_path_factory.mktemp("rated") / "films.csv"
    users, items = toy.users.decode(toy.user_id).tolist(), toy.items.decode(toy.item_id).tolist()
    lines = [f"{user},{item},{value:g}" for user, item, value in zip(users, items, toy.ratings, strict=True)]
    path.write_text("\n".join(["user_id,item_id,rating", *lines]) + "\n", encoding="utf-8")
    pairs = list(zip(users, items, strict=True))
    return path, {user: {item for one, item in pairs if one == user} for user in users}


@pytest.mark.parametrize("options", [[], ["--min-rating", "4"]], ids=["all", "min-rating"])
def test_lists_hide_what_users_have_in_all_parts_and_below_the_least_rating(
    options, rated, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path, known = rated
    assert main(["train", "--model", "ease", "--data", str(path), *options]) == 0
    client = LocalClient(tmp_path / "saved_models/ease-films/1")
    listed = {user: set(client.recommend(user, k=20).item_ids) for user in known}
    assert all(listed[user] and not listed[user] & known[user] for user in known)
    # All that is left of the catalogue is in the lists.
    whole = set().union(*listed.values())
    assert all(listed[user] == whole - known[user] for user in known)

    run = str(next((tmp_path / "runs").glob("*/seed-0")))
    assert main(["export", "--run", run, "--keep-seen"]) == 0
    kept = LocalClient(tmp_path / "saved_models/ease-films/2")
    assert all(set(kept.recommend(user, k=20).item_ids) == whole for user in known)
    history = sorted(whole)[:3]
    assert set(history) <= set(kept.recommend_from_history(history, k=20).item_ids)
    assert not set(history) & set(client.recommend_from_history(history, k=20).item_ids)


def test_a_protocol_replaces_the_recipes_own(log, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train("ease", log, "--protocol", "leave-one-out", "--no-export") == 0
    record = RunRecord.load(seed_of(tmp_path / "runs", "ease-clicks-paper-leave-one-out"))
    assert "leave 1 out" in record.protocol
    assert train("ease", log, "--protocol", "leave-one-uot", "--no-export") == 2
    assert "Did you mean 'leave-one-out'" in capsys.readouterr().err


def test_what_the_data_lacks_is_named(log, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train("ease", log, "--min-rating", "4") == 2
    assert "has no ratings" in capsys.readouterr().err
    assert main(["train", "--model", "pmf", "--data", str(log), "--user-col", "session"]) == 2
    assert "no column" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_compare_two_runs(log, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for options in ((), ("--set", "builder.l2=1")):
        output = ["--output", "strong" if options else "weak"]
        assert train("ease", log, "--no-export", *output, *options) == 0
    runs = [str(seed_of(folder, "ease-clicks-paper")) for folder in ("weak", "strong")]
    capsys.readouterr()
    assert main(["compare", runs[0], runs[0]]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "ndcg@10" in line)
    assert "+0.0000 to +0.0000" in row
    assert train("ease", log, "--no-export", "--output", "again", "--set", "training.refit=true") == 0
    assert main(["compare", runs[0], str(seed_of("again", "ease-clicks-paper"))]) == 0
    printed = capsys.readouterr().out
    assert "Trained on: train (first), train + validation (second)" in printed
    assert "not learned from equal data" in printed
    assert main(["compare", *runs]) == 0
    records = [RunRecord.load(tmp_path / run).metrics["test"]["ndcg@10"] for run in runs]
    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if "ndcg@10" in line)
    assert all(f"{figure:.4f}" in row for figure in records)
    told = " ".join(printed.split())
    assert "ease paper against ease paper* (builder.l2=1.0): test" in told
    assert train("ease", log, "--no-export", "--output", "other", "--seed", "1") == 0
    assert main(["compare", runs[0], str(seed_of("other", "ease-clicks-paper", 1))]) == 2
    assert "same cases" in capsys.readouterr().err
