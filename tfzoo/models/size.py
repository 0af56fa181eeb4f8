"""What a model takes, before it is built."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras

from tfzoo.errors import UsageError
from tfzoo.models.registry import create_model

# A model is looked at first where its largest table could take this share of the memory.
WORTH_A_LOOK = 1 / 8
LEAST_WIDTH = 1024


class Size(NamedTuple):
    """Bytes of all weights, and of those that are trained."""

    weights: int
    trained: int


def size_of(name: str, num_users: int, num_items: int, **options: Any) -> Size:
    """Return what the weights of a model take, without making room for them.

    Args:
        name: of the model.
        num_users: number of known users.
        num_items: number of known items.
        **options: of the builder.

    Raises:
        UsageError: as `create_model`.
    """
    try:
        # In such a scope variables have a shape, and no values.
        with keras.StatelessScope(initialize_variables=False):
            model = create_model(name, num_users, num_items, **options)
        return Size(_bytes(model.weights), _bytes(model.trainable_variables))
    finally:
        # What was not given values here must not be given them later.
        policy = keras.config.dtype_policy()
        keras.utils.clear_session()
        keras.config.set_dtype_policy(policy)


def require_memory(
    name: str, num_users: int, num_items: int, options: Mapping[str, Any], copies: int, limit: int
) -> None:
    """Raise `UsageError` for a model whose weights cannot be trained in so much memory.

    Args:
        name: of the model.
        num_users: number of known users.
        num_items: number of known items.
        options: of the builder.
        copies: of each trained weight that training holds beside it, such as an optimizer's.
        limit: bytes of memory.
    """
    rows = num_users + num_items + max(_numbers(options), default=0) + LEAST_WIDTH
    if 4 * rows**2 < WORTH_A_LOOK * limit:
        return
    size = size_of(name, num_users, num_items, **options)
    needed = size.weights + copies * size.trained
    if needed > limit:
        training = f", and {_text(needed)} with what training holds of them" if needed > size.weights else ""
        raise UsageError(
            f"Model '{name}' for {num_users:,} users and {num_items:,} items does not fit: its weights alone "
            f"take {_text(size.weights)}{training}; there are {_text(limit)} of memory. Choose smaller sizes "
            "(builder.*), fewer users and items (filter.*), or another model."
        )


def _bytes(weights: list[Any]) -> int:
    return sum(math.prod(one.shape) * _width(str(one.dtype)) for one in weights)


def _width(dtype: str) -> int:
    digits = "".join(letter for letter in dtype if letter.isdigit())
    return max(1, int(digits or 8) // 8)


def _numbers(value: Any) -> Iterator[int]:
    """Yield the whole numbers among options, inside lists and tables too."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield abs(value)


def _text(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"
