"""The site in a browser, under the strict content policy that it is made for."""

import functools
import http.server
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest

from tests.patience import PATIENCE

ROOT = Path(__file__).parents[1]
POLICY = "default-src 'self'; style-src 'self'; img-src 'self' data:"
PHONE, DESK = (390, 844), (1280, 900)
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER or not DRIVER, reason="no Chromium with its driver was found"),
    pytest.mark.skipif(
        not importlib.util.find_spec("mkdocs"), reason="needs what builds the site: pip install -e '.[docs]'"
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of a fresh build, in which warnings are errors: with --quiet they would pass unseen."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site):
    """Where the site is served with the policy, below a folder as on a project's host."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self):
            self.send_header("Content-Security-Policy", POLICY)
            super().end_headers()

        def log_message(self, *arguments):
            pass

    handler = functools.partial(Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    if not os.environ.get("CI"):
        pytest.importorskip("selenium", reason="needs Selenium: pip install -e '.[test]'")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER)) as driver:
        driver.set_page_load_timeout(PATIENCE)
        yield driver


def resize(browser, size):
    """Set the size of the page itself: windows do not get as narrow as telephones."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False},
    )


def pages_of(site):
    return sorted(path.parent.relative_to(site).as_posix() for path in site.rglob("index.html"))


LOOK = """
// Parts of the theme slide to their place when the width changes.
await new Promise(requestAnimationFrame);
await Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => null)));
const images = [...document.images];
for (const image of images) image.loading = "eager";
await Promise.all(images.map((image) => image.decode().catch(() => null)));
return {
  overflow: document.documentElement.scrollWidth - innerWidth,
  broken: images.filter((image) => !image.naturalWidth).map((image) => image.src),
  nameless: images.filter((image) => !image.alt.trim()).map((image) => image.src),
  links: [...document.querySelectorAll("a[href]")].map((link) => link.href),
  ids: [...document.querySelectorAll("[id], a[name]")].map((element) => element.id || element.name),
  reach: [...document.querySelectorAll(".table-scroll")].every((box) => box.tabIndex === 0 && box.ariaLabel),
  headings: document.querySelectorAll("article h1").length,
};
"""


def look_at(browser):
    return browser.execute_script(f"return (async () => {{{LOOK}}})()")


def complaints(browser):
    return [
        entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")
    ]


def test_every_page_loads_without_complaint_at_both_widths(browser, address, site):
    faults, links, ids = [], {}, {}
    browser.get_log("browser")
    for page in pages_of(site):
        url = urljoin(address, "" if page == "." else f"{page}/")
        browser.get(url)
        for size in (DESK, PHONE):
            resize(browser, size)
            seen = look_at(browser)
            faults += (
                [f"{page} at {size[0]}: {seen['overflow']} pixels too wide"] if seen["overflow"] > 0 else []
            )
        for name in ("broken", "nameless"):
            faults += [f"{page}: {name} image {image}" for image in seen[name]]
        faults += [f"{page}: a table that the keyboard does not reach"] if not seen["reach"] else []
        faults += [f"{page}: {seen['headings']} first headings"] if seen["headings"] != 1 else []
        faults += [f"{page}: {message}" for message in complaints(browser)]
        links[page], ids[url] = seen["links"], set(seen["ids"])
    for page, targets in links.items():
        faults += [
            f"{page}: {fault}"
            for target in sorted(set(targets))
            for fault in broken(target, address, site, ids)
        ]
    assert len(links) > 30
    assert not faults, "\n".join(faults)


def broken(target, address, site, ids):
    """Yield what is wrong with a link to this site."""
    url, anchor = urldefrag(target)
    if not url.startswith(address):
        return
    path = site / urlsplit(url).path.lstrip("/")
    if not (path / "index.html" if path.is_dir() else path).is_file():
        yield f"link to {url}, which does not exist"
    elif anchor and url in ids and anchor not in ids[url] | {"__top"}:
        yield f"link to {url}, which has no {anchor}"


def test_nothing_is_asked_of_another_host(site):
    foreign = re.compile(r"""<(?:link|script|img|iframe)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^>]*>""")
    found = [
        hit for path in site.rglob("*.html") for hit in foreign.findall(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def visible_rows(browser):
    """Return the values of the rows that are shown, in their order."""
    return browser.execute_script("""
        const all = (selector) => [...document.querySelectorAll(`#leaderboard-table ${selector}`)];
        const names = all("th").map((head) => head.dataset.column);
        return all("tbody tr").filter((row) => !row.hidden).map((row) =>
          Object.fromEntries([...row.cells].map((cell, index) => [names[index], cell.dataset.value])));
    """)


@pytest.fixture
def board(browser, address):
    resize(browser, DESK)
    browser.get(urljoin(address, "leaderboard/"))
    browser.get_log("browser")
    yield browser
    assert complaints(browser) == []


def head(board, column):
    return board.find_element("css selector", f"#leaderboard-table th[data-column={column}]")


def figures(board, column="ours"):
    return [float(row[column]) for row in visible_rows(board) if row[column]]


def test_the_mouse_sorts(board):
    button = head(board, "ours").find_element("tag name", "button")
    before = sorted(figures(board))
    button.click()
    assert head(board, "ours").get_attribute("aria-sort") == "ascending"
    assert figures(board) == before
    button.click()
    assert head(board, "ours").get_attribute("aria-sort") == "descending"
    assert figures(board) == before[::-1]
    head(board, "model").find_element("tag name", "button").click()
    assert head(board, "ours").get_attribute("aria-sort") == "none"
    assert (names := [row["model"] for row in visible_rows(board)]) == sorted(names, key=str.casefold)


def test_rows_without_a_figure_come_last_either_way(board):
    button = head(board, "printed").find_element("tag name", "button")
    for _ in range(2):
        button.click()
        blank = [not row["printed"] for row in visible_rows(board)]
        assert any(blank)
        assert blank == sorted(blank)


def test_the_keyboard_sorts_and_filters(board):
    from selenium.webdriver import ActionChains, Keys

    def press(*keys):
        ActionChains(board).send_keys(*keys).perform()

    def tab_to(selector):
        for _ in range(300):
            if board.execute_script(f"return document.activeElement.matches({selector!r})"):
                return
            press(Keys.TAB)
        pytest.fail(f"Tab does not reach {selector}")

    tab_to("#filter-dataset")
    press("m", "l", "-", "1", "m")
    assert {row["dataset"] for row in visible_rows(board)} == {"ml-1m"}
    tab_to(".leaderboard-scroll")
    tab_to("th[data-column=ours] button")
    outline = board.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    press(Keys.ENTER)
    assert figures(board) == sorted(figures(board))
    press(Keys.SPACE)
    assert head(board, "ours").get_attribute("aria-sort") == "descending"
    assert figures(board) == sorted(figures(board), reverse=True)


@pytest.mark.parametrize("name", ["dataset", "protocol", "metric", "family", "verdict"])
def test_each_filter_leaves_its_rows_and_no_others(board, name):
    from selenium.webdriver.support.select import Select

    Select(board.find_element("id", "filter-metric")).select_by_value("")
    total = len(visible_rows(board))
    field = Select(board.find_element("id", f"filter-{name}"))
    values = [
        value for option in field.options if (value := option.get_attribute("value")) not in ("", "printed")
    ]
    assert len(values) > 1
    counts = []
    for value in values:
        field.select_by_value(value)
        shown = [row[name] for row in visible_rows(board)]
        assert set(shown) == {"" if value == "none printed" else value}
        assert board.find_element("id", "leaderboard-count").text == f"{len(shown)} of {total} rows"
        counts.append(len(shown))
    assert sum(counts) == total


def test_what_is_chosen_stands_in_the_address(board, address):
    from selenium.webdriver.support.select import Select

    default = len(visible_rows(board))
    Select(board.find_element("id", "filter-dataset")).select_by_value("ml-1m")
    chosen = len(visible_rows(board))
    assert 0 < chosen < default
    board.get(board.current_url)
    assert board.current_url.endswith("leaderboard/?dataset=ml-1m")
    assert len(visible_rows(board)) == chosen
    board.find_element("css selector", ".filter-reset").click()
    board.execute_async_script("setTimeout(arguments[0], 50)")
    assert len(visible_rows(board)) == default
    assert board.current_url == urljoin(address, "leaderboard/")


def test_a_phone_scrolls_the_table_and_not_the_page(board):
    resize(board, PHONE)
    box = board.find_element("css selector", ".leaderboard-scroll")
    inner, outer = board.execute_script("return [arguments[0].scrollWidth, arguments[0].clientWidth]", box)
    assert inner > outer
    assert outer < PHONE[0]


def test_the_whole_table_is_there_without_scripts(browser, address, site):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(urljoin(address, "leaderboard/"))
        lines = len(browser.find_elements("css selector", "#leaderboard-table tbody tr"))
        assert not browser.find_element("id", "leaderboard-filters").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert lines == (site / "results.csv").read_text(encoding="utf-8").count("\n") - 1


def test_search_finds_a_model(board):
    from selenium.webdriver.support.wait import WebDriverWait

    board.find_element("css selector", "input.md-search__input").send_keys("autorec")
    found = "return [...document.querySelectorAll('.md-search-result__link')].map((link) => link.href)"
    hits = WebDriverWait(board, 20).until(lambda driver: driver.execute_script(found))
    assert any("/models/i-autorec/" in hit for hit in hits)


def test_dark_mode_stays_chosen(board):
    board.find_element("css selector", "label[title='Switch to light mode']").click()
    board.find_element("css selector", "label[title='Switch to dark mode']").click()
    board.refresh()
    assert board.find_element("tag name", "body").get_attribute("data-md-color-scheme") == "slate"
    board.execute_script("localStorage.clear()")
