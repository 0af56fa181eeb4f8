"""Run the command line as `python -m tfzoo`."""

import sys

from tfzoo.cli import main

if __name__ == "__main__":
    sys.exit(main())
