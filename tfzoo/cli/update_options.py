"""Options of the command that goes on from a run with new interactions."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfzoo.cli.options import Commands, reading_options


def add_update_command(commands: Commands, exit_status: str) -> None:
    """Add the command ``update``.

    Args:
        commands: where to add it.
        exit_status: what its help says of the exit status.
    """
    parser = commands.add_parser(
        "update",
        help="go on from a trained run with new interactions, users and items",
        description="Train a run further on new interactions and export the next version of its model. New "
        "users and items get rows of their own, all others stay what they are; closed forms are solved "
        "anew. The earlier run is left as it is, see docs/online-learning.md.",
        epilog=exit_status,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of the run to go on from")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        required=True,
        help="the new interactions: a CSV, TSV, JSON-lines or Parquet file",
    )
    parser.add_argument(
        "--run-data", type=Path, metavar="PATH", help="where the run's own data lies now, if it was moved"
    )
    parser.add_argument(
        "--replay",
        type=float,
        default=0.0,
        metavar="FRACTION",
        help="share of the earlier data that is trained on again, against forgetting (default: 0)",
    )
    parser.add_argument(
        "--epochs", type=int, help="passes over what is trained on (default: as many as the run found best)"
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="training.KEY=VALUE",
        help="replace one setting of the training, such as training.learning_rate=0.001; may be repeated",
    )
    _columns(parser)
    parser.add_argument(
        "--output", type=Path, default=Path("runs"), help="folder of the runs (default: runs)"
    )
    parser.add_argument("--name", help="what to call the new run (default: the run's name and a short hash)")
    parser.add_argument(
        "--export-dir",
        type=Path,
        default=Path("saved_models"),
        help="folder of the exported models (default: saved_models)",
    )
    parser.add_argument("--no-export", action="store_true", help="do not export the next version")
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto")


def _columns(parser: argparse.ArgumentParser) -> None:
    for name, what in (
        ("user", "user ids"),
        ("item", "item ids"),
        ("rating", "ratings"),
        ("time", "times"),
        ("text", "texts of reviews"),
    ):
        parser.add_argument(
            f"--{name}-col", help=f"column of --data with the {what} (default: as for the run's own file)"
        )
    parser.add_argument(
        "--duplicates",
        choices=["error", "first", "last", "mean", "keep"],
        help="what to do with several rows of one user for one item (default: last; keep for sessions)",
    )
    reading_options(parser, "--data")
    # Of `tfzoo train`, which reads files by the same rules.
    parser.set_defaults(dataset="", min_rating=None, label_col=None, field_cols=None, number_cols=None)
