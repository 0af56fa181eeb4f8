"""Run `tfzoo reproduce`; `--help` lists the options."""

import sys

from tfzoo.cli import main

if __name__ == "__main__":
    sys.exit(main(["reproduce", *sys.argv[1:]]))
