"""The commands for models that rank, on a small log without ratings."""

import numpy as np
import pytest

from tests.zoo import sampled
from tfzoo.cli import main
from tfzoo.training.record import RunRecord

FAST = {
    "gmf": ("training.epochs=2", "training.batch_size=32"),
    "ease": (),
    "mult-vae": ("training.epochs=2", "builder.hidden_units=[]", "builder.latent_dim=3"),
    "gru4rec": ("training.epochs=2", "training.batch_size=4", "split.test_seconds=4000", "task.n_sample=8"),
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


@pytest.mark.parametrize("model", sampled(FAST, ("gmf", "gru4rec")))
def test_train_evaluate_and_recommend_without_ratings(model, log, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train(model, log) == 0
    run = f"runs/{model}-clicks-paper/seed-0"
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


def test_a_protocol_replaces_the_recipes_own(log, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train("ease", log, "--protocol", "leave-one-out", "--no-export") == 0
    record = RunRecord.load(tmp_path / "runs/ease-clicks-paper-leave-one-out/seed-0")
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
    runs = [f"{folder}/ease-clicks-paper/seed-0" for folder in ("weak", "strong")]
    capsys.readouterr()
    assert main(["compare", runs[0], runs[0]]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "ndcg@10" in line)
    assert "+0.0000 to +0.0000" in row
    assert main(["compare", *runs]) == 0
    records = [RunRecord.load(tmp_path / run).metrics["test"]["ndcg@10"] for run in runs]
    row = next(line for line in capsys.readouterr().out.splitlines() if "ndcg@10" in line)
    assert all(f"{figure:.4f}" in row for figure in records)
    assert train("ease", log, "--no-export", "--output", "other", "--seed", "1") == 0
    assert main(["compare", runs[0], "other/ease-clicks-paper/seed-1"]) == 2
    assert "same cases" in capsys.readouterr().err
