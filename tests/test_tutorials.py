"""The tutorials can be followed: every command is one, and every block does what its page says."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys

import pytest

from tests.tutorial_runner import ROOT, Room, difference, environment, read_page, run_page
from tfzoo.cli.main import build_parser

FOLDER = ROOT / "docs" / "tutorials"
PAGES = sorted(page.stem for page in FOLDER.glob("*.md") if page.stem != "index")
NEEDS_DATA = ("data-frame", "reuse")
TIMEOUT = 1500  # Seconds; a tenth of that on a machine that does nothing else.


def blocks_of(page):
    return read_page((FOLDER / f"{page}.md").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.data] if page in NEEDS_DATA else []) for page in PAGES]
)
def test_a_page_does_what_it_says(page, tmp_path):
    command = [sys.executable, "-m", "tests.tutorial_runner", str(FOLDER / f"{page}.md"), str(tmp_path)]
    log = tmp_path / ".log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            env=environment(tmp_path),
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(timeout=TIMEOUT)
        finally:
            # A page that failed half way has left its server running.
            _end_group(process.pid)
    printed = log.read_text(encoding="utf-8")
    assert status == 0, printed[-6000:]
    executed = sum(block.skipped is None for block in blocks_of(page))
    assert printed.splitlines()[-1] == f"{executed} blocks were executed."


def _end_group(group):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_blocks_and_shows_what_they_print(page):
    blocks = blocks_of(page)
    assert sum(block.skipped is None for block in blocks) >= 5
    assert sum(block.promised is not None for block in blocks) >= 3
    assert all(block.promised.strip() != "..." for block in blocks if block.promised is not None)
    for block in blocks:
        if block.language == "python":
            compile(block.code, page, "exec")


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_are_commands(page):
    code = "".join(block.code for block in blocks_of(page) if block.language == "bash")
    lines = [line for line in code.replace("\\\n", " ").splitlines() if line.startswith("tfzoo ")]
    assert lines or page in NEEDS_DATA
    for line in lines:
        command = re.split(r"\s(?:\d?>|&|\|)", line)[0]
        build_parser().parse_args(shlex.split(command)[1:])


def test_the_index_leads_to_every_page():
    text = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert {f"{page}.md" for page in PAGES} == set(re.findall(r"\]\(([\w-]+\.md)\)", text))


@pytest.mark.parametrize("page", ["index", *PAGES])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", (FOLDER / f"{page}.md").read_text(encoding="utf-8")):
        assert (FOLDER / target).exists(), target


PAGE = """# A page

```python
count = 3
```

```python
print("count", count, 0.5)
```

<!-- decimals within 0.1 -->
```text
count 3 0.45
```

Not its output:

```text
nothing
```

<!-- not executed: needs a ship -->
```bash
exit 3
```

```bash
echo from bash > made; cat made
```

```text
from bash
```
"""


def write_page(folder, text):
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


def test_blocks_are_read_with_what_they_promise():
    blocks = read_page(PAGE)
    assert [block.language for block in blocks] == ["python", "python", "bash", "bash"]
    assert [block.promised for block in blocks] == [None, "count 3 0.45\n", None, "from bash\n"]
    assert [block.skipped for block in blocks] == [None, None, "needs a ship", None]
    assert blocks[1].room == Room(decimals=0.1)
    assert [PAGE.splitlines()[block.line - 1] for block in blocks] == ["```python"] * 2 + ["```bash"] * 2


def test_a_page_keeps_its_names_and_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_page(write_page(tmp_path, PAGE)) == 3
    assert (tmp_path / "made").read_text() == "from bash\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("count = 3", "count = 4", "line 7: promised: count 3 0.45"),
        ("0.45", "0.35", "promised: count 3 0.35"),
        ("echo from bash", "echo from fish", "promised: from bash\nprinted:  from fish"),
        ("cat made", "false; cat made", "bash ended with status 1"),
        ("cat made", "false | cat made", "bash ended with status 1"),
        ("cat made", "cat made; echo more", "more was printed than promised: more"),
    ],
)
def test_a_page_that_is_wrong_fails(tmp_path, monkeypatch, old, new, message):
    monkeypatch.chdir(tmp_path)
    assert old in PAGE
    with pytest.raises(RuntimeError, match=re.escape(message)):
        run_page(write_page(tmp_path, PAGE.replace(old, new)))


def test_a_server_left_running_does_not_hold_a_page_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = "```bash\nsleep 100 &\necho $! > pid\n```\n\n```bash\nkill $(cat pid)\n```\n"
    assert run_page(write_page(tmp_path, page)) == 2


@pytest.mark.parametrize(
    ("promised", "printed", "room"),
    [
        ("a\nb", "a\n\n  b\n", Room()),
        ("...\nb 2", "x\ny\nb 2", Room()),
        ("a\n...", "a\nx\ny", Room()),
        ("a\n...\nd", "a\nb\nc\nd", Room()),
        ("in ... s", "in 3.2 s", Room()),
        ("[1.5,2.25]", "[1.52,2.2]", Room(decimals=0.06)),
        ("│ 1 │ rock-05 │", "│ 1 │ rock-07 │", Room(whole=2)),
        ("12,000 rows", "12,001 rows", Room(whole=1)),
    ],
)
def test_what_is_as_promised(promised, printed, room):
    assert difference(promised, printed, room) is None


@pytest.mark.parametrize(
    ("promised", "printed", "room"),
    [
        ("a\nb", "b\na", Room()),
        ("a", "a\nb", Room()),
        ("a\nb", "a", Room()),
        ("...\nb", "x\ny", Room()),
        ("rmse 0.75", "rmse 0.81", Room(decimals=0.05)),
        ("rmse 0.75", "mae 0.75", Room(decimals=0.05)),
        ("3 rows", "4 rows", Room(decimals=5)),
        ("rmse 0.75", "rmse nan", Room(decimals=5, whole=5)),
        ("u001", "u002", Room(whole=5)),
        ("-0.5", "0.5", Room(decimals=0.1)),
    ],
)
def test_what_is_not_as_promised(promised, printed, room):
    assert difference(promised, printed, room) is not None
