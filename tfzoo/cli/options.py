"""What the options of several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

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


def device_options(parser: argparse.ArgumentParser) -> None:
    """Add where and in which precision a command computes."""
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto")
    parser.add_argument(
        "--precision", choices=["float32", "mixed_float16", "mixed_bfloat16"], default="float32"
    )
