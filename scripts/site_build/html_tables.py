"""Tables that scroll inside a container of their own, which the keyboard reaches."""

from __future__ import annotations

import html
import re

LONG = 40

PIECE = re.compile(r"<h[1-6][^>]*>(?P<heading>.*?)</h[1-6]>|<table>(?P<table>.*?)</table>", re.DOTALL)
PERMALINK = re.compile(r'<a class="headerlink".*?</a>', re.DOTALL)
CELL = re.compile(r"<td(?P<rest>[^>]*)>(?P<text>.*?)</td>", re.DOTALL)
TAG = re.compile(r"<[^>]+>")


def scrolling_tables(text: str) -> str:
    """Wrap every plain table of a page.

    Args:
        text: HTML of a page.

    Returns:
        The HTML; each container is named after the heading above its table.
    """
    heading, count = "", 0

    def replace(match: re.Match[str]) -> str:
        nonlocal heading, count
        if match["table"] is None:
            heading, count = TAG.sub("", PERMALINK.sub("", match["heading"])).strip(), 0
            return match[0]
        count += 1
        label = f"Table {count}: {heading}" if count > 1 else f"Table: {heading}"
        label = html.escape(html.unescape(label))
        return (
            f'<div class="table-scroll" tabindex="0" role="region" aria-label="{label}">'
            f'<table class="zoo-table">{CELL.sub(_cell, _without_empty_head(match["table"]))}</table></div>'
        )

    return PIECE.sub(replace, text)


def _without_empty_head(table: str) -> str:
    """Drop a head whose cells are all empty: Markdown demands one, readers hear it as nameless columns."""
    head = re.search(r"<thead>(.*?)</thead>", table, re.DOTALL)
    return table.replace(head[0], "") if head and not TAG.sub("", head[1]).strip() else table


def _cell(match: re.Match[str]) -> str:
    """Keep figures with their deviations, and mark cells of much text, which would be squeezed otherwise."""
    text = match["text"].replace(" ± ", "\u00a0±\u00a0")
    mark = ' class="long"' if len(TAG.sub("", text)) >= LONG and "class=" not in match["rest"] else ""
    return f"<td{mark}{match['rest']}>{text}</td>"
