"""Runs a tutorial page: its blocks in order, in one namespace and one folder, and checks what it promises.

``python -m tests.tutorial_runner PAGE FOLDER`` runs the page PAGE in FOLDER. A page is plain Markdown:

- ```` ```python ```` blocks share one namespace; ```` ```bash ```` blocks each run through ``bash -e``.
- A ```` ```text ```` block behind one of them is what it prints. A line ``...`` stands for any lines,
  ``...`` within a line for any text. Numbers are equal unless a comment before the block gives them room:
  ``<!-- decimals within 0.05, whole numbers within 3 -->``.
- ``<!-- not executed: WHY -->`` before a block leaves it out.
- Blocks of other languages are for reading.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(
    r"(?:^<!--\s*(?P<comment>.*?)\s*-->\n\s*)?^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```$", re.M | re.S
)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?![\w])")
PORT = "8501"
COMMAND = """#!{python}
import sys
sys.path.insert(1, {root!r})
from tfzoo.cli import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Room:
    """How far printed numbers may lie from those of the page."""

    decimals: float = 0.0
    whole: float = 0.0

    @classmethod
    def of(cls, comment: str) -> Room:
        """Read it from the comment before a block."""
        found = {
            name: float(value) for name, value in re.findall(r"(decimals|numbers) within ([\d.]+)", comment)
        }
        return cls(found.get("decimals", 0.0), found.get("numbers", 0.0))


@dataclass(frozen=True)
class Block:
    """A block to be executed.

    Attributes:
        language: ``"python"`` or ``"bash"``.
        code: what to execute.
        line: of the page where the block begins.
        promised: what it prints, None where the page does not show it.
        room: how far the numbers in it may be off.
        skipped: why it is not executed, None where it is.
    """

    language: str
    code: str
    line: int
    promised: str | None = None
    room: Room = Room()
    skipped: str | None = None


def read_page(text: str) -> list[Block]:
    """Return the blocks of a page that can be executed, in order."""
    blocks: list[Block] = []
    end = None
    for match in BLOCK.finditer(text):
        comment, language, code = match["comment"] or "", match["language"], match["code"]
        # Only what stands straight behind a block is its output.
        follows = end is not None and not text[end : match.start()].strip()
        end = None
        if language in ("python", "bash"):
            reason = re.match(r"not executed: (.+)", comment)
            line = text.count("\n", 0, match.start("code"))
            blocks.append(Block(language, code, line, skipped=reason and reason[1]))
            end = match.end()
        elif language == "text" and follows:
            last = blocks.pop()
            blocks.append(Block(last.language, last.code, last.line, code, Room.of(comment), last.skipped))
    return blocks


def difference(promised: str, printed: str, room: Room) -> str | None:
    """Return what is wrong with the printed lines, None where they are the promised ones."""
    wanted, found = _lines(promised), _lines(printed)
    position = 0
    anywhere = False
    for line in wanted:
        if line == "...":
            anywhere = True
            continue
        rest = found[position:]
        hits = [number for number, other in enumerate(rest) if _alike(line, other, room)]
        if not hits or (hits[0] > 0 and not anywhere):
            shown = "\n".join(rest[:10]) or "nothing"
            return f"promised: {line}\nprinted:  {shown}"
        position += hits[0] + 1
        anywhere = False
    if position < len(found) and not anywhere:
        return f"more was printed than promised: {found[position]}"
    return None


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _alike(promised: str, printed: str, room: Room) -> bool:
    pieces = [re.escape(piece) for piece in NUMBER.split(promised)]
    number = f"({NUMBER.pattern})"
    pattern = number.join(piece.replace(re.escape("..."), ".*") for piece in pieces)
    match = re.fullmatch(pattern, printed)
    if match is None:
        return False
    return all(_near(a, b, room) for a, b in zip(NUMBER.findall(promised), match.groups(), strict=True))


def _near(promised: str, printed: str, room: Room) -> bool:
    decimal = "." in promised or "." in printed
    distance = abs(float(promised.replace(",", "")) - float(printed.replace(",", "")))
    return distance <= (room.decimals if decimal else room.whole) + 1e-9


def run_page(page: Path) -> int:
    """Execute a page in this process and folder; returns the number of executed blocks.

    Raises:
        RuntimeError: a block fails, or prints something other than promised.
    """
    names: dict[str, object] = {"__name__": "__main__"}
    port = str(_free_port())
    executed = 0
    for block in read_page(page.read_text(encoding="utf-8")):
        if block.skipped is not None:
            continue
        where = f"{page.name}, line {block.line}"
        # The port of the page may be taken on this machine.
        code = re.sub(rf"\b{PORT}\b", port, block.code)
        print(f"--- {where}", flush=True)
        if block.language == "bash":
            printed = _run_bash(code, where)
        else:
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(code, where, "exec"), names)
            printed = output.getvalue()
        print(printed, flush=True)
        if block.promised is not None:
            promised = re.sub(rf"\b{PORT}\b", port, block.promised)
            wrong = difference(promised, printed, block.room)
            if wrong is not None:
                raise RuntimeError(f"{where}: {wrong}")
        executed += 1
    return executed


def _run_bash(code: str, where: str) -> str:
    # Into a file: what a server that goes on running holds open must not keep this waiting.
    with open("bash.out", "w+", encoding="utf-8") as output:
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", code], stdout=output, stdin=subprocess.DEVNULL
        )
        output.seek(0)
        printed = output.read()
    if done.returncode:
        raise RuntimeError(f"{where}: bash ended with status {done.returncode} after\n{printed}")
    return printed


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a page: this checkout's ``tfzoo``, and pip that installs into ``folder``."""
    tools, site = folder / ".tools", folder / ".site"
    tools.mkdir()
    site.mkdir()  # Python forgets folders on its path that are not there when it starts.
    command = tools / "tfzoo"
    command.write_text(COMMAND.format(python=sys.executable, root=str(ROOT)), encoding="utf-8")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
        "TFZOO_CLONE": str(ROOT),
        "PIP_TARGET": str(site),
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    page_file = Path(sys.argv[1]).resolve()
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    os.chdir(sys.argv[2])
    sys.path.insert(0, os.getcwd())
    print(f"{run_page(page_file)} blocks were executed.")
