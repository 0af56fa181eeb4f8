"""Options of the commands that describe models."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfzoo.cli.options import Commands


def add_catalogue_commands(commands: Commands, exit_status: str) -> None:
    """Add the commands ``list``, ``info`` and ``pages``.

    Args:
        commands: where to add them.
        exit_status: what their help says of the exit status.
    """
    parser = commands.add_parser(
        "list",
        help="find models by name, task, family and year",
        description="List the models that fit, with their best recorded figures.",
        epilog=exit_status,
    )
    parser.add_argument("pattern", nargs="?", default="*", help="names with wildcards, such as '*-knn'")
    parser.add_argument("--task", help="such as rating or implicit")
    parser.add_argument("--family", help="such as towers, autoencoder or neighbourhood")
    parser.add_argument(
        "--year", metavar="YEAR", help="of the paper: 2017, 2010..2020, 2015.. or ..2014; some print none"
    )
    _results(parser)
    parser = commands.add_parser(
        "info",
        help="tell what is known of one model",
        description="Print a model's paper, inputs, size, recipes, figures and differences from the paper.",
        epilog=exit_status,
    )
    parser.add_argument("model", help="name of the model, see 'tfzoo list'")
    _results(parser)
    parser = commands.add_parser(
        "pages",
        help="write a page for every model",
        description="Write docs/models/ from the registry, the recipes and the run records.",
        epilog=exit_status,
    )
    for name in ("docs", "results"):
        parser.add_argument(f"--{name}", type=Path, default=Path(name), help=f"folder (default: {name})")


def _results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FOLDER",
        help="run records, or runs (default: results, where it has some)",
    )
