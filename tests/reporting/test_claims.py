"""Orders that pages state in words are those of the records, and so is the opening of the results."""

import re
from pathlib import Path

import pytest

from tests.reporting.test_ranking import rows
from tfzoo.errors import UsageError
from tfzoo.reporting.claims import check, claims_of
from tfzoo.reporting.opening import anchor, opening, paired_difference
from tfzoo.reporting.ranking import comparisons
from tfzoo.reporting.results import tables_of
from tfzoo.reporting.summary import load_records, split_name, summarise

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/headline.md", "docs/classics.md")
# Words that state an order of models.
ORDER = re.compile(r"\b(better|worse|ahead of|level with|the best of|behind)\b")
TABLE = [
    rows("pmf", [0.9, 1.0, 0.8]),
    rows("svdpp", [0.8, 0.9, 0.85]),
    rows("edrs", [0.7, 0.95]),
    rows("baseline", [0.6, 0.6, 0.6], refit=True),
]


def stated(text):
    return claims_of(f"So it is. <!-- holds: ml-100k, random 70/15/15, rmse{text} -->")[0]


def test_an_order_that_the_records_have_passes():
    check(stated(": svdpp own < pmf own"), TABLE)
    check(stated(": svdpp own 0.8500 < pmf\nown 0.9000"), TABLE)
    # Of the first two seeds: 0.825, 0.85, 0.95.
    check(stated(", seeds 0 to 1: edrs own 0.8250 < svdpp own 0.8500 < pmf own 0.9500"), TABLE)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (": pmf own < svdpp own", r"do not say .*: pmf own 0\.9000, svdpp own 0\.8500"),
        (": svdpp own 0.8400 < pmf own", r"do not say"),
        (": svdpp own < edrs own", r"Train the missing seeds"),
        (": baseline own < pmf own", r"trained on"),
        (", seeds 0 to 2: edrs own < pmf own", r"edrs own lacks some of these seeds"),
        (": svdpp own < pmf tuned", r"0 rows are pmf tuned, expected one"),
        (": svdpp own", r"An order is stated as"),
        (": svdpp < pmf own", r"An order is stated as"),
    ],
)
def test_another_order_unequal_rows_and_no_order_are_refused(text, error):
    with pytest.raises(UsageError, match=error):
        check(stated(text), TABLE)


@pytest.fixture(scope="module")
def summaries():
    return summarise(load_records([ROOT / "results"]))


@pytest.mark.parametrize("page", PAGES)
def test_the_orders_of_a_page_hold(page, summaries):
    claims = claims_of((ROOT / page).read_text(encoding="utf-8"))
    assert claims
    for claim in claims:
        check(claim, summaries)


@pytest.mark.parametrize("page", PAGES)
def test_no_paragraph_on_results_states_an_order_without_its_proof(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    if page == "README.md":
        text = text.partition("## Results")[2].partition("\n## ")[0]
    prose = [part for part in text.split("\n\n") if not part.startswith(("|", "#"))]
    assert [part for part in prose if ORDER.search(part) and "<!-- holds:" not in part] == []


def test_the_tables_of_classics_are_rows_of_the_records_in_their_order(summaries):
    text = (ROOT / "docs/classics.md").read_text(encoding="utf-8").partition("## By more than chance?")[0]
    tables = [part for part in text.split("\n\n") if part.startswith("| model and recipe |")]
    datasets = ["ml-100k", "ml-100k", "ml-1m"]
    for dataset, table in zip(datasets, tables, strict=True):
        known = {
            s.label: s
            for s in summaries
            if s.dataset == dataset and split_name(s.protocol) == "random 70/15/15"
        }
        lines = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]
        found = [known[line[0].replace("`", "")] for line in lines]
        assert [[s.text("rmse"), s.text("mae")] for s in found] == [line[1:3] for line in lines]
        assert [s.mean("rmse") for s in found] == sorted(s.mean("rmse") for s in found)
        assert len({(s.trained_on, s.seeds) for s in found}) == 1
        for summary, line in zip(found, lines, strict=True):
            printed = [summary.reported(metric) for metric in ("rmse", "mae")]
            expected = "" if None in printed else "{:.3f} / {:.3f}".format(*printed)
            assert line[3] == expected


def test_the_difference_over_seeds_by_hand():
    # 0.1, 0.1, -0.05: mean 0.05, deviation sqrt((2 * 0.05² + 0.1²) / 2), over sqrt(3).
    gap, error = paired_difference(TABLE[0], TABLE[1], "rmse")
    assert gap == pytest.approx(0.05)
    assert error == pytest.approx(((2 * 0.05**2 + 0.1**2) / 2 / 3) ** 0.5)


def test_the_opening_says_what_the_tables_say():
    found = {key: comparisons(chosen, "rmse") for key, chosen in tables_of(TABLE).items()}
    verdicts, order = opening(found)
    assert verdicts == "- 0 rows stand beside printed figures: none."
    assert order == (
        "- [ml-100k: random 70/15/15](#ml-100k-random-701515), trained on train, seeds 0 to 2, rmse, all: "
        "`svdpp own` 0.8500 ± 0.0500, `pmf own` 0.9000 ± 0.1000. The first two differ by no more than two "
        "standard errors of their paired differences."
    )
    once = [rows("pmf", [0.9]), rows("svdpp", [0.8])]
    assert len(opening({key: comparisons(once, "rmse") for key in tables_of(once)})) == 1
    clear = [rows("pmf", [0.9, 1.0, 0.8]), rows("svdpp", [0.7, 0.81, 0.6])]
    (found,) = ({key: comparisons(clear, "rmse")} for key in tables_of(clear))
    assert "differ by more than two standard errors" in opening(found)[1]
    computed = [rows("pmf", [0.9, 0.9]), rows("svdpp", [0.7, 0.7])]
    (found,) = ({key: comparisons(computed, "rmse")} for key in tables_of(computed))
    assert "seeds say nothing of chance between them" in opening(found)[1]


def test_links_of_the_opening_lead_to_headings():
    page = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    headings = {anchor(title) for title in re.findall(r"^## (.+)$", page, re.MULTILINE)}
    links = re.findall(r"\]\(#([^)]+)\)", page.partition("## In short")[2].partition("\n## ")[0])
    assert len(links) >= 8
    assert set(links) <= headings
