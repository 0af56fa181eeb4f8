"""The `tfzoo` command: commands, options, messages."""

from tfzoo.cli.main import main

__all__ = ["main"]
