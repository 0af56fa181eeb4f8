"""Exports for ONNX Runtime and LiteRT from the command line."""

import json
import sys

import numpy as np
import pytest

from tests.places import run_of, seed_of
from tests.serving.runtimes import EVERY_FORMAT, runner
from tfzoo.cli import main
from tfzoo.cli.main import build_parser
from tfzoo.runs import load_model
from tfzoo.serving.formats import FORMATS, SAVED_MODEL
from tfzoo.training.record import RunRecord

FAST = ("training.epochs=2", "training.batch_size=32", "training.jit_compile=false")
RUN = run_of("pmf", "ratings", FAST)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a folder with ``ratings.csv`` and a finished run."""
    folder = tmp_path_factory.mktemp("trained")
    random = np.random.default_rng(0)
    pairs = [(user, item) for user in range(12) for item in range(8) if random.random() < 0.8]
    lines = [f"u{user},{10 * item},{(user + item) % 5 + 1}" for user, item in pairs]
    (folder / "ratings.csv").write_text("\n".join(["user_id,item_id,rating", *lines]) + "\n")
    arguments = ["train", "--model", "pmf", "--data", "ratings.csv", "--no-export"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*arguments, *(part for setting in FAST for part in ("--set", setting))]) == 0
    return folder


@pytest.fixture
def there(trained, monkeypatch):
    monkeypatch.chdir(trained)
    monkeypatch.setenv("COLUMNS", "200")
    return trained


def export(*options):
    return main(["export", "--run", RUN, *options])


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_a_run_is_exported_and_answers_for_the_ids_of_the_file(there, tmp_path, capsys, name):
    options = ("--export-dir", str(tmp_path), "--format", name)
    for number in ("1", "2"):
        assert export(*options) == 0
        version = tmp_path / f"pmf-ratings-{name}" / number
        shown = f"{FORMATS[name].title}: {version / FORMATS[name].file}"
        assert capsys.readouterr().out.strip().splitlines()[-1] == shown
    assert [path.name for path in tmp_path.iterdir()] == [f"pmf-ratings-{name}"]
    metadata = json.loads((version / "tfzoo.json").read_text(encoding="utf-8"))
    record = RunRecord.load(there / RUN)
    assert metadata["model"] == "pmf"
    assert metadata["metrics"] == record.metrics
    assert metadata["recipe"]["training"]["epochs"] == 2
    assert str(there) not in json.dumps(metadata)

    lines = {side: (version / f"{side}.txt").read_text().splitlines() for side in ("users", "items")}
    ids = {
        "user_id": np.array([lines["users"].index("u3") + 1, lines["users"].index("u11") + 1, 0], np.int32),
        "item_id": np.array([lines["items"].index("70") + 1, lines["items"].index("0") + 1, 3], np.int32),
    }
    assert [tensor["name"] for tensor in metadata["inputs"]] == sorted(ids)
    found = runner(name, version / metadata["file"])(ids)
    expected = load_model(there / RUN)(ids, training=False)
    assert list(found) == ["rating"]
    np.testing.assert_allclose(found["rating"], expected["rating"].numpy(), rtol=0, atol=1e-5)
    assert np.ptp(found["rating"]) > 0


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_the_words_of_reviews_are_written(there, tmp_path, name):
    lines = (there / "ratings.csv").read_text().splitlines()
    texts = ["text", *(("good film", "bad", "a good end")[row % 3] for row in range(len(lines) - 1))]
    reviews = "".join(f"{line},{text}\n" for line, text in zip(lines, texts, strict=True))
    (tmp_path / "reviews.csv").write_text(reviews)
    settings = ("training.epochs=1", "training.jit_compile=false", "builder.document_length=9")
    options = ["--model", "deepconn", "--text-col", "text", "--output", str(tmp_path), "--no-export"]
    options += [part for setting in settings for part in ("--set", setting)]
    assert main(["train", "--data", str(tmp_path / "reviews.csv"), *options]) == 0
    run = seed_of(tmp_path, "deepconn-reviews-paper")
    assert main(["export", "--run", str(run), "--export-dir", str(tmp_path), "--format", name]) == 0
    version = tmp_path / f"deepconn-reviews-{name}" / "1"
    words = (version / "words.txt").read_text().splitlines()
    assert words[0] == "good"
    assert set(words) == {"good", "film", "bad", "a", "end"}
    tokens = np.zeros((1, 9), np.int32)
    tokens[0, :2] = [words.index(word) + 2 for word in ("bad", "film")]
    inputs = {"user_tokens": tokens, "item_tokens": tokens[:, ::-1].copy()}
    expected = load_model(run)(inputs, training=False)["rating"].numpy()
    found = runner(name, version / FORMATS[name].file)(inputs)["rating"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_without_the_option_a_saved_model_is_written(there, tmp_path):
    assert export("--export-dir", str(tmp_path)) == 0
    assert (tmp_path / "pmf-ratings" / "1" / "saved_model.pb").is_file()
    assert not list(tmp_path.glob("pmf-ratings-*"))


def test_the_parser_knows_every_format():
    parser = build_parser()
    assert parser.parse_args(["export"]).format == SAVED_MODEL
    for name in (SAVED_MODEL, *FORMATS):
        assert parser.parse_args(["export", "--format", name]).format == name


def test_an_unknown_format_is_refused(there, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        export("--export-dir", str(tmp_path), "--format", "onx")
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert all(text in message for text in ("--format", "'onx'", SAVED_MODEL, *FORMATS))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [["--keep-seen"], ["--index", "exact"]])
def test_options_of_recommended_lists_are_refused(there, tmp_path, capsys, option):
    assert export("--export-dir", str(tmp_path), "--format", "onnx", *option) == 2
    message = (
        f"tfzoo: error: {option[0]} is a matter of recommended lists, which --format onnx does not have.\n"
    )
    assert capsys.readouterr().err == message
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_told_before_the_data_is_read(there, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    arguments = ["export", "--run", "nowhere", "--export-dir", str(tmp_path), "--format", "onnx"]
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith("tfzoo: error: Format 'onnx' needs the package 'tf2onnx': ")
    assert message.endswith("Install what it needs with: pip install 'tfzoo[onnx]'\n")
    assert message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
