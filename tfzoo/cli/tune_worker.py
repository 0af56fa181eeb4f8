"""One of the processes of ``tfzoo tune --jobs``: ``python -m tfzoo.cli.tune_worker FOLDER TRIALS``."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path


def main(folder: Path, trials: int) -> int:
    """Try until so many trials of the search in a folder have been begun; returns the exit status."""
    from tfzoo.cli.libraries import load_libraries

    load_libraries()
    from tfzoo.cli.common import configure_device, load_data
    from tfzoo.errors import TfzooError
    from tfzoo.experiment import Experiment
    from tfzoo.training.recipe import recorded_recipe
    from tfzoo.tuning.search_file import Search
    from tfzoo.tuning.searching import measuring, study_of

    try:
        search = Search.load(folder)
        configure_device(argparse.Namespace(device=search.device, precision=search.precision))
        recipe = recorded_recipe(search.recipe, "the search")
        experiment = Experiment.prepare(recipe, load_data(search.data), search.seed, search.data)
        if experiment.data_fingerprint != search.data_fingerprint:
            raise TfzooError(f"The data is not the data that the search in {folder} is on.")
        study_of(search, experiment, folder).run(trials, measuring(search, recipe, experiment))
    except TfzooError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return 0


def _end_with_the_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
