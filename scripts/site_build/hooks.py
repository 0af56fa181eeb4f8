"""What the site generator calls while it builds: pages from elsewhere, navigation, tables, leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from api_reference import api_pages
from html_tables import scrolling_tables
from leaderboard import MARK, leaderboard_html, read_families, read_rows
from links import BORROWED, Borrowed, inside_links
from mkdocs.structure.files import File, Files
from mkdocs.utils import get_relative_url
from navigation import expand


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are kept elsewhere or made of sources, and fill the navigation."""
    root = Path(config.config_file_path).parent
    generated = {
        place: (root / source).read_text(encoding="utf-8") for place, source in borrowed(root).items()
    }
    generated |= api_pages(root / "tfzoo")
    for place, text in generated.items():
        files.append(File.generated(config, place, content=text))
    titles = {file.src_uri: first_heading(file) for file in files.documentation_pages()}
    config.nav = expand(config.nav, titles)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead links to files of the repository to their pages, or leave them as text."""
    root = Path(config.config_file_path).parent
    pages = borrowed(root)
    known = {file.src_uri for file in files}
    return inside_links(markdown, Borrowed(root, page.file.src_uri, pages, known))


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Let wide tables scroll by themselves, and put the leaderboard where its page asks for it."""
    html = scrolling_tables(html)
    if MARK not in html:
        return html
    docs = Path(config.docs_dir)
    addresses = {
        Path(file.src_uri).stem: get_relative_url(file.url, page.url)
        for file in files.documentation_pages()
        if file.src_uri.startswith("models/")
    }
    return html.replace(
        MARK, leaderboard_html(read_rows(docs / "results.csv"), read_families(docs), addresses)
    )


def borrowed(root: Path) -> dict[str, str]:
    """Return page -> file of the repository it is a copy of, for those that docs/ does not have itself."""
    return {
        place: source
        for place, source in BORROWED.items()
        if (root / source).is_file() and not (root / "docs" / place).is_file()
    }


def first_heading(file: File) -> str:
    """Return the title that a page gives itself; its name without one."""
    lines = (line for line in file.content_string.splitlines() if line.startswith("# "))
    return next(lines, f"# {Path(file.src_uri).stem}")[2:].strip().strip("`")
