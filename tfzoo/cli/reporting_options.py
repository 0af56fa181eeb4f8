"""Options of the commands that make tables and plots of runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfzoo.cli.options import Commands, data_option, device_options


def add_reporting_commands(commands: Commands, exit_status: str) -> None:
    """Add the commands ``results``, ``plot``, ``reproduce``, ``compare`` and ``significance``.

    Args:
        commands: where to add them.
        exit_status: what their help says of the exit status.
    """
    _results(commands, exit_status)
    _plot(commands, exit_status)
    _reproduce(commands, exit_status)
    _compare(commands, exit_status)
    _significance(commands, exit_status)


def _results(commands: Commands, exit_status: str) -> None:
    parser = commands.add_parser(
        "results",
        help="print the table of all run records",
        description="Summarise run records over seeds, ours beside the paper's.",
        epilog=exit_status,
    )
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("runs")], help="default: runs")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to a Markdown file")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every metric to a CSV file")
    parser.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="draw the tables; needs the extra 'plots'"
    )
    parser.add_argument(
        "--collect",
        type=Path,
        metavar="FOLDER",
        help="copy the records there, with a short history of seed 0",
    )


def _plot(commands: Commands, exit_status: str) -> None:
    parser = commands.add_parser(
        "plot",
        help="draw the training curves of runs, their errors and their vectors",
        description="Draw loss and validation metric against the epoch into the folders of runs; with "
        "--errors, --lengths or --embeddings, draw these instead. Needs the extra 'plots'.",
        epilog=exit_status,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--errors",
        action="store_true",
        help="draw the test figures by how often training has seen the user and the item",
    )
    parser.add_argument(
        "--lengths",
        action="store_true",
        help="draw the test metrics of lists of 1 to 20 items; all runs in one figure, beside the first",
    )
    parser.add_argument(
        "--embeddings",
        action="store_true",
        help="draw the vectors of items, and of users where the model has some, on principal components",
    )
    parser.add_argument(
        "--dimensions", type=int, choices=[2, 3], default=2, help="of --embeddings (default: 2)"
    )
    _runs_options(parser)


def _reproduce(commands: Commands, exit_status: str) -> None:
    parser = commands.add_parser(
        "reproduce",
        help="train what the tables of papers lack, and write the tables from the records",
        description="Train the runs of tables that have no record yet, each in a process of its own, collect "
        "their records and write results.md and results.csv from all records. Run it again to go on.",
        epilog=exit_status,
    )
    parser.add_argument(
        "--table",
        action="append",
        default=[],
        metavar="NAME",
        help="quick (every model on ml-100k but those of reviews and sessions), edrs-2, edrs-4, edrs-5, "
        "edrs-hypotheses, classics, autorec, nnmf, halim-1, elmimouni-1, ncf, dmf, recbole, multvae, "
        "gru4rec; may be repeated",
    )
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME", help="this model's runs alone"
    )
    parser.add_argument("--all", action="store_true", help="all tables")
    parser.add_argument(
        "--preset", choices=["quick"], help="quick: every model once on ml-100k, as --table quick"
    )
    parser.add_argument("--seeds", type=int, default=1, help="seeds 0..N-1 of each run (default: 1)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once (default: 1)")
    parser.add_argument("--fresh", action="store_true", help="also train what --results already holds")
    parser.add_argument("--dry-run", action="store_true", help="say what would be trained")
    for name, what in (("output", "runs"), ("results", "results"), ("docs", "docs")):
        parser.add_argument(f"--{name}", type=Path, default=Path(what), help=f"folder (default: {what})")


def _compare(commands: Commands, exit_status: str) -> None:
    parser = commands.add_parser(
        "compare",
        help="compare two trained runs on the same test cases",
        description="Difference of two runs' metrics with a 95 % interval, by a paired bootstrap of users. "
        "Two folders of several seeds are compared over all that both have.",
        epilog=exit_status,
    )
    parser.add_argument("first", type=Path, metavar="RUN", help="folder of a run, or of its seeds")
    parser.add_argument("second", type=Path, metavar="RUN", help="folder of another run on the same split")
    parser.add_argument("--part", default="test", help="part of the split (default: test)")
    parser.add_argument("--seed", type=int, default=0, help="fixes the resamples (default: 0)")
    _runs_options(parser)


def _significance(commands: Commands, exit_status: str) -> None:
    parser = commands.add_parser(
        "significance",
        help="compare the ranked rows of tables, with intervals",
        description="Keep the single test cases of records beside them, rebuilt from the trained models of "
        "runs and from closed forms, and write the differences between the rows that are ranked together: "
        "intervals by a paired bootstrap of users over all seeds, p values corrected for the comparisons "
        "of a table.",
        epilog=exit_status,
    )
    parser.add_argument("--dataset", metavar="NAME", help="rebuild test cases on this data set alone")
    for name, what in (("results", "of collected records"), ("runs", "of trained models")):
        parser.add_argument(
            f"--{name}", type=Path, default=Path(name), help=f"folder {what} (default: {name})"
        )
    device_options(parser)


def _runs_options(parser: argparse.ArgumentParser) -> None:
    data_option(parser, "runs'")
    device_options(parser)
