"""Run `tfzoo serve`; `--help` lists the options."""

import sys

from tfzoo.cli import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
