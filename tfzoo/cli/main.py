"""Options of the `tfzoo` command, and what its exit status means."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

from tfzoo.cli.catalogue_options import add_catalogue_commands
from tfzoo.cli.libraries import load_libraries
from tfzoo.cli.mending import not_working, reinstall
from tfzoo.cli.mode import finish_output, output_options, start_output
from tfzoo.cli.options import again_options, click_options, device_options, reading_options, run_option
from tfzoo.cli.product_options import add_product_commands, add_version
from tfzoo.cli.reporting_options import add_reporting_commands
from tfzoo.cli.serving_options import add_serving_commands
from tfzoo.cli.signals import Interrupted, exit_status, farewell, stopping_on_signals
from tfzoo.cli.streams import flush, forget_output, make_printable
from tfzoo.cli.tuning_options import add_tuning_command
from tfzoo.cli.unknown import refuse_unknown, refuse_unknown_command
from tfzoo.cli.update_options import add_update_command
from tfzoo.errors import StorageError, TfzooError
from tfzoo.machine import is_out_of_memory, out_of_memory

EXIT_STATUS = "Exit status: 0 success, 1 failure, 2 wrong use or unusable input."
HINTS = {
    "train": " Continue with the same command and --resume.",
    "tune": " Continue with the same command.",
    "update": " Continue with the same command.",
}
# These say what is wrong with the libraries, or do without them.
WITHOUT_LIBRARIES = {"completion", "doctor", "list", "models", "info"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; those of the process if None.

    Returns:
        The exit status: 0 success, 1 failure, 2 wrong use, 130 interrupted, 143 terminated.
    """
    make_printable()
    parser = build_parser()
    refuse_unknown_command(parser, sys.argv[1:] if argv is None else argv)
    options, unknown = parser.parse_known_args(argv)
    if unknown:
        refuse_unknown(parser, options.command, unknown)
    start_output(options)
    hint = HINTS.get(options.command, "")
    # A server has a way of its own to stop.
    stopping = nullcontext() if options.command == "serve" else stopping_on_signals(hint)
    try:
        with stopping:
            _command(options).run(options)
            finish_output()
            flush()
    except StorageError as error:
        print(f"tfzoo: error: {error}{hint}", file=sys.stderr)
        return error.exit_status
    except TfzooError as error:
        print(f"tfzoo: error: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        # Who reads the output, such as a pager, has ended, which needs no message.
        forget_output()
        return 1
    except OSError as error:
        print(f"tfzoo: error: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        print(f"tfzoo: error: {out_of_memory(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        number = interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT
        print(farewell(number, hint), end="", file=sys.stderr)
        return exit_status(number)
    return 0


def _command(options: argparse.Namespace) -> ModuleType:
    """Import the module of a command, and the libraries that it needs."""
    name = f"tfzoo.cli.{options.command.replace('-', '_')}"
    try:
        if options.command in WITHOUT_LIBRARIES:
            return importlib.import_module(name)
        # Imported late: doctor works without the package that shows it.
        from tfzoo.cli.output import working

        with working("loading TensorFlow and Keras"):
            load_libraries(verbose=options.verbose)
            return importlib.import_module(name)
    except ImportError as error:
        raise not_working([(f"{type(error).__name__}: {error}", reinstall())]) from error


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="tfzoo",
        description="Recommender models that match their papers: train, evaluate, export, recommend.",
        epilog=EXIT_STATUS,
    )
    add_version(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _train(commands)
    add_tuning_command(commands, EXIT_STATUS, _data_options)
    add_update_command(commands, EXIT_STATUS)
    _shard(commands)
    _evaluate(commands)
    add_serving_commands(commands, EXIT_STATUS)
    _models(commands)
    add_catalogue_commands(commands, EXIT_STATUS)
    add_product_commands(commands, EXIT_STATUS)
    add_reporting_commands(commands, EXIT_STATUS)
    for name, command in commands.choices.items():
        if name == "completion":
            # What it prints is for a shell alone.
            command.set_defaults(quiet=False, verbose=False, json=False)
            continue
        nested = [a for a in command._actions if isinstance(a, argparse._SubParsersAction)]
        for one in nested[0].choices.values() if nested else [command]:
            output_options(one)
    return parser


def _train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "train",
        help="train a model, print its results beside the paper's, export it",
        description="Train a model with a recipe, print its results beside the paper's, and export it.",
        epilog=EXIT_STATUS,
    )
    parser.add_argument("--model", required=True, help="name of the model, see 'tfzoo models'")
    _data_options(parser)
    parser.add_argument(
        "--recipe", default="paper", help="paper, tuned, or the path of a .yaml file (default: paper)"
    )
    parser.add_argument(
        "--protocol",
        help="divide and measure by this protocol instead of the recipe's own, see 'tfzoo models'",
    )
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, default=0, help="fixes split, weights and order (default: 0)")
    seeds.add_argument("--seeds", type=int, help="train with seeds 0..N-1 and print mean and deviation")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="GROUP.KEY=VALUE",
        help="replace one setting of the recipe, such as training.epochs=5; may be repeated",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("runs"), help="folder of the runs (default: runs)"
    )
    parser.add_argument(
        "--export-dir",
        type=Path,
        default=Path("saved_models"),
        help="folder of the exported models (default: saved_models)",
    )
    parser.add_argument(
        "--fit-on",
        choices=["train", "all"],
        default="train",
        help="all: once validation has chosen the epoch (or --set training.epochs=N has given it), train the "
        "final model on every interaction, for use; it has no test figures (default: train)",
    )
    parser.add_argument("--no-export", action="store_true", help="do not export a SavedModel")
    parser.add_argument(
        "--name",
        help="what to call the run and its export (default: model, data set and recipe, and a short hash of "
        "what was changed of it)",
    )
    again_options(parser, "continue a run that was interrupted")
    parser.add_argument(
        "--strategy",
        choices=["mirrored", "multiworker"],
        help="train on all devices of this host, or on the hosts that TF_CONFIG names; see "
        "docs/distributed.md (default: one device)",
    )
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="write curves and the items' vectors into the folder of the run, for TensorBoard",
    )
    device_options(parser)


def _shard(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "shard",
        help="turn a file larger than memory into a folder of shards that training streams from",
        description="Read a file in parts, twice, and write its rows, shuffled over Parquet files, with the "
        "vocabularies and a manifest. 'tfzoo train --data FOLDER' trains from it.",
        epilog=EXIT_STATUS,
    )
    parser.add_argument("input", type=Path, metavar="INPUT", help="a CSV, TSV, JSON-lines or Parquet file")
    parser.add_argument("--output", type=Path, required=True, help="folder to make")
    parser.add_argument("--shards", type=int, help="files (default: one a million rows, 4 to 256)")
    parser.add_argument("--format", choices=["parquet"], default="parquet", help="of the shards")
    parser.add_argument("--seed", type=int, default=0, help="fixes which row goes where (default: 0)")
    parser.add_argument("--user-col", default="user_id", help="column with the user ids")
    parser.add_argument("--item-col", default="item_id", help="column with the item ids")
    parser.add_argument("--rating-col", default="rating", help="column with the ratings; '' for none")
    parser.add_argument("--time-col", help="column with the time of the interaction")
    reading_options(parser, "INPUT")


def _evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a trained run again",
        description="Load the model of a run and measure it on a part of the split it was trained with.",
        epilog=EXIT_STATUS,
    )
    run_option(parser)
    parser.add_argument("--part", default="test", help="part of the split (default: test)")
    device_options(parser)


def _models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("models", help="list models, recipes and data sets", epilog=EXIT_STATUS)
    parser.add_argument("pattern", nargs="?", default="*", help="names with wildcards, such as '*-woe'")


def _data_options(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--dataset", default="ml-100k", help="name of a data set (default: ml-100k)")
    source.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="a CSV, TSV, JSON-lines or Parquet file of your own, or a folder of shards",
    )
    parser.add_argument("--user-col", default="user_id", help="column of --data with the user ids")
    parser.add_argument("--item-col", default="item_id", help="column of --data with the item ids")
    parser.add_argument(
        "--rating-col",
        help="column of --data with the ratings (default: rating; models of implicit feedback do without)",
    )
    parser.add_argument("--time-col", help="column of --data with the time of the interaction")
    parser.add_argument("--text-col", help="column of --data with the text of a review")
    parser.add_argument(
        "--min-rating",
        type=float,
        help="use ratings of at least this much alone; says which are positive for implicit feedback",
    )
    parser.add_argument(
        "--duplicates",
        choices=["error", "first", "last", "mean", "keep"],
        help="what to do with several rows of one user for one item; first and last are by --time-col where "
        "it is given (default: error; keep for sessions)",
    )
    click_options(parser)
    reading_options(parser, "--data")


if __name__ == "__main__":
    sys.exit(main())
