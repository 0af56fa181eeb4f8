"""Citations of papers."""

from __future__ import annotations

import re
import unicodedata

from tfzoo.models.registry import ModelInfo

DOI = "https://doi.org/"
ET_AL = " et al."
SPECIAL = str.maketrans({character: f"\\{character}" for character in "&%$#_"})


def bibtex(info: ModelInfo) -> str:
    """Return the BibTeX entry of a model's paper.

    The registry knows surnames and one line on where the paper stands. Fields that it does not know
    are left out, and so is the kind of publication.

    Args:
        info: of the model; its name is the end of the key.
    """
    paper = info.paper
    surnames = paper.authors.removesuffix(ET_AL).split(", ")
    if paper.authors.endswith(ET_AL):
        surnames.append("others")
    first = unicodedata.normalize("NFKD", surnames[0]).encode("ascii", "ignore").decode().lower()
    key = re.sub("[^a-z]", "", first) + str(paper.year or "") + re.sub("[^a-z0-9]", "", info.name)
    fields = {
        "author": " and ".join(surnames).translate(SPECIAL),
        # A second pair of braces keeps the capitals.
        "title": f"{{{paper.title.translate(SPECIAL)}}}",
        "howpublished": paper.venue.translate(SPECIAL),
        "year": str(paper.year or ""),
        "doi": paper.url.removeprefix(DOI) if paper.url.startswith(DOI) else "",
        "url": "" if paper.url.startswith(DOI) else paper.url,
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])
