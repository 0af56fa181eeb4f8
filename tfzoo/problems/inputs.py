"""Builder arguments that the inputs of a model decide."""

from __future__ import annotations

# By the name of the input.
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "dense": ("dense_size",),
    "fields": ("field_sizes",),
    "item_features": ("item_features",),
    "user_features": ("user_features",),
}


def input_arguments(name: str) -> tuple[str, ...]:
    """Return the names of the builder's arguments that an input decides."""
    return _ARGUMENTS.get(name, ())


def automatic_arguments() -> tuple[str, ...]:
    """Return those of all inputs, for which a recipe may say ``auto``."""
    return tuple(argument for arguments in _ARGUMENTS.values() for argument in arguments)


def declare_arguments(name: str, arguments: tuple[str, ...]) -> None:
    """Say which arguments an input decides that came with another package."""
    if arguments:
        _ARGUMENTS.setdefault(name, arguments)
