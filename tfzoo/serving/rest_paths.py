"""Paths of TensorFlow Serving's RESTful API, read as it reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from tfzoo.errors import UsageError
from tfzoo.serving.export import LARGEST_VERSION
from tfzoo.serving.json_tensors import short

# The names of the parts in any case, as there. Versions have ASCII digits.
_MODEL = r"/v1/models/(?P<model>[^/:]+)(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
PATHS = {
    "GET": re.compile(rf"(?i){_MODEL}(?P<action>/metadata)?"),
    "POST": re.compile(rf"(?i){_MODEL}:(?P<action>classify|regress|predict)"),
}
WITHOUT_MODEL = re.compile(r"(?i)/v1/models/?")
# A request to a proxy names the server before the path.
ORIGIN = re.compile(r"(?i)https?://[^/?]*")


@dataclass(frozen=True)
class Target:
    """What a path asks for.

    Attributes:
        model: its name, unescaped.
        version: its number; None for the one that is served.
        label: of a version; None where there is none.
        action: ``status``, ``metadata``, ``predict``, ``classify`` or ``regress``.
    """

    model: str
    version: int | None
    label: str | None
    action: str


def is_of_the_api(raw_path: str) -> bool:
    """Return whether a path, as it was sent, lies under ``/v1/``."""
    return re.match("(?i)/v1/", _without_origin(raw_path)) is not None


def parse_path(method: str, raw_path: str) -> Target:
    """Return what a request asks for.

    Args:
        method: such as ``GET``.
        raw_path: as it was sent, without the query string.

    Raises:
        UsageError: there is no such path for this method, or the version is no number of 64 bits.
    """
    path = _without_origin(raw_path)
    if method == "GET" and WITHOUT_MODEL.fullmatch(path):
        raise UsageError(f"Missing model name in request: GET {short(path)}.")
    match = PATHS[method].fullmatch(path) if method in PATHS else None
    # The name of a prediction counts in small letters alone, as there.
    if match is None or (method == "POST" and match["action"] != match["action"].lower()):
        raise UsageError(
            f"Malformed request: {method} {short(path)}. Ask GET /v1/models/NAME or "
            "GET /v1/models/NAME/metadata or POST /v1/models/NAME:predict; /versions/NUMBER may follow NAME."
        )
    digits, label = match["version"], match["label"]
    # Twenty digits are more than 64 bits whatever follows, and reading very many takes long.
    version = None if digits is None else int(digits.lstrip("0")[:20] or "0")
    if version is not None and version > LARGEST_VERSION:
        raise UsageError(f"The version {short(digits)} is no number of 64 bits.")
    return Target(
        model=unquote(match["model"]),
        version=version,
        label=None if label is None else unquote(label),
        action=(match["action"] or "status").removeprefix("/").lower(),
    )


def _without_origin(path: str) -> str:
    return ORIGIN.sub("", path, count=1) if not path.startswith("/") else path
