"""Commands that there are not, and options that a command does not have: what was probably meant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from tfzoo.errors import nearest


def refuse_unknown_command(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """End the program as `argparse` does, where the command that was given is none.

    Args:
        parser: of all commands.
        arguments: without the program's name.
    """
    # Without a command it is for the parser to say what is missing; before it stand --help and --version.
    given = next(iter(arguments), "-")
    known = _commands(parser)
    if not given.startswith("-") and given not in known:
        parser.error(f"unknown command '{given}'. {nearest(given, list(known))}")


def refuse_unknown(parser: argparse.ArgumentParser, command: str, unknown: Sequence[str]) -> NoReturn:
    """End the program with the usage of the command and a message, as `argparse` does.

    Args:
        parser: of all commands.
        command: that was given.
        unknown: what it does not take.
    """
    known = _commands(parser)[command]
    named = [argument.partition("=")[0] for argument in unknown if argument.startswith("-")]
    hint = f" {_hint(named[0], command, known)}" if named else ""
    known.error(f"unrecognized arguments: {' '.join(unknown)}.{hint}")


def _hint(name: str, command: str, known: argparse.ArgumentParser) -> str:
    key = name.lstrip("-").replace("-", "_")
    if command == "train":
        # Imported late: nothing else here needs the settings.
        from tfzoo.training.settings import Recipe

        for group in ("training", "filter", "split"):
            fields = getattr(Recipe.model_fields[group].annotation, "model_fields", {})
            if key in fields:
                return f"It is a setting of the recipe: --set {group}.{key}=VALUE."
    return nearest(name, [option for option in known._option_string_actions if option.startswith("--")])


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (commands,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(commands.choices)
