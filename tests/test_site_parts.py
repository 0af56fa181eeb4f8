"""What the site is made of: leaderboard rows, drawings, links and navigation."""

import csv
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "scripts" / "site_build"))

from api_reference import api_pages  # noqa: E402
from error_bars import Scale, error_bar, scale_of  # noqa: E402
from html_tables import scrolling_tables  # noqa: E402
from leaderboard import leaderboard_html, read_families, read_rows  # noqa: E402
from links import Borrowed, inside_links  # noqa: E402
from navigation import expand  # noqa: E402

COLUMNS = (
    "dataset,protocol,model,recipe,trained_on,part,metric,source,printed,ours,deviation,seeds,gap,verdict,reason,"
    "parameters,seconds,command"
)
RESULTS = f"""{COLUMNS}
ml,"random: 70/15, refitted with validation",edrs,paper,both,test,rmse,<2>,0.831,0.9,0.1,5,,worse,W,9,1,c
ml,random: 70/15/15,ease,paper,train,test,rmse,,,0.7,,1,,,,9,1,c
ml,random: 70/15/15,ease,paper,train,without fakes,hr@10,,,0.5,,1,,,,9,1,c
"""


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text(RESULTS, encoding="utf-8")
    return read_rows(path)


def table_rows(page):
    """Return the cells' values of each row of the leaderboard, and its attributes."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    found = re.findall(r"<tr( data-printed)?>(.*?)</tr>", body)
    return [(bool(flag), re.findall(r'<td data-value="([^"]*)"', cells)) for flag, cells in found]


def test_every_row_of_the_results_stands_in_the_table(rows):
    page = leaderboard_html(rows, {"edrs": "towers"}, {"edrs": "../models/edrs/"})
    first, second, third = table_rows(page)
    assert first == (
        True,
        [
            "edrs",
            "ml",
            "rmse",
            "0.900000",
            "",
            "0.831000",
            "worse",
            "paper",
            "random",
            "both",
            "towers",
            "5",
        ],
    )
    assert second[0]  # A paper prints this metric of another model.
    assert not third[0]
    assert '<a href="../models/edrs/">edrs</a>' in page
    assert "&lt;2&gt;" in page
    assert "without fakes" in page
    assert "refitted with validation</dd>" in page


def test_the_table_holds_the_committed_results():
    path = ROOT / "docs" / "results.csv"
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    families = read_families(ROOT / "docs")
    found = table_rows(leaderboard_html(read_rows(path), families, {}))
    assert [values[0] for _, values in found] == [line["model"] for line in lines]
    assert all(values[9] and values[10] for _, values in found)
    assert [float(values[3]) for _, values in found] == [float(line["ours"]) for line in lines]


def test_needs_no_inline_scripts_or_styles(rows):
    page = leaderboard_html(rows, {}, {})
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", page)


def test_a_column_that_is_missing_is_named(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text(RESULTS.replace(",verdict,", ",judgement,"), encoding="utf-8")
    with pytest.raises(KeyError, match="verdict"):
        read_rows(path)


def test_scale_holds_figures_deviations_and_prints(rows):
    scale = scale_of(rows[:2])
    assert (scale.low, scale.high) == (0.7, 1.0)
    drawing = error_bar(0.9, 0.1, 0.831, scale)
    left, right = (float(x) for x in re.search(r'"deviation" d="M([\d.]+) 10H([\d.]+)', drawing).groups())
    centre = float(re.search(r'cx="([\d.]+)"', drawing)[1])
    assert right == 152
    assert centre == pytest.approx((left + right) / 2, abs=0.1)
    assert left < float(re.search(r'"paper" d="M([\d.]+) ', drawing)[1]) < centre


def test_a_scale_of_one_figure_draws_it_in_the_middle():
    scale = Scale(0.5, 0.5)
    drawing = error_bar(0.5, None, None, scale)
    assert 'cx="80.0"' in drawing
    assert 'class="deviation"' not in drawing
    assert 'class="paper"' not in drawing


def test_tables_are_named_after_their_heading():
    page = scrolling_tables(
        '<h2 id="a">Size &amp; time<a class="headerlink" href="#a">¶</a></h2>'
        "<table><thead><tr><th></th></tr></thead><tbody>1</tbody></table>"
        f"<table><tr><td>{'long ' * 12}</td><td>0.5 ± 0.1</td></tr></table>"
    )
    assert re.findall('aria-label="(.*?)"', page) == ["Table: Size &amp; time", "Table 2: Size &amp; time"]
    assert "<thead>" not in page
    assert page.count('<td class="long">') == 1
    assert "<td>0.5\u00a0±\u00a00.1</td>" in page


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("plots.md", "[of\nthem](../benchmarks/README.md#a)", "[of\nthem](benchmarks.md#a)"),
        ("models/ease.md", "[all](../results.md)", "[all](../results.md)"),
        ("benchmarks.md", "![x](../docs/plots/x.png)", "![x](plots/x.png)"),
        ("benchmarks.md", "[`a`](../README.md)", "`a`"),
        ("benchmarks.md", "[a](../nowhere.md)", "[a](../nowhere.md)"),
        ("benchmarks.md", "[a](https://example.org/a) [b](#c)", "[a](https://example.org/a) [b](#c)"),
    ],
)
def test_links_lead_to_pages_of_the_site(page, text, expected):
    known = {"benchmarks.md", "plots.md", "results.md", "plots/x.png", "models/ease.md"}
    place = Borrowed(ROOT, page, {"benchmarks.md": "benchmarks/README.md"}, known)
    assert inside_links(text, place) == expected


def test_navigation_fills_wildcards_and_leaves_out_what_is_missing():
    titles = {
        "index.md": "Home",
        "models/index.md": "Models",
        "models/b.md": "B",
        "models/a.md": "A",
        "x.md": "X",
    }
    nav = [
        {"Home": "index.md"},
        {"Models": "models/"},
        {"Lessons": "lessons/"},
        {"More": [{"Y": "y.md"}, "..."]},
    ]
    assert expand(nav, titles) == [
        {"Home": "index.md"},
        {"Models": ["models/index.md", {"A": "models/a.md"}, {"B": "models/b.md"}]},
        {"More": [{"X": "x.md"}]},
    ]


def test_the_reference_has_a_page_for_every_room():
    pages = api_pages(ROOT / "tfzoo")
    assert "::: tfzoo.models" in pages["api/models.md"]
    assert "[`tfzoo.load_dataset`](data.md#tfzoo.data.datasets.load_dataset)" in pages["api/index.md"]
    for target in re.findall(r"\]\((\w+\.md)\)", pages["api/index.md"]):
        assert f"api/{target}" in pages
