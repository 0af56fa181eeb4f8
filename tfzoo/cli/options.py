"""What the options of several commands share."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import TypeAlias

AUTO = "auto"
UTF8 = "utf-8"
QUOTING = ("csv", "none")
UNITS = ("s", "ms", "us", "ns")
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def run_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--run`` and ``--data``, which name a finished run and its data."""
    parser.add_argument(
        "--run",
        type=Path,
        default=Path("runs/edrs-ml-100k-paper/seed-0"),
        help="folder of the run (default: runs/edrs-ml-100k-paper/seed-0)",
    )
    data_option(parser)


def data_option(parser: argparse.ArgumentParser, whose: str = "run's") -> None:
    """Add ``--data``, which says where the data of finished runs has gone."""
    parser.add_argument(
        "--data", type=Path, metavar="PATH", help=f"where the {whose} own data, a file or shards, lies now"
    )


def again_options(parser: argparse.ArgumentParser, resume: str) -> None:
    """Add what to do with a run that is there already.

    Args:
        parser: where to add the options.
        resume: the help of ``--resume``.
    """
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help=resume)
    again.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a run with other settings or other data that is there",
    )


def reading_options(parser: argparse.ArgumentParser, whose: str) -> None:
    """Add how a file of the user's own is to be read, see `from_file`.

    Args:
        parser: where to add the options.
        whose: what the help calls the file.
    """
    parser.add_argument(
        "--sep", help=f"column separator of {whose}, if not as its suffix says; \\t stands for a tab"
    )
    parser.add_argument(
        "--no-header",
        action="store_true",
        help=f"{whose} has no header line; columns are named by their number, as in --user-col 1",
    )
    parser.add_argument(
        "--encoding", default=UTF8, help="of a text file, such as latin-1, cp1252 or utf-16 (default: utf-8)"
    )
    parser.add_argument(
        "--quoting",
        choices=QUOTING,
        default=QUOTING[0],
        help="csv: fields may be enclosed in double quotes; none: a quote is a letter as any other "
        "(default: csv)",
    )
    parser.add_argument(
        "--time-unit",
        choices=[AUTO, *UNITS],
        default=AUTO,
        help="what numbers in --time-col count (default: auto, by their size)",
    )
    parser.add_argument(
        "--rating-scale",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="lowest and highest rating possible (default: as observed)",
    )


def click_options(parser: argparse.ArgumentParser) -> None:
    """Add which columns of a file of the user's own a model of clicks reads."""
    parser.add_argument(
        "--label-col", help="column of --data with 1 for a click and 0 for none (default: click)"
    )
    for option, what in (("--field-cols", "categories"), ("--number-cols", "numbers, which may be missing")):
        parser.add_argument(
            option,
            type=_names,
            metavar="A,B,...",
            help=f"columns of --data with {what}, for models of clicks",
        )


def _names(text: str) -> list[str]:
    """Return names that stand between commas; one with a comma in it stands in double quotes."""
    names = [name for row in csv.reader([text]) for name in row]
    if not names or "" in names:
        raise argparse.ArgumentTypeError(f"names of columns with commas between are expected, not {text!r}")
    return names


def device_options(parser: argparse.ArgumentParser) -> None:
    """Add where and in which precision a command computes."""
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto")
    parser.add_argument(
        "--precision", choices=["float32", "mixed_float16", "mixed_bfloat16"], default="float32"
    )
