"""Places for the boxes of a small directed graph, in rows from top to bottom."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Point = tuple[float, float]
Edge = tuple[str, str]
GAP_X, GAP_Y = 18.0, 28.0
SWEEPS = 12


@dataclass(frozen=True)
class Layout:
    """Where everything lies; the origin is the upper left corner.

    Attributes:
        width: of all.
        height: of all.
        corners: upper left corner of each box.
        routes: the points that each edge goes through, from the lower side of its first box to the
            upper side of its second one.
    """

    width: float
    height: float
    corners: Mapping[str, Point]
    routes: Mapping[Edge, Sequence[Point]]


def place(sizes: Mapping[str, Point], edges: Sequence[Edge]) -> Layout:
    """Place boxes so that every edge leads downwards.

    Args:
        sizes: width and height of each box; their order decides between equal places.
        edges: pairs of boxes, without a cycle.

    Returns:
        The same for the same arguments.
    """
    depths = _depths(list(sizes), edges)
    sizes, chains = {**sizes}, {}
    for edge in edges:
        chain = [edge[0]]
        # An edge over several rows keeps a narrow place free in each of them.
        for depth in range(depths[edge[0]] + 1, depths[edge[1]]):
            chain.append(f"{edge[0]}>{edge[1]}>{depth}")
            sizes[chain[-1]], depths[chain[-1]] = (6.0, 0.0), depth
        chains[edge] = [*chain, edge[1]]
    links = [pair for chain in chains.values() for pair in itertools.pairwise(chain)]
    above: dict[str, list[str]] = {node: [] for node in sizes}
    below: dict[str, list[str]] = {node: [] for node in sizes}
    for first, second in links:
        above[second].append(first)
        below[first].append(second)
    rows: list[list[str]] = [[] for _ in range(max(depths.values()) + 1)]
    for node in sizes:
        rows[depths[node]].append(node)
    _order(rows, above, below)
    centres = _centres(rows, sizes, above, below)
    left = min(centres[node] - sizes[node][0] / 2 for node in sizes)
    tops, row_heights, height = {}, {}, 0.0
    for row in rows:
        tall = max(sizes[node][1] for node in row)
        tops.update(dict.fromkeys(row, height))
        row_heights.update(dict.fromkeys(row, tall))
        height += tall + GAP_Y
    routes = {}
    for edge, chain in chains.items():
        x, top = centres[chain[0]] - left, tops[chain[0]]
        points = [(x, top + sizes[chain[0]][1]), (x, top + row_heights[chain[0]])]
        for node in chain[1:-1]:
            x = centres[node] - left
            points += [(x, tops[node]), (x, tops[node] + row_heights[node])]
        routes[edge] = [*points, (centres[chain[-1]] - left, tops[chain[-1]])]
    corners = {node: (centres[node] - sizes[node][0] / 2 - left, tops[node]) for node in sizes}
    width = max(corners[node][0] + sizes[node][0] for node in sizes)
    boxes = {node: corner for node, corner in corners.items() if ">" not in node}
    return Layout(width, height - GAP_Y, boxes, routes)


def _depths(nodes: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Return the row of each box: below all that lead to it."""
    depths = dict.fromkeys(nodes, 0)
    for _ in nodes:
        for first, second in edges:
            depths[second] = max(depths[second], depths[first] + 1)
    return depths


def _order(rows: list[list[str]], above: Mapping[str, list[str]], below: Mapping[str, list[str]]) -> None:
    """Sort each row by the places of the neighbours in the row before, down and up in turn."""
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        neighbours = above if down else below
        for number in range(len(rows)) if down else reversed(range(len(rows))):
            places = {node: place for row in rows for place, node in enumerate(row)}
            own = {node: float(place) for place, node in enumerate(rows[number])}
            means = {
                node: statistics.fmean([places[other] for other in neighbours[node]] or [own[node]])
                for node in rows[number]
            }
            rows[number].sort(key=lambda node: (means[node], own[node]))


def _centres(
    rows: Sequence[Sequence[str]],
    sizes: Mapping[str, Point],
    above: Mapping[str, list[str]],
    below: Mapping[str, list[str]],
) -> dict[str, float]:
    """Return the middle of each box: near its neighbours' middles, and apart from the others."""
    centres: dict[str, float] = {}
    for row in rows:
        total = sum(sizes[node][0] for node in row) + GAP_X * (len(row) - 1)
        left = -total / 2
        for node in row:
            centres[node] = left + sizes[node][0] / 2
            left += sizes[node][0] + GAP_X
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        neighbours = above if down else below
        for row in rows if down else reversed(rows):
            wanted = {
                node: statistics.fmean([centres[other] for other in neighbours[node]] or [centres[node]])
                for node in row
            }
            _apart(row, sizes, wanted, centres)
    return centres


def _apart(
    row: Sequence[str], sizes: Mapping[str, Point], wanted: Mapping[str, float], centres: dict[str, float]
) -> None:
    """Put the boxes of a row as near to what is wanted as their widths allow, in their order."""
    blocks: list[list[str]] = []
    starts: list[float] = []
    for node in row:
        blocks.append([node])
        starts.append(wanted[node] - sizes[node][0] / 2)
        # Boxes that would overlap stand side by side, around the mean of what they want.
        while len(blocks) > 1 and starts[-2] + _span(blocks[-2], sizes) + GAP_X > starts[-1]:
            last = blocks.pop()
            starts.pop()
            blocks[-1] = blocks[-1] + last
            offsets, reach = [], 0.0
            for member in blocks[-1]:
                offsets.append(wanted[member] - (reach + sizes[member][0] / 2))
                reach += sizes[member][0] + GAP_X
            starts[-1] = statistics.fmean(offsets)
    for block, start in zip(blocks, starts, strict=True):
        left = start
        for node in block:
            centres[node] = left + sizes[node][0] / 2
            left += sizes[node][0] + GAP_X


def _span(block: Sequence[str], sizes: Mapping[str, Point]) -> float:
    return sum(sizes[node][0] for node in block) + GAP_X * (len(block) - 1)
