"""Drawings of a model's graph as SVG: boxes, arrows, and a frame around each model within the model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from tfzoo.reporting.graph import Graph, Node
from tfzoo.reporting.graph_layout import GAP_Y, Layout, Point, place

# Sans-serif letters are narrower than this on average: text stays inside its box in every font.
LETTER, BOLD_LETTER = 6.4, 7.4
LINE, PADDING, MARGIN, TITLE = 15.0, 9.0, 14.0, 20.0
STYLE = (
    "text{font:11px sans-serif;text-anchor:middle;fill:#222}"
    ".name{font-weight:bold}.shape{fill:#555}"
    ".title{font-weight:bold;text-anchor:start;fill:#3b6ea5}"
    ".layer{fill:#eef3f9;stroke:#3b6ea5}.end{fill:#fdf1e3;stroke:#d9822b}"
    ".group{fill:#fafafa;stroke:#999;stroke-dasharray:4 3}"
    ".edge{fill:none;stroke:#666;marker-end:url(#arrow)}"
)
ARROW = (
    '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#666"/></marker>'
)


@dataclass(frozen=True)
class _Drawn:
    """A graph with the places of its nodes, and of those of the graphs inside."""

    graph: Graph
    layout: Layout
    inner: dict[str, _Drawn]
    outputs: dict[str, str]


def draw_graph(graph: Graph, title: str) -> str:
    """Draw a graph.

    Args:
        graph: from `tfzoo.reporting.graph.read_graph`.
        title: for who cannot see it.

    Returns:
        An SVG document, the same for the same graph. Inputs and outputs have a colour of their own.
    """
    drawn = _arrange(graph, outputs=True)
    width, height = drawn.layout.width + 2 * MARGIN, drawn.layout.height + 2 * MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style><defs>{ARROW}</defs>",
        '<rect width="100%" height="100%" rx="6" fill="#fff"/>',
        *_shapes(drawn, (MARGIN, MARGIN)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _arrange(graph: Graph, *, outputs: bool) -> _Drawn:
    inner, sizes = {}, {}
    for key, node in graph.nodes.items():
        if node.inner is None:
            sizes[key] = _box_size(node)
        else:
            inner[key] = _arrange(node.inner, outputs=False)
            layout = inner[key].layout
            width = max(layout.width, LETTER * len(node.name)) + 2 * MARGIN
            sizes[key] = (width, layout.height + TITLE + 2 * MARGIN)
    edges = list(graph.edges)
    ends = {}
    if outputs:
        # An output is a box of its own, unless the layer that gives it already has that name.
        for name, key in graph.outputs.items():
            if graph.nodes[key].name != name:
                ends[f"output:{name}"] = name
                sizes[f"output:{name}"] = _box_size(Node(name, "", graph.nodes[key].shape))
                edges.append((key, f"output:{name}"))
    return _Drawn(graph, place(sizes, edges), inner, ends)


def _texts(node: Node) -> list[tuple[str, str]]:
    """Return the lines in a box, each with its style."""
    if node.is_input:
        return [("name", node.name), ("shape", f"{node.kind} {node.shape}")]
    lines = [("name", node.name)] if node.name else []
    return [*lines, *([("", node.kind)] if node.kind else []), ("shape", node.shape)]


def _box_size(node: Node) -> Point:
    lines = _texts(node)
    widths = [len(text) * (BOLD_LETTER if style == "name" else LETTER) for style, text in lines]
    return max(widths) + 2 * PADDING, LINE * len(lines) + PADDING


def _shapes(drawn: _Drawn, origin: Point) -> Iterator[str]:
    left, top = origin
    graph, layout = drawn.graph, drawn.layout
    for key, node in graph.nodes.items():
        x, y = layout.corners[key][0] + left, layout.corners[key][1] + top
        if node.inner is None:
            is_end = node.is_input or key in [k for n, k in graph.outputs.items() if n == node.name != ""]
            yield from _box(node, x, y, "end" if is_end else "layer")
            continue
        layout_inside = drawn.inner[key].layout
        width, height = layout_inside.width + 2 * MARGIN, layout_inside.height + TITLE + 2 * MARGIN
        width = max(width, LETTER * len(node.name) + 2 * MARGIN)
        yield _rectangle("group", (x, y), (width, height))
        yield f'<text class="title" x="{x + 8:.1f}" y="{y + 14:.1f}">{escape(node.name)}</text>'
        yield from _shapes(drawn.inner[key], _inside(drawn, key, origin))
    for key, name in drawn.outputs.items():
        x, y = layout.corners[key][0] + left, layout.corners[key][1] + top
        yield from _box(Node(name, "", graph.nodes[graph.outputs[name]].shape), x, y, "end")
    for edge, route in layout.routes.items():
        points = [(x + left, y + top) for x, y in route]
        if edge[0] in drawn.inner:
            points[0] = _lower_end(drawn, edge[0], origin)
        for port in graph.ports.get(edge) or [""]:
            known = edge[1] in drawn.inner and port in drawn.inner[edge[1]].layout.corners
            end = _port(drawn, edge[1], port, origin) if known else points[-1]
            yield f'<path class="edge" d="{_path([*points[:-1], end])}"/>'


def _box(node: Node, x: float, y: float, style: str) -> Iterator[str]:
    width, height = _box_size(node)
    yield _rectangle(style, (x, y), (width, height))
    for number, (kind, text) in enumerate(_texts(node), 1):
        attribute = f' class="{kind}"' if kind else ""
        yield f'<text{attribute} x="{x + width / 2:.1f}" y="{y + LINE * number:.1f}">{escape(text)}</text>'


def _rectangle(style: str, corner: Point, size: Point) -> str:
    (x, y), (width, height) = corner, size
    return f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="4"/>'


def _inside(drawn: _Drawn, key: str, origin: Point) -> Point:
    """Return the origin of the graph inside a group."""
    corner = drawn.layout.corners[key]
    return origin[0] + corner[0] + MARGIN, origin[1] + corner[1] + TITLE + MARGIN / 2


def _lower_end(drawn: _Drawn, key: str, origin: Point) -> Point:
    """Return the lower side of the box inside a group that gives the group's output."""
    group = drawn.inner[key]
    last = next(iter(group.graph.outputs.values()))
    x, y = _inside(drawn, key, origin)
    corner, size = group.layout.corners[last], _box_size(group.graph.nodes[last])
    return x + corner[0] + size[0] / 2, y + corner[1] + size[1]


def _port(drawn: _Drawn, key: str, port: str, origin: Point) -> Point:
    """Return the upper side of an input inside a group."""
    group = drawn.inner[key]
    x, y = _inside(drawn, key, origin)
    corner, size = group.layout.corners[port], _box_size(group.graph.nodes[port])
    return x + corner[0] + size[0] / 2, y + corner[1]


def _path(points: list[Point]) -> str:
    """Return a line through points that leaves and arrives downwards."""
    text = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if abs(x0 - x1) < 0.5:
            text += f"L{x1:.1f} {y1:.1f}"
        else:
            bend = min(GAP_Y, (y1 - y0) / 2)
            text += f"C{x0:.1f} {y0 + bend:.1f} {x1:.1f} {y1 - bend:.1f} {x1:.1f} {y1:.1f}"
    return text
