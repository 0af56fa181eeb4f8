"""The documents say what the records say."""

import re
from pathlib import Path

import pytest

from tfzoo.models import list_models, registry
from tfzoo.reporting.results import markdown
from tfzoo.reporting.summary import load_records, summarise
from tfzoo.reporting.verdicts import csv_text

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "CHANGELOG.md", "benchmarks/README.md"]
PAGES += sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))


def test_the_results_page_is_what_the_records_give():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert page == markdown(summarise(load_records([ROOT / "results"])))


def test_the_results_table_is_what_the_records_give():
    table = (ROOT / "docs" / "results.csv").read_text(encoding="utf-8")
    assert table == csv_text(summarise(load_records([ROOT / "results"])))


@pytest.mark.parametrize("page", ["README.md", "docs/classics.md"])
def test_figures_with_a_deviation_stand_on_the_results_page(page):
    figures = set(re.findall(r"\d\.\d{4} ± \d\.\d{4}", (ROOT / page).read_text(encoding="utf-8")))
    assert len(figures) > 10
    known = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    assert {figure for figure in figures if figure not in known} == set()


def test_our_figures_in_readme_stand_on_the_results_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Results")[2].partition("\n## ")[0]
    cells = [row.rstrip(" |").rpartition("|")[2] for row in text.splitlines() if row.startswith("| ")]
    figures = set(re.findall(r"\d\.\d{4}", " ".join(cells)))
    assert len(figures) > 60
    known = re.findall(r"\d\.\d{4}", (ROOT / "docs/results.md").read_text(encoding="utf-8"))
    assert figures - set(known) == set()


def test_readme_names_every_model():
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Models")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE))
    assert named == set(list_models())


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not re.match("https?:|#", target):
            assert ((ROOT / page).parent / target.partition("#")[0]).exists(), target


def code_blocks():
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_keras_example_runs(toy, monkeypatch):
    example = next(block for block in code_blocks() if "model.fit" in block)
    monkeypatch.setattr("tfzoo.data.datasets.load_dataset", lambda name: toy)
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["user_vector"]({"user_id": toy.user_id[:3]}).shape == (3, 40)


def test_the_example_of_a_new_model_runs(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    example = next(block for block in code_blocks() if "@register_model" in block)
    names: dict = {}
    exec("import keras\nfrom tfzoo.layers import *\nfrom tfzoo.models import *\n", names)
    exec(compile(example, "README.md", "exec"), names)
    assert "my-model" in registry.list_models()
    assert names["MyModel"](5, 7).count_params() == 32 * (6 + 8)
