"""Messages of the rooms below name options of the command line; who calls Python is told its keywords."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tfzoo.errors import TfzooError

# A whole command stays what it is; a setting, or else any option, becomes a keyword.
WORDS = re.compile(
    r"(?P<command>tfzoo [a-z]+(?: -\S+ \w+)*)"
    r"|(?<![\w-])--set (?P<group>[a-z]+)\.(?P<name>\w+)=(?P<value>\w+)"
    r"|(?<![\w-])--(?P<option>[a-z]+(?:-[a-z]+)*)"
)
# What `fit` takes with the data, or leaves to what reads them.
READERS = {"time-unit", "rating-scale"}
VALUES = {"null": "None", "true": "True", "false": "False"}


def as_keywords(text: str) -> str:
    """Return a message in which options of the command line are keyword arguments.

    Args:
        text: such as ``Give --set builder.biases=null`` or ``--min-rating says which``.

    Returns:
        Such as ``Give builder__biases=None`` or ``min_rating= says which``.
    """
    return WORDS.sub(_keyword, text)


def _keyword(found: re.Match[str]) -> str:
    if found["command"]:
        return found[0]
    if found["group"]:
        return f"{found['group']}__{found['name']}={VALUES.get(found['value'], found['value'])}"
    keyword = f"{found['option'].replace('-', '_')}="
    return f"{keyword} of tfzoo.from_dataframe" if found["option"] in READERS else keyword


@contextmanager
def keywords_in_errors() -> Iterator[None]:
    """Let errors that tfzoo raises on purpose name keyword arguments, where they name options."""
    try:
        yield
    except TfzooError as error:
        error.args = tuple(as_keywords(arg) if isinstance(arg, str) else arg for arg in error.args)
        raise
