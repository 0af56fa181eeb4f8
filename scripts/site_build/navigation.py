"""The navigation of mkdocs.yml with its wildcards filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

REST = "..."


def expand(nav: Sequence[Any], titles: Mapping[str, str]) -> list[Any]:
    """Fill in the wildcards of a navigation, and leave out what has no page.

    Args:
        nav: entries as in mkdocs.yml; ``folder/`` stands for the pages of a folder, its index first, and
            ``...`` for the pages that no entry names.
        titles: page -> title, of all pages.

    Returns:
        Entries of pages that exist; a section without any is left out.
    """
    rest = sorted(set(titles) - _named(nav, titles))
    return [found for entry in nav for found in _entries(entry, titles, rest)]


def _entries(entry: Any, titles: Mapping[str, str], rest: Sequence[str]) -> list[Any]:
    if entry == REST:
        return [{titles[page]: page} for page in rest]
    if isinstance(entry, str):
        return [entry] if entry in titles else []
    ((title, target),) = entry.items()
    if isinstance(target, str):
        if not target.endswith("/"):
            return [{title: target}] if target in titles else []
        found = [
            page if page == f"{target}index.md" else {titles[page]: page} for page in _folder(target, titles)
        ]
    else:
        found = [child for part in target for child in _entries(part, titles, rest)]
    return [{title: found}] if found else []


def _folder(folder: str, titles: Mapping[str, str]) -> list[str]:
    pages = sorted(page for page in titles if page.startswith(folder))
    index = f"{folder}index.md"
    return [*([index] if index in pages else []), *(page for page in pages if page != index)]


def _named(nav: Any, titles: Mapping[str, str]) -> set[str]:
    """Return the pages that entries name, by themselves or by their folder."""
    if isinstance(nav, str):
        return set(_folder(nav, titles)) if nav.endswith("/") else {nav}
    parts = nav.values() if isinstance(nav, Mapping) else nav
    return {page for part in parts for page in _named(part, titles)}
