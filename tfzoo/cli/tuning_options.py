"""Options of the command that searches for settings."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from tfzoo.cli.options import Commands, device_options

TRIALS = 30


def add_tuning_command(
    commands: Commands, exit_status: str, data_options: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Add the command ``tune``.

    Args:
        commands: where to add it.
        exit_status: what its help says of the exit status.
        data_options: adds which data is used, as for ``train``.
    """
    parser = commands.add_parser(
        "tune",
        help="search for settings by validation, and write a recipe file with the best",
        description="Try settings of a model, judge them by validation alone, and write the best ones into "
        "FOLDER/recipe.yaml, which 'tfzoo train --recipe' takes. The same command goes on with a search that "
        "was interrupted, or adds trials to it. What may be tried stands in the recipe file under 'search', "
        "see docs/tune.md.",
        epilog=exit_status,
    )
    parser.add_argument("--model", required=True, help="name of the model, see 'tfzoo models'")
    data_options(parser)
    parser.add_argument(
        "--recipe", default="paper", help="paper, tuned, or the path of a .yaml file (default: paper)"
    )
    parser.add_argument("--protocol", help="divide and measure by this protocol, see 'tfzoo models'")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="GROUP.KEY=VALUE",
        help="replace one setting of the recipe in all trials; may be repeated",
    )
    parser.add_argument("--trials", type=int, default=TRIALS, help=f"how many (default: {TRIALS})")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder of the search")
    parser.add_argument("--jobs", type=int, default=1, help="processes that try at once (default: 1)")
    parser.add_argument(
        "--folds",
        type=int,
        metavar="K",
        help="for ratings: judge each trial by K trainings, each without one of K parts of what is not "
        "tested on (default: one training, judged by the validation part)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="fixes split, weights, order and what is tried (default: 0)"
    )
    device_options(parser)
