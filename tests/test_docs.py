"""The documents say what the records say."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.patience import PATIENCE
from tfzoo.models import list_models, registry
from tfzoo.reporting.intervals import read_intervals
from tfzoo.reporting.results import markdown
from tfzoo.reporting.summary import load_records, summarise
from tfzoo.reporting.verdicts import csv_text

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "CHANGELOG.md", "benchmarks/README.md"]
PAGES += sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))


def test_the_results_page_is_what_the_records_give():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    known = read_intervals([ROOT / "results"])
    assert page == markdown(summarise(load_records([ROOT / "results"])), known)


def test_the_results_table_is_what_the_records_give():
    table = (ROOT / "docs" / "results.csv").read_text(encoding="utf-8")
    assert table == csv_text(summarise(load_records([ROOT / "results"])))


@pytest.mark.parametrize(
    ("page", "fewest"), [("README.md", 3), ("docs/headline.md", 20), ("docs/classics.md", 11)]
)
def test_figures_with_a_deviation_stand_on_the_results_page(page, fewest):
    figures = set(re.findall(r"\d\.\d{4} ± \d\.\d{4}", (ROOT / page).read_text(encoding="utf-8")))
    assert len(figures) >= fewest
    known = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    assert {figure for figure in figures if figure not in known} == set()


@pytest.mark.parametrize(
    ("page", "heading", "fewest"), [("README.md", "## Results", 10), ("docs/headline.md", "# ", 61)]
)
def test_our_figures_stand_on_the_results_page(page, heading, fewest):
    text = (ROOT / page).read_text(encoding="utf-8").partition(heading)[2].partition("\n## ")[0]
    cells = [row.rstrip(" |").rpartition("|")[2] for row in text.splitlines() if row.startswith("| ")]
    figures = set(re.findall(r"\d\.\d{4}", " ".join(cells)))
    assert len(figures) >= fewest
    known = re.findall(r"\d\.\d{4}", (ROOT / "docs/results.md").read_text(encoding="utf-8"))
    assert figures - set(known) == set()


def test_readme_and_the_page_of_families_name_every_model():
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Models")[2].partition("\n## ")[0]
    linked = re.findall(r"\[`([a-z0-9-]+)`\]\(docs/models/([a-z0-9-]+)\.md\)", table)
    assert sorted(linked) == [(name, name) for name in sorted(list_models())]
    families = (ROOT / "docs" / "families.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", families, re.MULTILINE)) == set(list_models())


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not re.match("https?:|#", target):
            assert ((ROOT / page).parent / target.partition("#")[0]).exists(), target


def code_blocks(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_keras_example_runs(toy, monkeypatch):
    example = next(block for block in code_blocks("docs/keras.md") if "model.fit" in block)
    monkeypatch.setattr("tfzoo.data.datasets.load_dataset", lambda name: toy)
    names: dict = {}
    exec(compile(example, "example", "exec"), names)
    assert names["user_vector"]({"user_id": toy.user_id[:3]}).shape == (3, 40)


def test_the_example_of_a_data_frame_runs(toy, tmp_path, monkeypatch, capsys):
    example = next(block for block in code_blocks("README.md") if "tfzoo.fit" in block)
    assert len(example.strip().splitlines()) <= 8
    monkeypatch.chdir(tmp_path)
    columns = {"user": toy.user_id, "movie": toy.item_id, "stars": toy.ratings}
    pd.DataFrame(columns).to_csv("ratings.csv", index=False)
    exec(compile(example, "example", "exec"), {})
    printed = capsys.readouterr().out
    assert "ndcg@10" in printed
    assert "item_id" in printed


def test_the_example_of_a_new_model_runs(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    example = next(block for block in code_blocks("docs/add-a-model.md") if "@register_model" in block)
    names: dict = {}
    exec(compile(example, "example", "exec"), names)
    assert "my-model" in registry.list_models()
    assert names["MyModel"](5, 7).count_params() == 32 * (6 + 8)


def test_the_example_of_a_new_model_works_where_its_page_puts_it(toy, tmp_path):
    ignored = shutil.ignore_patterns("__pycache__", "pretrained_models")
    shutil.copytree(ROOT / "tfzoo", tmp_path / "tfzoo", ignore=ignored)
    page = (ROOT / "docs" / "add-a-model.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:python|yaml)\n(.*?)```", page, re.DOTALL)[:2]
    for path, text in zip(re.findall(r"`(tfzoo/[a-z/-]+my[_-]model[a-z./]*)`", page), blocks, strict=True):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    columns = {"user_id": toy.user_id, "item_id": toy.item_id, "rating": toy.ratings}
    pd.DataFrame(columns).to_csv(tmp_path / "ratings.csv", index=False)
    code = """
from tfzoo.cli import main
fast = ["--set", "training.epochs=2", "--set", "training.jit_compile=false", "--no-export"]
assert main(["train", "--model", "my-model", "--data", "ratings.csv", *fast]) == 0
assert main(["info", "my-model"]) == 0
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert "my-model on ratings, recipe paper*" in done.stdout
    assert "Me. My model. My venue, 2026." in done.stdout
    assert "16·users + 16·items" not in done.stdout
    assert "32·users + 32·items + 64" in done.stdout
