"""Options of the commands about the installation and about the weights that come with it."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfzoo.cli.options import Commands, again_options


def add_product_commands(commands: Commands, exit_status: str) -> None:
    """Add the commands ``doctor``, ``completion`` and ``pretrained``.

    Args:
        commands: where to add them.
        exit_status: what their help says of the exit status.
    """
    commands.add_parser(
        "doctor",
        help="say what is installed, which devices and data sets are found, and what is missing",
        description="Print the versions of the libraries, devices, memory, data sets, caches and extras. "
        "Works where TensorFlow cannot be imported, and says why.",
        epilog="Exit status: 0 all is there that tfzoo needs, 1 something needed is missing or too old.",
    )
    parser = commands.add_parser(
        "completion",
        help="print what completes tfzoo's commands and options in a shell",
        description='Print a script for a shell. Bash: eval "$(tfzoo completion bash)" in ~/.bashrc. '
        "Zsh: the same with zsh, after compinit, in ~/.zshrc. Fish: tfzoo completion fish > "
        "~/.config/fish/completions/tfzoo.fish.",
        epilog=exit_status,
    )
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="which shell")
    parser = commands.add_parser(
        "pretrained",
        help="list pretrained models, or train one of them anew",
        description="Pretrained models, which tfzoo.load_pretrained(NAME) gives; see docs/pretrained.md.",
        epilog=exit_status,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="names, metrics, sizes and where their weights are", epilog=exit_status)
    build = actions.add_parser(
        "build",
        help="train a pretrained model with its recipe and seed, and write its folder",
        description="Train as 'tfzoo train' does, then write weights, vocabularies, record and checksums.",
        epilog=exit_status,
    )
    build.add_argument("name", metavar="NAME", help="see 'tfzoo pretrained list'")
    build.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where to write the folder NAME (default: where load_pretrained looks, in the cache)",
    )
    build.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs (default: runs)")
    again_options(build, "go on with an interrupted run, or take a finished one")


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add ``--version``, which is looked up when it is asked for alone."""
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and end")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        import tfzoo

        print(f"tfzoo {tfzoo.__version__}")
        parser.exit()
