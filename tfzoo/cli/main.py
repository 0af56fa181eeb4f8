"""Options of the `tfzoo` command, and what its exit status means."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tfzoo.errors import TfzooError

EXIT_STATUS = "Exit status: 0 success, 1 failure, 2 wrong use or unusable input."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; those of the process if None.

    Returns:
        The exit status: 0 success, 1 failure, 2 wrong use, 130 interrupted.
    """
    options = build_parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        command = importlib.import_module(f"tfzoo.cli.{options.command.replace('-', '_')}")
        command.run(options)
    except TfzooError as error:
        print(f"tfzoo: error: {error}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        print(f"tfzoo: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        hint = " Continue with the same command and --resume." if options.command == "train" else ""
        print(f"\ntfzoo: interrupted.{hint}", file=sys.stderr)
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="tfzoo",
        description="Recommender models that match their papers: train, evaluate, export, recommend.",
        epilog=EXIT_STATUS,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _train(commands)
    _evaluate(commands)
    _export(commands)
    _swap_candidates(commands)
    _recommend(commands)
    _serve(commands)
    _models(commands)
    _results(commands)
    _compare(commands)
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
    parser.add_argument("--no-export", action="store_true", help="do not export a SavedModel")
    parser.add_argument("--resume", action="store_true", help="continue a run that was interrupted")
    _device_options(parser)


def _evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a trained run again",
        description="Load the model of a run and measure it on a part of the split it was trained with.",
        epilog=EXIT_STATUS,
    )
    _run_option(parser)
    parser.add_argument("--part", default="test", help="part of the split (default: test)")
    _device_options(parser)


def _export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "export",
        help="export a trained run as a SavedModel, or for another runtime",
        description="Export the model of a run as the next version of a SavedModel for TensorFlow Serving, "
        "or of a file for ONNX Runtime or LiteRT.",
        epilog=EXIT_STATUS,
    )
    _run_option(parser)
    parser.add_argument("--export-dir", type=Path, default=Path("saved_models"))
    parser.add_argument(
        "--format",
        choices=["tf_saved_model", "onnx", "litert"],
        default="tf_saved_model",
        help="onnx and litert take dense ids and give scores, without lists; they need the extra of the same "
        "name (default: tf_saved_model)",
    )
    parser.add_argument(
        "--keep-seen", action="store_true", help="recommend may return items that the user has rated"
    )
    parser.add_argument(
        "--index",
        choices=["none", "exact", "ivf"],
        default="none",
        help="find items through an index over their vectors, for models whose scores are inner products: "
        "exact, or ivf (inverted file: faster with very many items, may miss some); such exports can "
        "exchange their items later (default: none)",
    )
    parser.add_argument(
        "--partitions",
        type=int,
        metavar="N",
        help="partitions of an inverted file (default: square root of the number of items)",
    )
    parser.add_argument(
        "--probes", type=int, default=32, metavar="N", help="partitions it looks at (default: 32)"
    )


def _swap_candidates(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "swap-candidates",
        help="exchange the items of an exported model, without training",
        description="Publish the newest version of an export once more with another set of items.",
        epilog=EXIT_STATUS,
    )
    parser.add_argument(
        "--model", type=Path, required=True, metavar="FOLDER", help="such as saved_models/bpr-mf-ml-1m"
    )
    parser.add_argument(
        "--items",
        type=Path,
        required=True,
        metavar="FILE",
        help="all items of the new version: CSV, TSV or Parquet with the columns item_id and, if wanted, "
        "v0, v1, ... (vectors; new items need them), popularity and title; or .npz with item_ids, vectors, "
        "popularity and titles",
    )
    parser.add_argument("--id-col", default="item_id", help="column of --items with the item ids")
    parser.add_argument(
        "--ratings",
        type=Path,
        metavar="FILE",
        help="ratings of new items by known users, of which the item tower of --run makes their vectors; for "
        "models that read rows of ratings, such as dcf",
    )
    parser.add_argument("--run", type=Path, help="folder of the run that was exported")
    parser.add_argument("--data", type=Path, metavar="FILE", help="where the run's own data file lies now")
    parser.add_argument("--user-col", default="user_id", help="column of --ratings with the user ids")
    parser.add_argument("--item-col", default="item_id", help="column of --ratings with the item ids")
    parser.add_argument("--rating-col", default="rating", help="column of --ratings with the ratings")


def _recommend(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "recommend",
        help="print recommendations from an exported model",
        description="Ask an exported SavedModel for recommendations, through its served signature.",
        epilog=EXIT_STATUS,
    )
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", help="id of the user, as the data set has it")
    who.add_argument("--history", help="item ids of someone the model need not know, separated by commas")
    parser.add_argument("--k", type=int, default=10, help="number of items (default: 10)")
    parser.add_argument("--exclude", default="", help="item ids to leave out, separated by commas")
    parser.add_argument("--model", default="edrs", help="name of the model (default: edrs)")
    parser.add_argument("--dataset", default="ml-100k", help="name of the data set (default: ml-100k)")
    parser.add_argument("--export-dir", type=Path, default=Path("saved_models"))


def _serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "serve",
        help="serve exported models over HTTP, without TensorFlow Serving",
        description="Serve exported models with TensorFlow Serving's RESTful API; needs the extra 'serve'. "
        "The newest version of each model answers, and newer ones take over when they appear.",
        epilog=EXIT_STATUS,
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path("saved_models"),
        help="folder of the exported models (default: saved_models)",
    )
    parser.add_argument("--port", type=int, default=8501, help="0 for any that is free (default: 8501)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help="serve this model alone, such as edrs-ml-100k; may be repeated",
    )
    parser.add_argument(
        "--max-body-bytes", type=int, default=8 * 2**20, help="of a request (default: 8388608)"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=30.0,
        help="seconds to wait for a request and for its answer (default: 30)",
    )
    parser.add_argument(
        "--max-concurrency",
        type=int,
        default=256,
        help="requests in the server at once, waiting ones included (default: 256)",
    )
    parser.add_argument(
        "--poll-seconds",
        type=float,
        default=5.0,
        help="how often to look for new versions; 0 for never (default: 5)",
    )


def _models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("models", help="list models, recipes and data sets", epilog=EXIT_STATUS)
    parser.add_argument("pattern", nargs="?", default="*", help="names with wildcards, such as '*-woe'")


def _results(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "results",
        help="print the table of all run records",
        description="Summarise run records over seeds, ours beside the paper's.",
        epilog=EXIT_STATUS,
    )
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("runs")], help="default: runs")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table to a Markdown file")
    parser.add_argument(
        "--collect", type=Path, metavar="FOLDER", help="copy the records there, without their history"
    )


def _compare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "compare",
        help="compare two trained runs on the same test cases",
        description="Difference of two runs' metrics with a 95 % interval, by paired bootstrap.",
        epilog=EXIT_STATUS,
    )
    parser.add_argument("first", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument("second", type=Path, metavar="RUN", help="folder of another run on the same split")
    parser.add_argument("--part", default="test", help="part of the split (default: test)")
    parser.add_argument("--seed", type=int, default=0, help="fixes the resamples (default: 0)")
    parser.add_argument("--data", type=Path, metavar="FILE", help="where the runs' own data file lies now")
    _device_options(parser)


def _data_options(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--dataset", default="ml-100k", help="name of a data set (default: ml-100k)")
    source.add_argument("--data", type=Path, metavar="FILE", help="a CSV, TSV or Parquet file of your own")
    parser.add_argument("--user-col", default="user_id", help="column of --data with the user ids")
    parser.add_argument("--item-col", default="item_id", help="column of --data with the item ids")
    parser.add_argument(
        "--rating-col",
        help="column of --data with the ratings (default: rating; models of implicit feedback do without)",
    )
    parser.add_argument("--time-col", help="column of --data with the time of the interaction")
    parser.add_argument("--sep", help="column separator of --data, if not as its suffix says")
    parser.add_argument("--text-col", help="column of --data with the text of a review")
    parser.add_argument(
        "--min-rating",
        type=float,
        help="use ratings of at least this much alone; says which are positive for implicit feedback",
    )
    parser.add_argument(
        "--duplicates",
        choices=["error", "first", "last", "mean", "keep"],
        help="what to do with several rows of one user for one item (default: error; keep for sessions)",
    )
    parser.add_argument(
        "--rating-scale",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="lowest and highest rating possible (default: as observed)",
    )


def _run_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run",
        type=Path,
        default=Path("runs/edrs-ml-100k-paper/seed-0"),
        help="folder of the run (default: runs/edrs-ml-100k-paper/seed-0)",
    )
    parser.add_argument("--data", type=Path, metavar="FILE", help="where the run's own data file lies now")


def _device_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto")
    parser.add_argument(
        "--precision", choices=["float32", "mixed_float16", "mixed_bfloat16"], default="float32"
    )


if __name__ == "__main__":
    sys.exit(main())
