"""Options of the commands that export models, ask them and serve them."""

from __future__ import annotations

from pathlib import Path

from tfzoo.cli.options import Commands, data_option, run_option


def add_serving_commands(commands: Commands, exit_status: str) -> None:
    """Add the commands ``export``, ``swap-candidates``, ``recommend``, ``explain`` and ``serve``.

    Args:
        commands: where to add them.
        exit_status: what their help says of the exit status.
    """
    _export(commands, exit_status)
    _swap_candidates(commands, exit_status)
    _recommend(commands, exit_status)
    _explain(commands, exit_status)
    _serve(commands, exit_status)


def _export(commands: Commands, exit_status: str) -> None:
    parser = commands.add_parser(
        "export",
        help="export a trained run as a SavedModel, or for another runtime",
        description="Export the model of a run as the next version of a SavedModel for TensorFlow Serving, "
        "or of a file for ONNX Runtime or LiteRT.",
        epilog=exit_status,
    )
    run_option(parser)
    parser.add_argument("--export-dir", type=Path, default=Path("saved_models"))
    parser.add_argument(
        "--name", help="what to call the served model (default: as the run was named, or model and data set)"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="export the next version although those that are there are of other data; none is removed",
    )
    parser.add_argument(
        "--format",
        choices=["tf_saved_model", "onnx", "litert"],
        default="tf_saved_model",
        help="onnx and litert take dense ids and give scores, without lists; they need the extra of the same "
        "name (default: tf_saved_model)",
    )
    parser.add_argument(
        "--keep-seen",
        action="store_true",
        help="lists may hold what the user is known to have, in any part of the data, and the items "
        "of a history (default: they are left out)",
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


def _swap_candidates(commands: Commands, exit_status: str) -> None:
    parser = commands.add_parser(
        "swap-candidates",
        help="exchange the items of an exported model, without training",
        description="Publish the newest version of an export once more with another set of items.",
        epilog=exit_status,
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
    data_option(parser)
    parser.add_argument("--user-col", default="user_id", help="column of --ratings with the user ids")
    parser.add_argument("--item-col", default="item_id", help="column of --ratings with the item ids")
    parser.add_argument("--rating-col", default="rating", help="column of --ratings with the ratings")


def _recommend(commands: Commands, exit_status: str) -> None:
    parser = commands.add_parser(
        "recommend",
        help="print recommendations from an exported model, or write those of all users of a run",
        description="Ask an exported SavedModel for recommendations, through its served signature; or, with "
        "--all-users, write the lists of all users of a trained run's data into one file.",
        epilog=exit_status,
    )
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", help="id of the user, as the data set has it")
    who.add_argument(
        "--history",
        action="append",
        help="item ids of someone the model need not know, oldest first, separated by commas, which an id "
        "may hold too; may be repeated",
    )
    who.add_argument("--history-file", type=Path, metavar="FILE", help="the same, an id a line")
    who.add_argument(
        "--all-users",
        action="store_true",
        help="all users of the data of --run; the file --output appears whole or not at all",
    )
    parser.add_argument("--run", type=Path, help="folder of the run, for --all-users")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="a .parquet or .csv file to write, for --all-users"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file of --output")
    data_option(parser)
    parser.add_argument("--k", type=int, default=10, help="number of items (default: 10)")
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        help="item ids to leave out, separated by commas; may be repeated, as for --history",
    )
    parser.add_argument(
        "--exclude-file", type=Path, metavar="FILE", help="item ids to leave out, an id a line"
    )
    parser.add_argument("--model", default="edrs", help="name of the model (default: edrs)")
    parser.add_argument("--dataset", default="ml-100k", help="name of the data set (default: ml-100k)")
    parser.add_argument("--export-dir", type=Path, default=Path("saved_models"))


def _explain(commands: Commands, exit_status: str) -> None:
    parser = commands.add_parser(
        "explain",
        help="say why a trained run gives an item to a user",
        description="Print which past items of a user carry the score of an item, or which fields the "
        "probability of a click, see docs/explanations.md.",
        epilog=exit_status,
    )
    run_option(parser)
    parser.add_argument("--user", help="id of the user, as the data set has it")
    parser.add_argument("--item", help="id of the item")
    parser.add_argument(
        "--row", type=int, metavar="N", help="of models of clicks: row of the test part, counted from 1"
    )
    parser.add_argument("--k", type=int, default=10, help="rows to print, most important first (default: 10)")
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto")


def _serve(commands: Commands, exit_status: str) -> None:
    parser = commands.add_parser(
        "serve",
        help="serve exported models over HTTP, without TensorFlow Serving",
        description="Serve exported models with TensorFlow Serving's RESTful API; needs the extra 'serve'. "
        "The newest version of each model answers, and newer ones take over when they appear.",
        epilog=exit_status,
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
        help="seconds to wait for the body of a request, and for its answer (default: 30)",
    )
    parser.add_argument(
        "--header-timeout",
        type=float,
        default=10.0,
        help="seconds to wait for the head of a request, without which a connection is closed (default: 10)",
    )
    parser.add_argument(
        "--max-outputs",
        type=int,
        default=100_000,
        help="values of an output, such as rows times the largest k (default: 100000)",
    )
    parser.add_argument(
        "--max-concurrency",
        type=int,
        default=256,
        help="requests that wait for their answers at once (default: 256)",
    )
    parser.add_argument(
        "--max-connections",
        type=int,
        help="at once; more take the place of idle ones (default: 1000, or as many as files may be open)",
    )
    parser.add_argument(
        "--max-connections-per-address",
        type=int,
        help="the same for the connections of one address (default: half of them)",
    )
    parser.add_argument(
        "--poll-seconds",
        type=float,
        default=5.0,
        help="how often to look for new versions; 0 for never (default: 5)",
    )
