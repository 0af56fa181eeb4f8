"""Pages show what was recorded, as the benchmarks say it."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import explanations, online_learning
from tfzoo.training.record import DIRTY

ROOT = Path(__file__).parents[1]
PAGES = {"explanations": explanations}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_the_recorded_figures(name):
    content = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    assert not content["environment"]["commit"].endswith(DIRTY)
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    shown = page.partition("<!-- figures -->")[2].partition("<!-- end of figures -->")[0]
    assert shown.strip() == PAGES[name].table(content)


def test_the_table_of_days_pools_all_ratings():
    rows = [
        {"ratings": 1, "never": 4.0, "updated": 1.0, "replayed": 1.0, "retrained": 0.0, "updated_seconds": 2},
        {"ratings": 3, "never": 12.0, "updated": 0.0, "replayed": 8.0, "retrained": 0.0},
    ]
    lines = online_learning.table({"rows": rows, "replay": 0.1}).splitlines()
    assert lines[2] == "| never updated | 2.0000 | 0 |"
    assert lines[3] == "| updated every day | 0.5000 | 2.0 |"
    assert lines[4] == "| updated, with 10% of the earlier data replayed | 1.5000 | 0 |"


def test_what_is_left_of_a_score_is_1_at_first_and_0_at_last():
    assert explanations._left(np.array([5.0, 3.0, 1.0])).tolist() == [1, 0.5, 0]
