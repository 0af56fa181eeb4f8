#!/usr/bin/env python
"""Write what docs/architecture.md shows of the code: the drawing of the rooms, and the tables in it."""

import ast
import re
from pathlib import Path

from tfzoo.evaluation import EVALUATORS
from tfzoo.inputs.base import INPUTS
from tfzoo.models.glossary import WORDS
from tfzoo.tasks import TASKS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
DRAWING = ROOT / "docs" / "assets" / "architecture.svg"
PACKAGE = "tfzoo"
WIDTH, HEIGHT, GAP = 132, 30, 14
STYLE = "font: 13px sans-serif; text-anchor: middle; dominant-baseline: central"


def imports() -> dict[str, set[str]]:
    """Return the rooms that each room imports from; the package's own files that no room is are left out."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        room = path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        targets = found.setdefault(room, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            targets |= {name.split(".")[1] for name in names if name.startswith(f"{PACKAGE}.")}
    return {room: (targets & found.keys()) - {room} for room, targets in found.items()}


def floors(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return the rooms by floor, lowest first: a room stands above all that it imports from."""
    floor: dict[str, int] = {}

    def height(room: str) -> int:
        if room not in floor:
            floor[room] = 1 + max((height(target) for target in edges[room]), default=-1)
        return floor[room]

    highest = max(map(height, edges))
    return [sorted(room for room in edges if floor[room] == number) for number in range(highest + 1)]


def drawing() -> str:
    """Return the floors as SVG, the highest on top; a line leads from a room to the next floor it needs."""
    edges = imports()
    rows = floors(edges)
    width = max(map(len, rows)) * (WIDTH + GAP) + GAP
    place = {}
    for number, row in enumerate(reversed(rows)):
        left = (width - len(row) * (WIDTH + GAP) + GAP) // 2
        for column, room in enumerate(row):
            place[room] = (left + column * (WIDTH + GAP), GAP + number * (HEIGHT + 2 * GAP))
    lines, boxes = [], []
    for room, (x, y) in place.items():
        below = [target for target in edges[room] if place[target][1] == y + HEIGHT + 2 * GAP]
        for target in sorted(below):
            to = place[target]
            lines.append(
                f'<path d="M{x + WIDTH // 2} {y + HEIGHT}L{to[0] + WIDTH // 2} {to[1]}" stroke="#8899aa"/>'
            )
        boxes.append(f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5" fill="#e8eef6"/>')
        boxes.append(f'<text x="{x + WIDTH // 2}" y="{y + HEIGHT // 2}" fill="#1c2733">{room}</text>')
    height = len(rows) * (HEIGHT + 2 * GAP) + GAP // 2
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" style="{STYLE}">'
    title = "<title>The rooms of tfzoo by floor: each imports from lower ones</title>"
    return "\n".join([head, title, *lines, *boxes, "</svg>"]) + "\n"


def tables() -> dict[str, str]:
    """Return name -> the table that stands between its marks in the page."""
    words = [f"| `{word}` | {meaning} |" for word, meaning in WORDS.items()]
    tasks = [
        f"| `{name}` | {_first_line(task)} | `{task.evaluation}` |"
        for name, task in sorted(TASKS.items(), key=lambda item: item[1].place)
    ]
    inputs = [f"| `{name}` | {_first_line(one)} |" for name, one in INPUTS.items()]
    evaluators = [f"| `{name}` | {_first_line(one)} |" for name, one in EVALUATORS.items()]
    return {
        "glossary": "\n".join(["| argument | meaning |", "|---|---|", *words]),
        "tasks": "\n".join(["| task | what it learns | evaluator |", "|---|---|---|", *tasks]),
        "inputs": "\n".join(["| input | what fills it |", "|---|---|", *inputs]),
        "evaluators": "\n".join(["| evaluator | what it does |", "|---|---|", *evaluators]),
    }


def _first_line(part: object) -> str:
    line = (part.__doc__ or "").splitlines()[0]
    return line.rstrip(".").replace("``", "`")


def page(text: str) -> str:
    """Return the page with its tables as the code has them now."""
    for name, table in tables().items():
        marks = f"<!-- {name} -->", f"<!-- end of {name} -->"
        block = re.compile(f"{marks[0]}.*?{marks[1]}", re.DOTALL)
        if not block.search(text):
            raise SystemExit(f"{PAGE} lacks the marks {marks[0]} and {marks[1]}.")
        text = block.sub(lambda _, table=table, marks=marks: f"{marks[0]}\n{table}\n{marks[1]}", text)
    return text


def main() -> None:
    """Write the drawing and the page."""
    DRAWING.write_text(drawing(), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
