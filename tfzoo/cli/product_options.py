"""Options of the commands about the installation."""

from __future__ import annotations

import argparse
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_product_commands(commands: Commands) -> None:
    """Add the command ``doctor``.

    Args:
        commands: where to add it.
    """
    commands.add_parser(
        "doctor",
        help="say what is installed, which devices and data sets are found, and what is missing",
        description="Print the versions of the libraries, devices, memory, data sets, caches and extras. "
        "Works where TensorFlow cannot be imported, and says why.",
        epilog="Exit status: 0 all is there that tfzoo needs, 1 something needed is missing or too old.",
    )


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add ``--version``, which is looked up when it is asked for alone."""
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and end")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        import tfzoo

        print(f"tfzoo {tfzoo.__version__}")
        parser.exit()
