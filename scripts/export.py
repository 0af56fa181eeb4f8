"""Run `tfzoo export`; `--help` lists the options."""

import sys

from tfzoo.cli import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
