"""The documents say what the records say."""

import re
from pathlib import Path

import pytest

from tfzoo.models import list_models
from tfzoo.reporting.results import load_records, markdown, summarise

ROOT = Path(__file__).parent.parent


def test_the_results_page_is_what_the_records_give():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert page == markdown(summarise(load_records([ROOT / "results"])))


def test_readme_names_every_model():
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Models")[2]
    named = set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))
    assert named == set(list_models())


@pytest.mark.parametrize("page", ["README.md", "docs/results.md", "docs/edrs-reproduction.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), target
