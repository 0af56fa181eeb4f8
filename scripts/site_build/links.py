"""Links between files of the repository as links between pages of the site."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

# Page of the site -> file outside docs/ that it is made of.
BORROWED = {"benchmarks.md": "benchmarks/README.md"}
LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^()\s]+)\)")
ELSEWHERE = re.compile(r"[a-z]+:|#|/", re.IGNORECASE)


@dataclass(frozen=True)
class Borrowed:
    """Where a page's links start from.

    Attributes:
        root: of the repository.
        page: path below docs/ at which the site has the page.
        sources: page -> the file of the repository that it is a copy of.
        known: paths of all files of the site.
    """

    root: Path
    page: str
    sources: Mapping[str, str]
    known: Set[str]

    @property
    def folder(self) -> str:
        """The folder of the repository that relative links start from."""
        return posixpath.dirname(self.sources.get(self.page, f"docs/{self.page}"))


def inside_links(markdown: str, place: Borrowed) -> str:
    """Lead relative links to files of the repository to what the site has of them.

    Args:
        markdown: of a page.
        place: of the page.

    Returns:
        The text, in which a link to a file that the site lacks is its text alone. Links to files that do
        not exist at all are left for the generator to refuse.
    """

    def replace(match: re.Match[str]) -> str:
        target, _, anchor = match["target"].partition("#")
        if ELSEWHERE.match(match["target"]):
            return match[0]
        path = posixpath.normpath(posixpath.join(place.folder, target))
        found = next((page for page, source in place.sources.items() if source == path), None)
        if found is None and path.startswith("docs/"):
            found = path.removeprefix("docs/")
        if found is None or found not in place.known:
            return match["text"] if not match["image"] and (place.root / path).exists() else match[0]
        link = posixpath.relpath(found, posixpath.dirname(place.page) or ".")
        return f"{match['image']}[{match['text']}]({link}{'#' + anchor if anchor else ''})"

    return LINK.sub(replace, markdown)
