"""Run `tfzoo evaluate`; `--help` lists the options."""

import sys

from tfzoo.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
